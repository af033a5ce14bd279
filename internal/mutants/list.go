package main

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// mutant is one edit of one file that takes a rule out, or moves it.
type mutant struct {
	rule string // of docs/protocol.md
	file string // relative to the module's root
	what string // in words
	old  string // stands in the file exactly once
	new  string
}

func (m *mutant) String() string { return m.rule + " " + m.what }

// exemption is a rule that no edit can take out.
type exemption struct{ rule, reason string }

//go:embed rules.txt
var rules string

// parse reads the list. An entry is a line "RULE FILE: what", followed by the
// lines to be replaced, marked "-", and those that replace them, marked "+"; the
// marks are followed by a blank and the text as it stands in the file, without
// the white space in front of the first line. "RULE none: reason" exempts a rule.
// Lines that begin with "#" are comments.
func parse(list string) (mutants []*mutant, exempt []exemption, err error) {
	var m *mutant
	for i, line := range strings.Split(list, "\n") {
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "- ") && m != nil:
			m.old = joined(m.old, line[2:])
		case strings.HasPrefix(line, "+ ") && m != nil:
			m.new = joined(m.new, line[2:])
		default:
			head, what, ok := strings.Cut(line, ": ")
			rule, file, ok2 := strings.Cut(head, " ")
			if !ok || !ok2 {
				return nil, nil, fmt.Errorf("line %d is no entry: %s", i+1, line)
			}
			if m = nil; file == "none" {
				exempt = append(exempt, exemption{rule, what})
				continue
			}
			m = &mutant{rule: rule, file: file, what: what}
			mutants = append(mutants, m)
		}
	}
	return mutants, exempt, nil
}

func joined(text, line string) string {
	if text == "" {
		return line
	}
	return text + "\n" + line
}

// apply returns the file's text with the edit made.
func (m *mutant) apply(root string) (string, error) {
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(m.file)))
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(text), m.old); m.old == "" || n != 1 {
		return "", fmt.Errorf("%s: what is to be replaced stands %d times in %s:\n%s", m, n, m.file, m.old)
	}
	return strings.Replace(string(text), m.old, m.new, 1), nil
}
