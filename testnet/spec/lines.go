package spec

import (
	"strconv"
	"strings"
)

// What a file may have. The parser's memory grows by the square of both, so they are
// looked at before it is called; the deepest that means anything here is 4.
const (
	maxDepth    = 8 // brackets and braces inside each other
	maxKeyParts = 8 // of a dotted key
)

// mark is one place of the text at which a key begins: of a table's header, or of a
// value. The parser lists the same keys in the same order, but without their lines.
type mark struct {
	line   int
	header bool
	array  bool // a header in double brackets
	parent int  // the mark whose value an inline table is part of; -1: none
	elem   int  // which element of an array that inline table is; -1: of none
}

// scanner finds the marks of a text. It knows as much of TOML as that takes: strings,
// comments, brackets. What it says holds for what the parser accepts.
type scanner struct {
	text  string
	at    int
	line  int
	marks []mark
	open  []level
	last  int // the mark of the statement being read
	depth int // the deepest
	parts int // of the longest key
}

// level is a bracket or brace that is open.
type level struct {
	brace   bool
	parent  int // the mark whose value it is in
	elem    int // of a brace: see mark; of a bracket: commas so far
	last    int // the mark of the pair being read; of a brace
	wantKey bool
}

// scan lists the keys of a text.
func scan(text string) *scanner {
	s := &scanner{text: text, line: 1, last: -1}
	fresh := true // nothing of a statement has been seen on this line
	for s.at < len(s.text) {
		switch c := s.text[s.at]; {
		case c == '\n':
			s.line++
			s.at++
			fresh = len(s.open) == 0
		case c == ' ' || c == '\t' || c == '\r':
			s.at++
		case c == '#':
			s.skipTo("\n")
		case fresh:
			fresh = false
			s.statement()
		case s.wantsKey() && c != '}' && c != ',':
			inner := &s.open[len(s.open)-1]
			inner.wantKey = false
			inner.last = s.add(mark{line: s.line, parent: inner.parent, elem: inner.elem})
			s.key("=")
		default:
			s.value(c)
		}
	}
	return s
}

func (s *scanner) wantsKey() bool { return len(s.open) > 0 && s.open[len(s.open)-1].wantKey }

func (s *scanner) add(m mark) int {
	s.marks = append(s.marks, m)
	return len(s.marks) - 1
}

// statement reads the header of a table, or a key and its equals sign.
func (s *scanner) statement() {
	m := mark{line: s.line, parent: -1, elem: -1}
	if s.text[s.at] != '[' {
		s.last = s.add(m)
		s.key("=")
		return
	}
	m.header = true
	m.array = strings.HasPrefix(s.text[s.at:], "[[")
	s.last = s.add(m)
	s.key("\n#")
}

// key goes past a key to just behind one of the characters in end; a line's end is
// left, for it has to be counted.
func (s *scanner) key(end string) {
	parts := 1
	for s.at < len(s.text) {
		c := s.text[s.at]
		switch {
		case c == '\n' || c == '#':
			s.parts = max(s.parts, parts)
			return
		case c == '"' || c == '\'':
			s.skipString()
			continue
		case c == '.':
			parts++
		}
		s.at++
		if strings.IndexByte(end, c) >= 0 {
			break
		}
	}
	s.parts = max(s.parts, parts)
}

// value reads on within a value.
func (s *scanner) value(c byte) {
	top := len(s.open) - 1
	switch c {
	case '"', '\'':
		s.skipString()
		return
	case '[', '{':
		l := level{brace: c == '{', wantKey: c == '{', parent: s.last, elem: -1, last: -1}
		if top >= 0 {
			l.parent = s.open[top].parent
			if s.open[top].brace {
				l.parent = s.open[top].last
			} else if l.brace {
				l.elem = s.open[top].elem
			}
		}
		if !l.brace {
			l.elem = 0
		}
		s.open = append(s.open, l)
		s.depth = max(s.depth, len(s.open))
	case ',':
		if top >= 0 && s.open[top].brace {
			s.open[top].wantKey = true
		} else if top >= 0 {
			s.open[top].elem++
		}
	case ']', '}':
		if top >= 0 {
			s.open = s.open[:top]
		}
	}
	s.at++
}

// skipTo goes to the next occurrence of end, or to the end of the text.
func (s *scanner) skipTo(end string) {
	n := strings.Index(s.text[s.at:], end)
	if n < 0 {
		n = len(s.text) - s.at
	}
	s.at += n
}

// skipString goes past a string of any of the four kinds.
func (s *scanner) skipString() {
	quote := s.text[s.at : s.at+1]
	escapes := quote == `"`
	multi := strings.Repeat(quote, 3)
	if !strings.HasPrefix(s.text[s.at:], multi) {
		for s.at++; s.at < len(s.text) && s.text[s.at] != '\n'; s.at++ {
			if s.text[s.at:s.at+1] == quote {
				s.at++
				return
			}
			if escapes && s.text[s.at] == '\\' {
				s.at++
			}
		}
		return
	}
	for s.at += 3; s.at < len(s.text); s.at++ {
		switch {
		case s.text[s.at] == '\n':
			s.line++
		case escapes && s.text[s.at] == '\\' && s.at+1 < len(s.text) && s.text[s.at+1] != '\n':
			s.at++
		case strings.HasPrefix(s.text[s.at:], multi):
			// Up to two quotes may stand before the three that end it.
			for s.at += 3; s.at < len(s.text) && s.text[s.at:s.at+1] == quote; s.at++ {
			}
			return
		}
	}
}

// linesOf gives each key its line, by its path: "event[1].at", "payments.curve[0].from".
// keys are the parser's, of the same text; where they are not as many as the marks, no
// line is known.
func linesOf(marks []mark, keys [][]string) map[string]int {
	lines := make(map[string]int, len(marks))
	if len(marks) != len(keys) {
		return lines
	}
	counts := make(map[string]int) // of the tables in an array so far, by its path
	paths := make([]string, len(marks))
	for i, m := range marks {
		key := keys[i]
		if m.parent >= 0 {
			path := paths[m.parent]
			if m.elem >= 0 {
				path += "[" + strconv.Itoa(m.elem) + "]"
			}
			if from := len(keys[m.parent]); from < len(key) {
				key = key[from:]
			}
			paths[i] = path + "." + strings.Join(key, ".")
		} else {
			paths[i] = pathOf(key, counts, m.array)
		}
		note(lines, paths[i], m.line)
	}
	return lines
}

// note gives a path its line, and all that it is part of, where they have none yet.
func note(lines map[string]int, path string, line int) {
	for end := len(path); end > 0; end = strings.LastIndexAny(path[:end], ".[") {
		if _, known := lines[path[:end]]; !known {
			lines[path[:end]] = line
		}
	}
}

// pathOf is the path of a key that is in no inline table: each array of tables on the
// way stands for its last one so far.
func pathOf(key []string, counts map[string]int, opens bool) string {
	path := ""
	for i, part := range key {
		if path != "" {
			path += "."
		}
		path += part
		if opens && i == len(key)-1 {
			counts[path]++
		}
		if n := counts[path]; n > 0 {
			path += "[" + strconv.Itoa(n-1) + "]"
		}
	}
	return path
}
