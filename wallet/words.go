package wallet

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/tyler-smith/go-bip39"
)

// The words of two wallets for demonstrations, which everybody knows. Whatever
// they own on a public network is anybody's, so that New refuses them on main.
const (
	DevWordsA = "fire zoo circle nature body wolf repeat convince top faint cram pumpkin"
	DevWordsB = "thought edge risk decline frog rhythm beef cinnamon define guitar garbage maple"
)

// DevWords returns the words of the two insecure development wallets, A and B.
func DevWords() [2]string { return [2]string{DevWordsA, DevWordsB} }

// IsDevWords reports whether the words are those of a development wallet.
func IsDevWords(words string) bool {
	w := strings.Join(strings.Fields(strings.ToLower(words)), " ")
	return w == DevWordsA || w == DevWordsB
}

// maxWordsText bounds the text that is worth searching for words, in bytes: 24
// words of at most 8 letters, with room for careless spacing.
const maxWordsText = 1024

// NewWords draws 12 or 24 BIP39 words (128 or 256 bits) from a source of
// randomness, which must be a cryptographic one.
func NewWords(random io.Reader, count int) (string, error) {
	if count != 12 && count != 24 {
		return "", fault(ErrWords, "a new wallet has 12 or 24 words, not %d: choose one of them", count)
	}
	entropy := make([]byte, count/3*4)
	if _, err := io.ReadFull(random, entropy); err != nil {
		return "", fmt.Errorf("reading randomness for the words: %w", err)
	}
	return wordsOf(entropy)
}

// CheckWords returns the words in their one spelling: lower case, one space
// between them. The error is an ErrWords, which names the word that is not in
// the list, or the count, or the checksum.
func CheckWords(text string) (string, error) {
	if len(text) > maxWordsText {
		return "", fault(ErrWords, "that is too long for wallet words: give 12 or 24 words")
	}
	words := strings.Fields(strings.ToLower(text))
	if n := len(words); n < 12 || n > 24 || n%3 != 0 {
		return "", fault(ErrWords, "there are %d words: a wallet has 12 or 24, so write all of them down in order", n)
	}
	for i, w := range words {
		if _, ok := bip39.GetWordIndex(w); !ok {
			return "", fault(ErrWords, "word %d, %q, is not in the word list%s", i+1, clip(w), guess(w))
		}
	}
	joined := strings.Join(words, " ")
	if _, err := entropyOf(joined); err != nil {
		return "", fault(ErrWords, "each word is in the list, but their checksum is wrong: check their order, and whether one was taken for another")
	}
	return joined, nil
}

// guess proposes the word that was probably meant: the list is made so that the
// first four letters tell words apart.
func guess(typed string) string {
	list := bip39.GetWordList()
	found := slices.IndexFunc(list, func(w string) bool { return len(typed) >= 4 && strings.HasPrefix(w, typed[:4]) })
	if found < 0 {
		found = slices.IndexFunc(list, func(w string) bool { return nearly(w, typed) })
	}
	if found < 0 {
		return ": check its spelling"
	}
	return fmt.Sprintf(": did you mean %q?", list[found])
}

// nearly reports whether one letter changed, added, dropped or swapped with its
// neighbour makes b of a.
func nearly(a, b string) bool {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	a, b = a[n:], b[n:]
	switch len(a) - len(b) {
	case 0:
		return a == "" || a[1:] == b[1:] || len(a) > 1 && a[0] == b[1] && a[1] == b[0] && a[2:] == b[2:]
	case 1:
		return a[1:] == b
	case -1:
		return a == b[1:]
	}
	return false
}

func entropyOf(words string) ([]byte, error) { return bip39.EntropyFromMnemonic(words) }

func wordsOf(entropy []byte) (string, error) {
	words, err := bip39.NewMnemonic(entropy)
	if err != nil {
		return "", fmt.Errorf("words of %d bytes: %w", len(entropy), err)
	}
	return words, nil
}
