package p2p

import (
	"errors"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/kapok-chain/kapok/consensus"
)

// TestPartialBlock: whatever part of a block the mempool holds, the block comes
// out whole.
func TestPartialBlock(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		block := sampleBlock(rapid.IntRange(1, 40).Draw(t, "transactions"))
		pool := make(map[consensus.Hash]*consensus.Tx)
		var refs []TxRef
		want := make(map[uint32]bool)
		for i, tx := range block.Txs {
			if i > 0 && rapid.Bool().Draw(t, "known") {
				refs = append(refs, TxRef{tx.TxID(), tx.WTxID()})
				pool[tx.WTxID()] = tx
			} else if i > 0 {
				want[uint32(i)] = true
			}
		}
		find := func(wtxid consensus.Hash) *consensus.Tx { return pool[wtxid] }
		p, err := NewPartialBlock(NewAnnounce(block, rapid.Uint64().Draw(t, "nonce")), refs, find)
		if err != nil {
			t.Fatal(err)
		}
		var rest []*consensus.Tx
		for _, i := range p.Missing() {
			if !want[i] {
				t.Fatalf("%d is missing", i)
			}
			rest = append(rest, block.Txs[i])
		}
		if len(rest) != len(want) {
			t.Fatalf("%d are missing, not %d", len(rest), len(want))
		}
		if _, err := p.Fill(append(rest[:len(rest):len(rest)], block.Txs[0])); !errors.Is(err, ErrFillCount) {
			t.Fatalf("one too many: %v", err)
		}
		got, err := p.Fill(rest)
		if err != nil || string(got.Bytes()) != string(block.Bytes()) {
			t.Fatalf("another block came out: %v", err)
		}
		if !slices.Equal(got.TxIDs(), block.TxIDs()) || !slices.Equal(got.WTxIDs(), block.WTxIDs()) {
			t.Fatal("the block has other ids")
		}
		if _, err := p.Fill(rest); !errors.Is(err, ErrFilled) {
			t.Fatalf("filled twice: %v", err)
		}
	})
}

func TestPartialBlockCollisions(t *testing.T) {
	block := sampleBlock(3)
	m := NewAnnounce(block, 1)
	twice := *m
	twice.ShortIDs = []ShortID{m.ShortIDs[0], m.ShortIDs[0]}
	if _, err := NewPartialBlock(&twice, nil, nil); !errors.Is(err, ErrShortIDTwice) {
		t.Errorf("an id twice: %v", err)
	}
	// Two transactions of the mempool with one id: neither is taken.
	tx := block.Txs[1]
	ref := TxRef{tx.TxID(), tx.WTxID()}
	p, err := NewPartialBlock(m, []TxRef{ref, ref}, func(consensus.Hash) *consensus.Tx { return tx })
	if err != nil || len(p.Missing()) != 2 {
		t.Errorf("missing %v, %v; want both", p.Missing(), err)
	}
}

func TestRecentForgetsTheOldest(t *testing.T) {
	r := newRecent[int](3)
	for i := range 10 {
		if !r.add(i) || r.add(i) {
			t.Fatalf("%d is new once", i)
		}
	}
	for i := range 10 {
		if r.has(i) != (i >= 7) {
			t.Errorf("%d: %v", i, r.has(i))
		}
	}
}

func TestBucket(t *testing.T) {
	now := time.Unix(1000, 0)
	b := newBucket(now, 100, 10)
	if !b.take(now, 100) || b.take(now, 1) {
		t.Error("a burst of 100, and no more")
	}
	if now = now.Add(time.Second); !b.take(now, 10) || b.take(now, 1) {
		t.Error("10 a second, and no more")
	}
	for range 999 { // many small steps lose nothing
		now = now.Add(time.Millisecond)
		b.refill(now)
	}
	if b.level != 9 {
		t.Errorf("%d after 999 ms", b.level)
	}
	if now = now.Add(1000 * time.Hour); !b.take(now, 100) || b.take(now, 1) {
		t.Error("full after a long time, and not more")
	}
	if now = now.Add(-2000 * time.Hour); b.take(now, 1) {
		t.Error("a clock set back brings tokens")
	}
	if now = now.Add(time.Second); !b.take(now, 10) {
		t.Error("a clock set back stops the bucket")
	}
}
