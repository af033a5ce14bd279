package spec

import (
	"bytes"
	"encoding/csv"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// What a file that a testnet's file names may have.
const (
	maxPath   = 255     // bytes
	maxBeside = 1 << 20 // bytes; a full graph of 50 nodes is 100 KB of GraphML
	maxRows   = 10_000  // of a CSV file
)

// readBeside reads a file that a testnet's file names. It lies in the same directory or
// below, so that a directory holds a whole testnet.
func readBeside(dir, name string) ([]byte, error) {
	if !filepath.IsLocal(name) {
		return nil, errors.New("a path without .., relative to the directory of the testnet's file")
	}
	file, err := os.OpenInRoot(dir, name)
	if err != nil {
		return nil, fmt.Errorf("a file that can be read: %w", err)
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.New("a regular file")
	}
	text, err := io.ReadAll(io.LimitReader(file, maxBeside+1))
	if err != nil {
		return nil, fmt.Errorf("a file that can be read: %w", err)
	}
	if len(text) > maxBeside {
		return nil, fmt.Errorf("at most %d KiB", maxBeside>>10)
	}
	return text, nil
}

// row is a line of a CSV file.
type row struct {
	line   int
	fields []string
}

// readCSV reads the rows of a CSV file; those that begin with # are comments.
func readCSV(text []byte) ([]row, error) {
	r := csv.NewReader(bytes.NewReader(text))
	r.Comment = '#'
	r.FieldsPerRecord = -1
	r.TrimLeadingSpace = true
	var rows []row
	for {
		fields, err := r.Read()
		if err == io.EOF {
			return rows, nil
		}
		if err != nil {
			return nil, fmt.Errorf("a CSV file: %w", err)
		}
		if len(rows) == maxRows {
			return nil, fmt.Errorf("at most %d rows", maxRows)
		}
		line, _ := r.FieldPos(0)
		for i := range fields {
			fields[i] = strings.TrimSpace(fields[i])
		}
		rows = append(rows, row{line, fields})
	}
}

// withoutHeader drops the first row where it is the names of the columns.
func withoutHeader(rows []row, columns ...string) []row {
	if len(rows) > 0 && slices.Equal(rows[0].fields, columns) {
		return rows[1:]
	}
	return rows
}

// readGraph reads a topology from GraphML or CSV.
func readGraph(dir, name string) (*graph, error) {
	ext := strings.ToLower(filepath.Ext(name))
	if ext != ".graphml" && ext != ".csv" {
		return nil, errors.New("a name that ends in .graphml or .csv")
	}
	text, err := readBeside(dir, name)
	if err != nil {
		return nil, err
	}
	if ext == ".csv" {
		return parseEdges(text)
	}
	return parseGraphML(text)
}

// parseEdges reads rows of two node numbers, the one that dials first.
func parseEdges(text []byte) (*graph, error) {
	rows, err := readCSV(text)
	if err != nil {
		return nil, err
	}
	g := &graph{}
	seen := make(map[Edge]bool)
	for _, row := range withoutHeader(rows, "from", "to") {
		e := Edge{-1, -1}
		if len(row.fields) == 2 {
			e = Edge{nodeNumber(row.fields[0]), nodeNumber(row.fields[1])}
		}
		if e.From < 0 || e.To < 0 {
			return nil, fmt.Errorf("two node numbers of 1 to %d in each row, and line %d is %q", maxNodes, row.line, strings.Join(row.fields, ","))
		}
		if err := g.add(e, seen); err != nil {
			return nil, fmt.Errorf("%w, and line %d has not", err, row.line)
		}
		g.nodes = max(g.nodes, e.From+1, e.To+1)
	}
	return g, nil
}

// nodeNumber is a node from 0, given from 1; -1 where it is none.
func nodeNumber(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > maxNodes {
		return -1
	}
	return n - 1
}

// add adds an edge that connects two nodes for the first time.
func (g *graph) add(e Edge, seen map[Edge]bool) error {
	if e.From == e.To || seen[e] || seen[Edge{e.To, e.From}] {
		return errors.New("edges between two nodes, each pair once")
	}
	seen[e] = true
	g.edges = append(g.edges, e)
	return nil
}

// parseGraphML reads the nodes and edges of the first graph in a GraphML document
// (Brandes et al. 2002): what networkx, igraph, yEd and Gephi write. Attributes, ports
// and directions are left aside.
func parseGraphML(text []byte) (*graph, error) {
	d := xml.NewDecoder(bytes.NewReader(text))
	g := &graph{names: []string{}}
	index := make(map[string]int)
	type pending struct {
		from, to string
		line     int
	}
	var edges []pending // which may stand before their nodes
	inside := 0         // elements named graph that are open
	for done := false; !done; {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("a GraphML file: %w", err)
		}
		line, _ := d.InputPos()
		switch element := token.(type) {
		case xml.StartElement:
			switch element.Name.Local {
			case "graph":
				inside++
			case "node":
				id := attribute(element, "id")
				if _, twice := index[id]; twice || id == "" || inside == 0 {
					return nil, fmt.Errorf("nodes in a graph with ids that differ, and line %d has %q", line, id)
				}
				index[id] = len(index)
				g.names = append(g.names, id)
			case "edge":
				edges = append(edges, pending{attribute(element, "source"), attribute(element, "target"), line})
			}
		case xml.EndElement:
			if element.Name.Local == "graph" {
				inside--
				done = inside == 0
			}
		}
	}
	if g.nodes = len(index); g.nodes == 0 {
		return nil, errors.New("a GraphML file with a graph of nodes")
	}
	seen := make(map[Edge]bool)
	for _, e := range edges {
		from, known := index[e.from]
		to, too := index[e.to]
		if !known || !too {
			return nil, fmt.Errorf("edges between nodes of the graph, and line %d is from %q to %q", e.line, e.from, e.to)
		}
		if err := g.add(Edge{from, to}, seen); err != nil {
			return nil, fmt.Errorf("%w, and line %d has not", err, e.line)
		}
	}
	return g, nil
}

func attribute(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// parseMatrix reads the one-way delays in milliseconds between n nodes, a row for each
// node that sends; the diagonal means nothing.
func parseMatrix(text []byte, n int) ([][]float64, error) {
	rows, err := readCSV(text)
	if err != nil {
		return nil, err
	}
	if len(rows) != n {
		return nil, fmt.Errorf("%d rows, one for each node, and it has %d", n, len(rows))
	}
	matrix := make([][]float64, n)
	for i, row := range rows {
		if len(row.fields) != n {
			return nil, fmt.Errorf("%d numbers in each row, one for each node, and line %d has %d", n, row.line, len(row.fields))
		}
		for _, field := range row.fields {
			ms, err := strconv.ParseFloat(field, 64)
			if err != nil || !(ms >= 0 && ms <= maxDelay.Seconds()*1000) {
				return nil, fmt.Errorf("milliseconds of 0 to %d, and line %d has %q", maxDelay.Milliseconds(), row.line, field)
			}
			matrix[i] = append(matrix[i], ms)
		}
	}
	return matrix, nil
}
