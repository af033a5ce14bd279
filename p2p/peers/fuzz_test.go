package peers

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/kapok-chain/kapok/internal/frugal"
)

// FuzzDecodeBook: whatever a file says, a book keeps its caps, and what it holds is
// the same when it is written and read again.
func FuzzDecodeBook(f *testing.F) {
	f.Fuzz(func(t *testing.T, text []byte, private bool) {
		rng := rand.New(rand.NewPCG(1, 2))
		read := func(text []byte) (b *Book, anchors []netip.AddrPort, err error) {
			frugal.Call(t, "Decode", len(text), func() {
				b = NewBook(private)
				anchors, err = b.Decode(rng, "net", text)
			})
			return b, anchors, err
		}
		b, anchors, err := read(text)
		if err != nil {
			if anchors != nil {
				t.Fatalf("anchors %v beside an error", anchors)
			}
			return
		}
		b.check(t)
		written, err := b.Snapshot("net", anchors).Encode()
		if err != nil {
			t.Skip(err) // an anchor that is none, a year that JSON has not
		}
		again, same, err := read(written)
		if err != nil || !slices.Equal(anchors, same) {
			t.Fatalf("%s\nis read with anchors %v, not %v: %v", written, same, anchors, err)
		}
		addrs := func(b *Book) []netip.AddrPort {
			return slices.SortedFunc(maps.Keys(b.known), netip.AddrPort.Compare)
		}
		if !slices.Equal(addrs(b), addrs(again)) {
			t.Fatalf("%s\nis read as %v, not %v", written, addrs(again), addrs(b))
		}
		for addr, e := range b.known {
			if other := again.known[addr]; other.tried != e.tried || other.seen.Unix() != e.seen.Unix() || !slices.Equal(slices.Sorted(texts(other.sources)), slices.Sorted(texts(e.sources))) {
				t.Fatalf("%s is read as %+v, not %+v", addr, other, e)
			}
		}
	})
}

func texts(prefixes []netip.Prefix) func(func(string) bool) {
	return func(yield func(string) bool) {
		for _, p := range prefixes {
			if !yield(p.String()) {
				return
			}
		}
	}
}

// TestBookFileOfManyRecords: a file of the largest size, and of the smallest records,
// costs no memory.
func TestBookFileOfManyRecords(t *testing.T) {
	text := []byte(`{"version":1,"network":"net","tried":[` + strings.Repeat("{},", MaxFile/3-20) + `{}]}`)
	frugal.Call(t, "Decode", len(text)/100, func() {
		if _, err := NewBook(true).Decode(nil, "net", text); err == nil || !strings.Contains(err.Error(), "records") {
			t.Error(err)
		}
	})
	if !bytes.HasSuffix(text, []byte("{}]}")) || len(text) > MaxFile {
		t.Error("the file is not what it should be")
	}
}
