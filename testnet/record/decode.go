package record

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// table says how a CSV file is read.
type table[T any] struct {
	columns  []column[T]
	most     int            // rows
	appended bool           // its last line may be torn
	check    func(*T) error // of a row; nil: none
}

// decodeTable reads a CSV file by the names of its columns. Other columns may stand
// there as well. It says whether a torn last line was left out.
func decodeTable[T any](name string, f io.ReaderAt, size int64, t table[T]) (rows []T, torn bool, err error) {
	if t.appended {
		whole, err := wholeLines(f, size)
		if err != nil {
			return nil, false, fmt.Errorf("%s: %w", name, err)
		}
		if torn = whole < size; torn && whole == 0 {
			return nil, true, nil
		}
		size = whole
	}
	lines := &lineReader{in: io.NewSectionReader(f, 0, size)}
	c := csv.NewReader(lines)
	c.ReuseRecord = true
	names, err := c.Read()
	if errors.Is(err, io.EOF) {
		return nil, false, fmt.Errorf("%s is empty, want a line with the names of its columns", name)
	} else if err != nil {
		return nil, false, lines.at(name, err)
	}
	places, err := locate(t.columns, names)
	if err != nil {
		return nil, false, fmt.Errorf("%s:1: %w", name, err)
	}
	for {
		record, err := c.Read()
		if errors.Is(err, io.EOF) {
			return rows, torn, nil
		} else if err != nil {
			return nil, false, lines.at(name, err)
		}
		line, _ := c.FieldPos(0)
		if len(rows) == t.most {
			return nil, false, fmt.Errorf("%s:%d: there are more than %d rows", name, line, t.most)
		}
		var row T
		for i, column := range t.columns {
			if places[i] == absent {
				continue
			}
			if err := column.read(&row, record[places[i]]); err != nil {
				return nil, false, fmt.Errorf("%s:%d: %s: %w", name, line, column.name, err)
			}
		}
		if t.check != nil {
			if err := t.check(&row); err != nil {
				return nil, false, fmt.Errorf("%s:%d: %w", name, line, err)
			}
		}
		rows = append(rows, row)
	}
}

// decodeEvents reads a file of one JSON value a line.
func decodeEvents(name string, f io.ReaderAt, size int64, nodes int) (events []Event, torn bool, err error) {
	whole, err := wholeLines(f, size)
	if err != nil {
		return nil, false, fmt.Errorf("%s: %w", name, err)
	}
	scanner := bufio.NewScanner(io.NewSectionReader(f, 0, whole))
	scanner.Buffer(nil, maxLine)
	line := 0
	for scanner.Scan() {
		line++
		if len(bytes.TrimSpace(scanner.Bytes())) == 0 {
			continue
		}
		if len(events) == maxEvents {
			return nil, false, fmt.Errorf("%s:%d: there are more than %d events", name, line, maxEvents)
		}
		var e Event
		if err := json.Unmarshal(scanner.Bytes(), &e); err != nil {
			return nil, false, fmt.Errorf("%s:%d: %w", name, line, err)
		}
		if err := e.check(nodes); err != nil {
			return nil, false, fmt.Errorf("%s:%d: %w", name, line, err)
		}
		events = append(events, e)
	}
	if err := scanner.Err(); err != nil {
		return nil, false, fmt.Errorf("%s:%d: %w", name, line+1, err)
	}
	return events, whole < size, nil
}

// decodeJSON reads a file that is one JSON value.
func decodeJSON(name string, text []byte, into any) error {
	err := json.Unmarshal(text, into)
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("%s:%d: %w", name, lineOf(text, syntax.Offset), err)
	case errors.As(err, &kind):
		return fmt.Errorf("%s:%d: %w", name, lineOf(text, kind.Offset), err)
	case err != nil:
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// lineOf is the line that an offset stands in, counted from 1.
func lineOf(text []byte, offset int64) int {
	return 1 + bytes.Count(text[:min(max(offset-1, 0), int64(len(text)))], []byte{'\n'})
}

// wholeLines is the length of a file without the half line at its end, if there is one.
func wholeLines(f io.ReaderAt, size int64) (int64, error) {
	end := make([]byte, min(size, maxLine))
	if _, err := f.ReadAt(end, size-int64(len(end))); err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	last := bytes.LastIndexByte(end, '\n')
	if last < 0 && size > int64(len(end)) {
		return 0, fmt.Errorf("its last line has more than %d bytes", maxLine)
	}
	return size - int64(len(end)) + int64(last) + 1, nil
}

// lineReader reads text whose lines have at most maxLine bytes: a quote that nothing
// closes would make all that follows one field.
type lineReader struct {
	in   io.Reader
	line int // whole ones so far
	used int // bytes of the one that is not whole
}

var errLongLine = fmt.Errorf("the line has more than %d bytes", maxLine)

func (l *lineReader) Read(p []byte) (int, error) {
	n, err := l.in.Read(p)
	for rest := p[:n]; len(rest) > 0; {
		i := bytes.IndexByte(rest, '\n')
		end := i + 1
		if i < 0 {
			end = len(rest)
		}
		if l.used += end; l.used > maxLine {
			return 0, errLongLine
		}
		if i >= 0 {
			l.line++
			l.used = 0
		}
		rest = rest[end:]
	}
	return n, err
}

// at puts the file and the line in front of an error of the CSV reader.
func (l *lineReader) at(name string, err error) error {
	var parse *csv.ParseError
	switch {
	case errors.As(err, &parse):
		return fmt.Errorf("%s:%d: %w", name, parse.Line, parse.Err)
	case errors.Is(err, errLongLine):
		return fmt.Errorf("%s:%d: %w", name, l.line+1, err)
	}
	return fmt.Errorf("%s: %w", name, err)
}
