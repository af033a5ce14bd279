package mempool

import (
	"fmt"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/consensus"

	"pgregory.net/rapid"
)

// orphanTx spends output 0 of some parents; size bytes are added to it.
func orphanTx(n int, size int, parents ...byte) *consensus.Tx {
	tx := &consensus.Tx{LockTime: uint32(n), Outputs: []consensus.TxOut{{Script: make([]byte, size)}}}
	for _, parent := range parents {
		tx.Inputs = append(tx.Inputs, consensus.TxIn{PrevOut: consensus.OutPoint{TxID: consensus.Hash{parent}}})
	}
	return tx
}

var epoch = time.Unix(1_000_000_000, 0)

func TestOrphanLimits(t *testing.T) { // 150 mp-orphan
	p := New(Config{MaxOrphans: 6, MaxPeerOrphans: 4})
	for i := range 10 { // one peer pushes out its own
		p.AddOrphan(epoch, "greedy", orphanTx(i, 100, 1))
	}
	if p.Orphans() != 4 || !p.HasOrphan(orphanTx(9, 100, 1).WTxID()) || p.HasOrphan(orphanTx(5, 100, 1).WTxID()) {
		t.Fatalf("%d orphans", p.Orphans())
	}
	for i := range 3 { // and makes room for others
		p.AddOrphan(epoch, fmt.Sprint("peer", i), orphanTx(100+i, 50, 2))
	}
	if p.Orphans() != 6 || len(p.orphans.peers["greedy"].queue) != 3 {
		t.Fatalf("%d orphans, %d of the greedy peer", p.Orphans(), len(p.orphans.peers["greedy"].queue))
	}
	p.ForgetPeer("greedy")
	if p.Orphans() != 3 {
		t.Fatalf("%d orphans without the greedy peer", p.Orphans())
	}
}

func TestOrphanBytes(t *testing.T) {
	p := New(Config{MaxPeerOrphBytes: 1000, MaxOrphanBytes: 1500})
	if p.AddOrphan(epoch, "a", orphanTx(0, 1000, 1)) {
		t.Error("an orphan larger than a peer may hold was kept")
	}
	for i, peer := range []string{"a", "a", "a", "b", "b"} {
		p.AddOrphan(epoch, peer, orphanTx(i, 400, 1))
	}
	if p.OrphanBytes() > 1500 || p.orphans.peers["a"].bytes > 1000 || p.Orphans() != 3 {
		t.Errorf("%d bytes in %d orphans", p.OrphanBytes(), p.Orphans())
	}
}

func TestOrphansExpire(t *testing.T) {
	p := New(Config{})
	p.AddOrphan(epoch, "a", orphanTx(0, 10, 1))
	p.AddOrphan(epoch.Add(time.Minute), "a", orphanTx(1, 10, 1))
	p.AddOrphan(epoch.Add(time.Minute), "b", orphanTx(2, 10, 1))
	p.Expire(epoch.Add(DefaultConfig().OrphanExpiry + 1))
	if p.Orphans() != 2 {
		t.Errorf("%d orphans", p.Orphans())
	}
}

func TestBlocksSettleOrphans(t *testing.T) {
	p := New(Config{})
	confirmed, rival, other := orphanTx(0, 10, 1), orphanTx(1, 10, 2), orphanTx(2, 10, 2)
	other.Inputs[0].PrevOut.Index = 7
	for _, tx := range []*consensus.Tx{confirmed, rival, other} {
		p.AddOrphan(epoch, "a", tx)
	}
	p.confirm(&consensus.Block{Txs: []*consensus.Tx{confirmed, orphanTx(9, 9, 2)}}, 1)
	if p.Orphans() != 1 || !p.HasOrphan(other.WTxID()) {
		t.Errorf("%d orphans", p.Orphans())
	}
}

func TestOrphanageInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := New(Config{MaxOrphans: 8, MaxPeerOrphans: 4, MaxOrphanBytes: 2500, MaxPeerOrphBytes: 1200})
		now, seq := epoch, 0
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				seq++
				parents := rapid.SliceOfN(rapid.ByteRange(1, 6), 1, 3).Draw(t, "parents")
				p.AddOrphan(now, rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "peer"), orphanTx(seq, rapid.IntRange(1, 700).Draw(t, "size"), parents...))
			},
			"children": func(t *rapid.T) {
				parent := consensus.Hash{rapid.ByteRange(1, 6).Draw(t, "parent")}
				for _, o := range p.Children(parent) {
					if p.HasOrphan(o.Tx.WTxID()) {
						t.Fatal("a child that was taken out is still there")
					}
				}
				if len(p.Children(parent)) > 0 {
					t.Fatal("not all children were taken out")
				}
			},
			"forget": func(t *rapid.T) { p.ForgetPeer(rapid.SampledFrom([]string{"a", "b"}).Draw(t, "peer")) },
			"expire": func(t *rapid.T) {
				now = now.Add(rapid.SampledFrom([]time.Duration{time.Minute, 15 * time.Minute}).Draw(t, "later"))
				p.Expire(now)
			},
			"": func(t *rapid.T) { auditOrphans(t, p) },
		})
	})
}

func auditOrphans(t *rapid.T, p *Pool) {
	s := &p.orphans
	var bytes int64
	links, count := 0, 0
	for _, held := range s.peers {
		var sum int64
		for _, o := range held.queue {
			sum += int64(o.tx.Size())
			links += len(parentsOf(o.tx))
			count++
		}
		if sum != held.bytes || sum > s.cfg.MaxPeerOrphBytes || len(held.queue) > s.cfg.MaxPeerOrphans || len(held.queue) == 0 {
			t.Fatalf("a peer holds %d of %d bytes in %d orphans", held.bytes, sum, len(held.queue))
		}
		bytes += sum
	}
	for _, list := range s.byParent {
		links -= len(list)
	}
	if bytes != s.bytes || bytes > s.cfg.MaxOrphanBytes || count != len(s.byWTxID) || count > s.cfg.MaxOrphans || links != 0 {
		t.Fatalf("%d orphans of %d bytes, %d links too many", count, bytes, links)
	}
}

// manyOrphans is a pool with a hundred orphans of ten peers, and a block, which all spend
// from the same transaction, each other outputs.
func manyOrphans() (*Pool, *consensus.Block) {
	const orphans, inputs, spends = 100, 2_400, 17_000
	p, parent := New(Config{}), consensus.Hash{1}
	spend := func(from, n int) *consensus.Tx {
		tx := &consensus.Tx{Inputs: make([]consensus.TxIn, n)}
		for i := range tx.Inputs {
			tx.Inputs[i].PrevOut = consensus.OutPoint{TxID: parent, Index: uint32(from + i)}
		}
		return tx
	}
	for i := range orphans {
		p.AddOrphan(epoch, string(rune('a'+i%10)), spend((i+1)*spends, inputs))
	}
	return p, &consensus.Block{Txs: []*consensus.Tx{spend(0, spends)}}
}

func TestBlocksLeaveOtherOrphans(t *testing.T) {
	p, block := manyOrphans()
	p.confirm(block, 1)
	if p.Orphans() < 90 {
		t.Errorf("%d orphans are left", p.Orphans())
	}
}

// BenchmarkBlocksSettleOrphans is a block beside them: milliseconds, where comparing them
// pair by pair took seconds.
func BenchmarkBlocksSettleOrphans(b *testing.B) {
	p, block := manyOrphans()
	for b.Loop() {
		p.confirm(block, 1)
	}
}
