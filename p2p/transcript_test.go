package p2p_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/p2p"
	"github.com/kapok-chain/kapok/sim/virtual"
)

var update = flag.Bool("update", false, "write the transcripts under testdata anew")

// note adds a message that arrives to the transcript.
func (w *world) note(d virtual.Delivery) {
	if w.script == nil {
		return
	}
	by := "stream"
	if d.Gossip {
		by = "gossip"
	}
	fmt.Fprintf(w.script, "%6d ms  %s -> %s  %s  %s\n", w.Now.Sub(w.start).Milliseconds(), d.From.ID, d.To.ID, by, w.describe(d.Msg))
}

// say adds a line of the story itself.
func (w *world) say(line string) { fmt.Fprintf(w.script, "# %s\n", line) }

func (w *world) describe(m p2p.Msg) string {
	names := func(hashes []consensus.Hash) string {
		var s []string
		for _, h := range hashes {
			if n := w.chain.Name(h); len(n) < 20 {
				s = append(s, n)
			} else {
				s = append(s, n[:8])
			}
		}
		return strings.Join(s, " ")
	}
	switch m := m.(type) {
	case *p2p.Hello:
		return fmt.Sprintf("hello height=%d tip=%s agent=%s", m.Height, w.chain.Name(m.Tip), m.Agent)
	case *p2p.GetHeaders:
		return "getheaders after " + names(m.Locator)
	case *p2p.Headers:
		if len(m.Headers) == 0 {
			return "headers: none"
		}
		first, last := m.Headers[0].Hash(), m.Headers[len(m.Headers)-1].Hash()
		return fmt.Sprintf("headers %s..%s", w.chain.Name(first), w.chain.Name(last))
	case *p2p.GetBlocks:
		return "getblocks " + names(m.Hashes)
	case *p2p.Block:
		return "block " + w.chain.Name(m.Block.Hash())
	case *p2p.NotFound:
		return "notfound " + names(m.Hashes)
	case *p2p.Announce:
		return fmt.Sprintf("announce %s, %d short ids", w.chain.Name(m.Header.Hash()), len(m.ShortIDs))
	case *p2p.GetBlockTxs:
		return fmt.Sprintf("getblocktxs %s %d", w.chain.Name(m.Block), m.Indexes)
	case *p2p.BlockTxs:
		return fmt.Sprintf("blocktxs %s, %d transactions", w.chain.Name(m.Block), len(m.Txs))
	case *p2p.Tx:
		return fmt.Sprintf("tx %.8s", m.Tx.TxID())
	case *p2p.MempoolIDs:
		return fmt.Sprintf("mempoolids, %d of them", len(m.IDs))
	case *p2p.Offer:
		return fmt.Sprintf("offer, %d transactions", len(m.WTxIDs))
	case *p2p.GetTxs:
		return fmt.Sprintf("gettxs, %d by short id, by hash [%s]", len(m.IDs), names(m.Hashes))
	case *p2p.Peers:
		return fmt.Sprintf("peers, %d addresses", len(m.Addrs))
	}
	return strings.ToLower(kind(m))
}

// golden compares the transcript with the one under testdata.
func (w *world) golden() {
	w.t.Helper()
	file := filepath.Join("testdata", filepath.Base(w.t.Name())+".txt")
	if *update {
		w.ok(os.WriteFile(file, []byte(w.script.String()), 0o644))
		return
	}
	want, err := os.ReadFile(file)
	w.ok(err)
	if got := w.script.String(); got != string(want) {
		gotLines, wantLines := strings.Split(got, "\n"), strings.Split(string(want), "\n")
		for i := range min(len(gotLines), len(wantLines)) {
			if gotLines[i] != wantLines[i] {
				w.t.Fatalf("%s differs in line %d\n got: %s\nwant: %s", file, i+1, gotLines[i], wantLines[i])
			}
		}
		w.t.Fatalf("%s has %d lines, the transcript %d", file, len(wantLines), len(gotLines))
	}
}

func TestTranscriptSync(t *testing.T) {
	w := newWorld(t, 14)
	w.script = new(strings.Builder)
	w.chain.Grow("genesis - a1..a20")
	a, b, c := w.add("a"), w.add("b"), w.add("c")
	a.give(w.chain.Path("a20")...)
	b.give(w.chain.Path("a18")...)
	w.say("c is new; a has twenty blocks, b has eighteen of them")
	w.link(c, a)
	w.link(c, b)
	w.until(10*time.Second, "c at the tip", allAt(w.chain.Hash("a20"), b, c))
	w.run(time.Second)
	w.golden()
}

func TestTranscriptAnnounce(t *testing.T) {
	w := newWorld(t, 12)
	w.script = new(strings.Builder)
	a, b, c := w.add("a"), w.add("b"), w.add("c")
	w.link(a, b)
	w.link(b, c)
	w.run(time.Second)
	w.say("a pays, everyone hears of it; a block holds the payment, and one that nobody has seen")
	known, unknown := loose(1, 0), loose(2, 0)
	a.pay(known)
	w.run(time.Second)
	w.chain.Mine("genesis", "a1", holding(known, unknown))
	a.give(w.chain.Block("a1"))
	w.until(10*time.Second, "everyone at the tip", allAt(w.chain.Hash("a1"), a, b, c))
	w.run(time.Second)
	w.say("a block of what everyone has")
	known = loose(3, 0)
	a.pay(known)
	w.run(time.Second)
	w.chain.Mine("a1", "a2", holding(known))
	a.give(w.chain.Block("a2"))
	w.until(10*time.Second, "everyone at the tip", allAt(w.chain.Hash("a2"), a, b, c))
	w.run(time.Second)
	w.golden()
}

func TestTranscriptReconcile(t *testing.T) {
	w := newWorld(t, 13)
	w.script = new(strings.Builder)
	a, b, c := w.add("a"), w.add("b"), w.add("c")
	w.link(b, c)
	for i := range 3 {
		a.pay(loose(i, 0))
	}
	w.run(time.Second)
	w.say("a holds three payments and meets b, who tells c")
	w.link(a, b)
	w.until(10*time.Second, "c has all payments", func() bool { return len(c.pool) == 3 })
	w.run(time.Second)
	w.say("a child is heard of before its parent, which gossip has lost")
	parent := loose(9, 0)
	a.addTx(parent)
	a.pay(childOf(parent))
	w.until(2*time.Second, "c has both", func() bool { return len(c.pool) == 5 })
	w.run(time.Second)
	w.golden()
}
