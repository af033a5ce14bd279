package testnet

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/rpc"
	"github.com/kapok-chain/kapok/testnet/record"
)

// scene is a ledger of three nodes that run from second 0 on, whose blocks and payments
// have names of one letter. The prelude is block 100.
type scene struct{ *ledger }

// epoch is second 0 of a scene.
var epoch = time.Unix(1_800_000_000, 0)

func second(s float64) time.Time { return epoch.Add(time.Duration(s * float64(time.Second))) }

func newScene() scene {
	s := scene{newLedger(epoch, 3, 100)}
	for node := range 3 {
		s.nodeStarted(node, epoch)
	}
	return s
}

func named(name string) (h consensus.Hash) {
	copy(h[:], name)
	return h
}

// mined puts a block with transactions onto a parent; the nodes have it at these
// seconds, a negative one never.
func (s scene) mined(name, parent string, height uint32, at [3]float64, txs string) {
	for node, at := range at {
		if at >= 0 {
			s.tip(node, named(name), height, second(at))
		}
	}
	var hashes []consensus.Hash
	for _, tx := range txs {
		hashes = append(hashes, named(string(tx)))
	}
	s.learnBlock(named(name), height, named(parent), hashes)
	s.best = named(name)
}

// paid has a payment be due, sent half a second later to node 1, and answered in another
// half; at these seconds it is in mempools.
func (s scene) paid(tx string, due float64, err error, pools ...float64) int {
	id := s.submit(submission{tx: named(tx), node: 0, due: second(due), sent: second(due + 0.5)})
	s.answer(id, second(due+1), err)
	for node, at := range pools {
		if at >= 0 {
			s.accepted(node, named(tx), second(at))
		}
	}
	return id
}

// waiting says what is in mempools in the end.
func (s scene) waiting(txs string) {
	s.pools, s.ledger.mined = make(map[consensus.Hash]bool), make(map[consensus.Hash]bool)
	for _, tx := range txs {
		s.pools[named(string(tx))] = true
	}
}

// stages are a row's times, in order.
func stages(p record.Payment) []float64 {
	return []float64{p.DueS, p.SubmittedS, p.AnsweredS, p.AcceptedS, p.EveryPoolS, p.InBlockS, p.Confirmed1S, p.Confirmed3S, p.Confirmed6S}
}

// equalTimes compares, where two moments that never came are equal.
func equalTimes(a, b []float64) bool {
	return slices.EqualFunc(a, b, func(a, b float64) bool { return math.Abs(a-b) < 1e-9 || math.IsNaN(a) && math.IsNaN(b) })
}

var never = math.NaN()

// sixBlocks are ten seconds apart, node 3 has them a second after node 2 and that a
// second after node 1. Payment x is in the second.
func (s scene) sixBlocks() {
	parent := "prelude"
	for i, name := range []string{"B", "C", "D", "E", "F", "G"} {
		at := float64(10 * (i + 1))
		txs := ""
		if name == "C" {
			txs = "x"
		}
		s.mined(name, parent, uint32(101+i), [3]float64{at, at + 1, at + 2}, txs)
		parent = name
	}
}

func TestLedgerStages(t *testing.T) {
	s := newScene()
	s.paid("x", 12, nil, 13, 15, 14)
	s.sixBlocks()
	p := s.rows()[0]
	if want := []float64{12, 12.5, 13, 13, 15, 20, 22, 42, never}; !equalTimes(stages(p), want) || p.Height != 102 || p.Block != named("C").String() {
		t.Errorf("%v, block %d %s", stages(p), p.Height, p.Block)
	}
	s.mined("H", "G", 107, [3]float64{70, 71, -1}, "")
	if p = s.rows()[0]; !math.IsNaN(p.Confirmed6S) {
		t.Errorf("6 confirmations at %g, and node 3 has 5", p.Confirmed6S)
	}
	s.mined("I", "H", 108, [3]float64{80, -1, 83}, "") // node 3 connected both at once
	if p = s.rows()[0]; p.Confirmed6S != 83 {
		t.Errorf("6 confirmations at %g", p.Confirmed6S)
	}
}

// What a reorganisation took off confirms nothing.
func TestLedgerThroughReorganisation(t *testing.T) {
	s := newScene()
	s.paid("x", 5, nil, 6, 6, 6)
	s.mined("B", "prelude", 101, [3]float64{10, 10, 10}, "")
	s.mined("c", "B", 102, [3]float64{20, 21, 22}, "x")
	s.mined("C", "B", 102, [3]float64{-1, -1, -1}, "")
	s.mined("D", "C", 103, [3]float64{30, 33, 31}, "x")
	p := s.rows()[0]
	if want := []float64{5, 5.5, 6, 6, 6, 30, 33, never, never}; !equalTimes(stages(p), want) || p.Height != 103 {
		t.Errorf("%v, height %d", stages(p), p.Height)
	}
	s.mined("e", "c", 103, [3]float64{-1, -1, -1}, "")
	s.mined("f", "e", 104, [3]float64{40, 41, 42}, "")
	p = s.rows()[0]
	if want := []float64{5, 5.5, 6, 6, 6, 20, 22, 42, never}; !equalTimes(stages(p), want) || p.Height != 102 {
		t.Errorf("back again: %v, height %d", stages(p), p.Height)
	}
}

// A node that does not run is waited for by nobody; one that runs, by all.
func TestLedgerWithoutNode(t *testing.T) {
	t.Run("that ended before", func(t *testing.T) {
		s := newScene()
		s.nodeEnded(1, second(1))
		s.paid("x", 12, nil, 13, -1, 14)
		s.sixBlocks()
		if p := s.rows()[0]; p.EveryPoolS != 14 || p.Confirmed1S != 22 {
			t.Errorf("%v", stages(p))
		}
	})
	t.Run("that ended while it was missing", func(t *testing.T) {
		s := newScene()
		s.paid("x", 12, nil, 13, 14, -1)
		s.nodeEnded(2, second(16))
		s.mined("B", "prelude", 101, [3]float64{10, 10, 10}, "")
		s.mined("C", "B", 102, [3]float64{20, 21, -1}, "x")
		if p := s.rows()[0]; p.EveryPoolS != 16 || p.Confirmed1S != 21 {
			t.Errorf("%v", stages(p))
		}
	})
	t.Run("that came back", func(t *testing.T) {
		s := newScene()
		s.nodeEnded(2, second(16))
		s.paid("x", 17, nil, 18, 19, -1)
		s.nodeStarted(2, second(18.5))
		s.accepted(2, named("x"), second(25))
		s.mined("B", "prelude", 101, [3]float64{30, 30, 40}, "x")
		if p := s.rows()[0]; p.EveryPoolS != 25 || p.Confirmed1S != 40 {
			t.Errorf("%v", stages(p))
		}
	})
	t.Run("whose mempool it was in before it ended", func(t *testing.T) {
		s := newScene()
		s.paid("x", 5, nil, 6, -1, 7)
		s.nodeEnded(2, second(8))
		s.nodeStarted(2, second(9))
		s.accepted(1, named("x"), second(10))
		if p := s.rows()[0]; !math.IsNaN(p.EveryPoolS) {
			t.Errorf("%v", stages(p))
		}
		s.accepted(2, named("x"), second(11))
		s.accepted(2, named("x"), second(12)) // after a reorganisation
		if p := s.rows()[0]; p.EveryPoolS != 11 {
			t.Errorf("%v", stages(p))
		}
	})
	t.Run("whose blocks it kept", func(t *testing.T) {
		s := newScene()
		s.paid("x", 5, nil, 6, 6, 6)
		s.mined("B", "prelude", 101, [3]float64{10, 30, 10}, "x")
		s.nodeEnded(2, second(12))
		s.nodeStarted(2, second(20))
		if p := s.rows()[0]; p.Confirmed1S != 30 {
			t.Errorf("%v", stages(p))
		}
	})
	t.Run("that had it in a block, not in its mempool", func(t *testing.T) {
		s := newScene()
		s.paid("x", 5, nil, 6, 7, -1)
		s.mined("B", "prelude", 101, [3]float64{10, 11, 12}, "x")
		s.nodeEnded(2, second(20))
		if p := s.rows()[0]; !math.IsNaN(p.EveryPoolS) || p.Confirmed1S != 12 {
			t.Errorf("%v", stages(p))
		}
	})
}

// Each status, by a case with its name.
func TestLedgerStatus(t *testing.T) {
	refusal := &rpc.Error{Code: rpc.CodeVerifyRejected, Message: "min relay fee not met"}
	for _, c := range []struct {
		name   string
		happen func(s scene)
		want   record.PaymentStatus
		detail string
	}{
		{"confirmed", func(s scene) { s.paid("x", 12, nil, 13, 13, 13); s.sixBlocks(); s.waiting("") }, record.Confirmed, ""},
		{"confirmed, its node having been cut off from the answer", func(s scene) {
			s.paid("x", 12, context.DeadlineExceeded, 13, 13, 13)
			s.sixBlocks()
			s.waiting("")
		}, record.Confirmed, ""},
		{"pending", func(s scene) { s.paid("x", 12, nil, 13, 13, 13); s.waiting("x") }, record.Pending, ""},
		{"pending, without an answer", func(s scene) { s.paid("x", 12, errors.New("EOF"), 13, 13, 13); s.waiting("x") }, record.Pending, ""},
		{"pending, and refused by its node, which had heard of it already", func(s scene) { s.paid("x", 12, refusal, 12); s.waiting("x") }, record.Pending, ""},
		{"pending before anybody looked", func(s scene) { s.paid("x", 12, nil, 13) }, record.Pending, ""},
		{"pending, in the block of another tip", func(s scene) {
			s.paid("x", 12, nil, 13, 13, 13)
			s.waiting("")
			s.ledger.mined[named("x")] = true
		}, record.Pending, "in a block beside the best chain"},
		{"pending, taken back at another tip", func(s scene) {
			s.paid("x", 12, nil, 13, 13, 13)
			s.conflict(named("x"), named("y"))
			s.waiting("")
			s.ledger.mined[named("y")] = true
		}, record.Pending, "taken back beside the best chain, by " + named("y").String()},
		{"refused", func(s scene) { s.paid("x", 12, refusal); s.waiting("") }, record.Refused, "min relay fee not met (code -26)"},
		{"unanswered", func(s scene) { s.paid("x", 12, errors.New("EOF")); s.waiting("") }, record.Unanswered, "EOF"},
		{"no answer yet", func(s scene) { s.submit(submission{tx: named("x"), sent: second(1)}) }, record.Unanswered, "no answer yet"},
		{"node down", func(s scene) { s.skip(0, second(3), errNodeDown); s.waiting("") }, record.Unanswered, "its node was down"},
		{"lost", func(s scene) { s.paid("x", 12, nil, 13, 13, 13); s.waiting("y") }, record.Lost, ""},
		{"lost by all who had it", func(s scene) {
			s.paid("x", 12, nil, 13, 13)
			s.nodeEnded(0, second(14))
			s.nodeEnded(1, second(14))
			s.waiting("")
		}, record.Lost, ""},
		{"lost by the only one who had it", func(s scene) { s.paid("x", 12, nil, 13); s.waiting("") }, record.Lost, ""},
		{"lost after its node had come back", func(s scene) {
			s.nodeEnded(0, second(5))
			s.nodeStarted(0, second(6))
			s.paid("x", 12, nil, 13)
			s.waiting("")
		}, record.Lost, ""},
		{"died", func(s scene) { s.paid("x", 12, nil, 13); s.nodeEnded(0, second(14)); s.waiting("") }, record.Died, "its node ended before another one had it"},
		{"died before its node said so", func(s scene) { s.paid("x", 12, nil); s.nodeEnded(0, second(13)); s.waiting("") }, record.Died, "its node ended before another one had it"},
		{"died, taken while its node was asked to end", func(s scene) {
			s.paid("x", 12, nil, 14)
			s.nodeEnded(0, second(13.5))
			s.waiting("")
		}, record.Died, "its node ended before another one had it"},
		{"conflicted", func(s scene) {
			s.paid("y", 12, nil, 13, 13, 13)
			s.conflict(named("y"), named("x"))
			s.sixBlocks()
			s.waiting("")
		}, record.Conflicted, "taken back by " + named("x").String()},
		{"a conflict that failed", func(s scene) {
			s.paid("x", 12, nil, 13, 13, 13)
			s.conflict(named("x"), named("y"))
			s.sixBlocks()
			s.waiting("")
		}, record.Confirmed, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScene()
			c.happen(s)
			rows := s.rows()
			if len(rows) != 1 || rows[0].Status != c.want || rows[0].Detail != c.detail {
				t.Errorf("%+v", rows)
			}
		})
	}
}

// everywhere by its definition: at each moment at which something happens, look at all
// nodes.
func TestEverywhereIsItsDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const nodes = 4
		g := newLedger(epoch, nodes, 0)
		kept := rapid.Bool().Draw(t, "kept")
		until := float64(rapid.IntRange(0, 40).Draw(t, "until"))
		var arrivals []acceptance
		running, has := make([]bool, nodes), make([]bool, nodes)
		want := never
		for at := 1.0; at < 30; at++ {
			node := rapid.IntRange(0, nodes-1).Draw(t, "node")
			switch {
			case rapid.Bool().Draw(t, "turn"):
				if g.turn(node, second(at), !running[node]); running[node] && !kept {
					has[node] = false
				}
				running[node] = !running[node]
			case running[node] || kept:
				arrivals = append(arrivals, acceptance{node, at})
				has[node] = true
			}
			some, all := false, true
			for i := range nodes {
				some = some || running[i] && has[i]
				all = all && (!running[i] || has[i])
			}
			if math.IsNaN(want) && some && all && at <= until {
				want = at
			}
		}
		if got := g.everywhere(arrivals, until, kept); !equalTimes([]float64{got}, []float64{want}) {
			t.Fatalf("%g, expected %g", got, want)
		}
	})
}

// Blocks of the prelude hold no payments: nothing is kept of them.
func TestLedgerOfPreludeAlone(t *testing.T) {
	s := newScene()
	s.paid("x", 1, nil, 2)
	for node := range 3 {
		s.tip(node, named("early"), 99, second(0))
		s.tip(node, named("prelude"), 100, second(1))
	}
	s.best = named("early")
	if p := s.rows()[0]; len(s.blocks) > 0 || p.Block != "" || p.Status != record.Pending {
		t.Errorf("%d blocks, %+v", len(s.blocks), p)
	}
}

// Payments are settled when each row says that nothing more is to come.
func TestLedgerSettled(t *testing.T) {
	s := newScene()
	expect := func(want bool, after string) {
		t.Helper()
		byRows := !slices.ContainsFunc(s.rows(), func(p record.Payment) bool {
			return p.Status == record.Pending || p.Status == record.Confirmed && math.IsNaN(p.Confirmed6S)
		})
		if got := s.settled(); got != want || byRows != want {
			t.Errorf("%s: settled: %v, by the rows: %v; expected %v", after, got, byRows, want)
		}
	}
	expect(true, "no payment")
	s.paid("y", 11, &rpc.Error{Code: rpc.CodeVerifyRejected, Message: "min relay fee not met"})
	s.skip(0, second(11), errNodeDown)
	expect(true, "one refused, one not sent")
	s.paid("x", 12, nil, 13, 15, 14)
	expect(false, "one in mempools")
	s.sixBlocks()
	expect(false, "five confirmations")
	s.mined("H", "G", 107, [3]float64{70, 71, -1}, "")
	expect(false, "six, but not at node 3")
	s.mined("I", "H", 108, [3]float64{80, -1, 83}, "")
	expect(true, "six everywhere")
}

// Whoever waits for a payment to be in every mempool is told when the nodes that run then
// have it: those that have ended do not count, nor does what a node had before its restart.
func TestInEveryPool(t *testing.T) {
	told := func(there <-chan struct{}) bool {
		select {
		case <-there:
			return true
		default:
			return false
		}
	}
	s := newScene() // three nodes
	s.paid("x", 12, nil, 13)
	there := s.inEveryPool(named("x"))
	s.nodeEnded(0, second(14))
	s.nodeStarted(0, second(15))
	s.accepted(1, named("x"), second(16))
	s.nodeEnded(2, second(17))
	if told(there) {
		t.Error("it is in every mempool, though node 1 has lost it")
	}
	s.accepted(0, named("x"), second(18))
	if !told(there) {
		t.Error("it is in every mempool, and nobody says so")
	}
	s.paid("y", 12, nil, 19, 19)
	if !told(s.inEveryPool(named("y"))) {
		t.Error("it was in every mempool before, and nobody says so")
	}
	s.paid("z", 12, nil, 20)
	there = s.inEveryPool(named("z"))
	s.nodeEnded(1, second(21))
	if !told(there) {
		t.Error("it is in every mempool since a node has ended, and nobody says so")
	}
}
