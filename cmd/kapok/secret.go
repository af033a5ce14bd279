package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"
)

// Limits of what is typed or read from a file, in bytes.
const (
	maxPassphrase = 1024
	maxWords      = 4096 // 24 words and much white space
)

// passphraseOf asks for the passphrase: a file, the environment, or the
// terminal, where it is not shown. A new one is asked for twice.
func passphraseOf(c *cli.Context, isNew bool) (text string, err error) {
	env, set := os.LookupEnv("KAPOK_PASSPHRASE")
	switch path := c.String(passphraseFlag.Name); {
	case path != "":
		text, err = firstLine(path)
	case set:
		text = env
	case !term.IsTerminal(int(os.Stdin.Fd())):
		err = errors.New("the passphrase cannot be asked for without a terminal: set KAPOK_PASSPHRASE, or name a file with --passphrase-file")
	default:
		text, err = typedPassphrase(c.Context, isNew)
	}
	if err == nil && isNew && text == "" {
		err = errors.New("the passphrase is empty, and would protect nothing: choose one; nothing was written")
	}
	return text, err
}

func firstLine(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("passphrase file: %w", err)
	}
	defer file.Close()
	line, err := readLine(file, maxPassphrase)
	if err != nil {
		return "", fmt.Errorf("passphrase file %s: %w", path, err)
	}
	return line, nil
}

// readLine returns the first line, without its end.
func readLine(r io.Reader, limit int64) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(r, limit+1)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	if int64(len(line)) > limit {
		return "", fmt.Errorf("the line is longer than %d bytes", limit)
	}
	return strings.TrimRight(line, "\r\n"), nil
}

func typedPassphrase(ctx context.Context, isNew bool) (string, error) {
	first, err := askSecret(ctx, "Passphrase: ")
	if err != nil || !isNew || first == "" {
		return first, err
	}
	second, err := askSecret(ctx, "Passphrase again: ")
	if err == nil && first != second {
		err = errors.New("the two passphrases differ: try again; nothing was written")
	}
	return first, err
}

func askSecret(ctx context.Context, prompt string) (string, error) {
	fd := int(os.Stdin.Fd())
	echoing, err := term.GetState(fd)
	if err != nil {
		return "", fmt.Errorf("passphrase: %w", err)
	}
	fmt.Fprint(os.Stderr, prompt)
	text, err := interruptible(ctx, func() (string, error) {
		text, err := term.ReadPassword(fd)
		return string(text), err
	})
	fmt.Fprintln(os.Stderr)
	if ctx.Err() != nil {
		return "", errors.Join(err, term.Restore(fd, echoing))
	}
	return text, err
}

// askWords reads the words of a wallet from the terminal or from standard input.
func askWords(ctx context.Context) (string, error) {
	if term.IsTerminal(int(os.Stdin.Fd())) {
		fmt.Fprint(os.Stderr, "Words, in order, on one line: ")
	}
	text, err := interruptible(ctx, func() (string, error) { return readLine(os.Stdin, maxWords) })
	if err != nil {
		return "", fmt.Errorf("words: %w", err)
	}
	return text, nil
}

// interruptible lets Ctrl-C end the wait for somebody who types. The read itself
// cannot be ended: it is left behind, by a process that is about to end.
func interruptible(ctx context.Context, read func() (string, error)) (string, error) {
	type answer struct {
		text string
		err  error
	}
	typed := make(chan answer, 1)
	go func() {
		text, err := read()
		typed <- answer{text, err}
	}()
	select {
	case a := <-typed:
		return a.text, a.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}
