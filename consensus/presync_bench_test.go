package consensus

import (
	"math/rand/v2"
	"testing"
	"time"
)

// impossible is more work than any chain has.
var impossible = Uint256{0, 0, 0, 1 << 63}

// BenchmarkPresync is one header of a first pass, in messages of 2,000: right ones
// under each difficulty rule, and one whose work is not done, which ends the look.
func BenchmarkPresync(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 1))
	for _, p := range presyncNetworks(b) {
		b.Run(string(p.Rule), func(b *testing.B) {
			const n, message = 20_000, 2_000
			now := time.Unix(int64(p.GenesisTime)+600*(n+1), 0)
			genesis := NewTree(p).Genesis()
			headers := make([]Header, n)
			for i, last := 0, genesis; i < n; i++ {
				headers[i] = headerOn(p, last, 600, 0)
				last = last.Child(&headers[i])
			}
			b.ReportAllocs()
			for b.Loop() {
				s := NewPresync(p, genesis, impossible, now, random)
				for i := 0; i < n; i += message {
					if _, err := s.Next(headers[i:i+message], true, now); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/header")
		})
	}
	b.Run("no work", func(b *testing.B) {
		p := Main()
		genesis, now := NewTree(p).Genesis(), time.Unix(int64(p.GenesisTime)+3600, 0)
		h := []Header{{Version: MinVersion, Prev: genesis.Hash, Time: p.GenesisTime + 600, Bits: p.StartBits}}
		s := NewPresync(p, genesis, impossible, now, random)
		b.ReportAllocs()
		for b.Loop() {
			s.over = false
			if _, err := s.Next(h, true, now); err == nil {
				b.Fatal("no work, and no error")
			}
		}
	})
}
