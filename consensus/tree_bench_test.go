package consensus_test

import (
	"testing"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
)

// BenchmarkAddHeader is one header judged and added, on a chain of 2,000 under
// asert-relative.
func BenchmarkAddHeader(b *testing.B) {
	p := consensus.Regtest()
	p.Name, p.Rule, p.HalfLife = "bench", consensus.RuleASERTRelative, 172_800
	if err := p.Init(); err != nil {
		b.Fatal(err)
	}
	c := chaintest.New(b, p)
	c.Grow("genesis - a1..a2000")
	path, now := c.Path("a2000"), c.Now()
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		tree := consensus.NewTree(p)
		b.StartTimer()
		for _, block := range path {
			if _, err := tree.AddHeader(&block.Header, now); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(path)), "ns/header")
}
