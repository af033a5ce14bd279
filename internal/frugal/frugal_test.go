package frugal_test

import (
	"testing"

	"github.com/kapok-chain/kapok/internal/frugal"
)

// failed is a test that only remembers that it failed.
type failed struct {
	testing.TB
	is bool
}

func (f *failed) Helper()               {}
func (f *failed) Fatalf(string, ...any) { f.is = true }

var sink []byte

func TestCall(t *testing.T) {
	const input = 1 << 20
	for _, c := range []struct {
		pieces, size int
		fails        bool
	}{
		{0, 0, false}, {1, frugal.Factor*input + frugal.Slack, false}, {1, frugal.Factor*input + frugal.Slack + 1, true},
		{8 * input / 1024, 1024, false}, {10 * input / 1024, 1024, true}, {10 * input / 16, 16, true},
	} {
		got := &failed{TB: t}
		frugal.Call(got, "making pieces", input, func() {
			for range c.pieces {
				sink = make([]byte, c.size)
			}
		})
		if got.is != c.fails {
			t.Errorf("%d pieces of %d bytes: failed %v", c.pieces, c.size, got.is)
		}
	}
}
