package host

import (
	"testing"
)

// TestDHT: nodes in a line, each of which knows the one before, find each other by
// the table and connect.
func TestDHT(t *testing.T) {
	var line []*node
	for i := range 4 {
		c := inGroup(1 + i)
		c.DHT = true
		c.Book = OpenBook("", testGenesis, true, nil)
		if i > 0 {
			c.Peers = []string{line[i-1].Addrs()[0]}
		}
		line = append(line, start(t, c))
	}
	first, last := line[0], line[3]
	first.waitFor(t, "connected", last.ID(), 1)
	last.waitFor(t, "connected", first.ID(), 1)
}
