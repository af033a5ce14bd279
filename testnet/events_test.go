package testnet

import (
	"context"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/testnet/record"
	"github.com/kapok-chain/kapok/testnet/spec"
)

// A network that is cut in two goes on with two chains, and has one again when it heals,
// even where both are of equal work. Half of it is in processes of their own.
func TestPartitionAndHeal(t *testing.T) {
	t.Parallel()
	s := smallSpec(t, 4)
	s.Nodes[1].Process, s.Nodes[2].Process = true, true
	quiet(s)
	r := smallRun(t, smallOptions(t, s))
	eventually(t, r, "a block everywhere", func() bool { return lowest(r.recorder.tips) > s.Prelude })
	if err := r.act(t.Context(), t.Context(), &spec.Event{Kind: spec.Partition, Groups: [][]int{{0, 3}}}); err != nil {
		t.Fatal(err)
	}
	var cut []tipSighting
	r.recorder.look(func() { cut = append(cut, r.recorder.tips...) })
	eventually(t, r, "two blocks on each side", func() bool {
		at := r.recorder.tips
		return at[0].Height >= cut[0].Height+2 && at[1].Height >= cut[1].Height+2
	})
	r.recorder.look(func() {
		for _, block := range r.recorder.order {
			if there, here := block.arrival[0], block.arrival[1]; block.Height > max(cut[0].Height, cut[1].Height)+1 && !math.IsNaN(there) && !math.IsNaN(here) {
				t.Errorf("a block of height %d came from one side to the other", block.Height)
			}
		}
	})
	tie(t, r)
	if err := r.act(t.Context(), t.Context(), &spec.Event{Kind: spec.Heal}); err != nil {
		t.Fatal(err)
	}
	oneTip(t, r)
	stale := 0
	for _, b := range r.recorder.rows() {
		if b.Status == record.Stale {
			stale++
		}
	}
	if stale < 2 {
		t.Errorf("%d stale blocks after two sides mined two each", stale)
	}
}

// tie lets the first two nodes, which hear nothing of each other, mine until they are at
// branches of one length.
func tie(t *testing.T, r *run) {
	t.Helper()
	if err := r.mine(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	for {
		first, _ := r.net.seats[0].probe(t.Context())
		second, _ := r.net.seats[1].probe(t.Context())
		behind := r.net.seats[0]
		switch {
		case first.Height == second.Height:
			return
		case first.Height > second.Height:
			behind = r.net.seats[1]
		}
		if err := r.oneMore(t.Context(), behind, 20*time.Second); err != nil {
			t.Fatal(err)
		}
	}
}

func lowest(tips []tipSighting) uint32 {
	low := uint32(math.MaxUint32)
	for _, tip := range tips {
		low = min(low, tip.Height)
	}
	return low
}

// Nodes that stop, or are killed, and start again catch up; in this process and in others.
func TestStopKillRestart(t *testing.T) {
	t.Parallel()
	s := smallSpec(t, 4)
	s.Nodes[1].Process, s.Nodes[2].Process = true, true
	quiet(s)
	r := smallRun(t, smallOptions(t, s))
	play := func(kind spec.Kind, nodes ...int) {
		t.Helper()
		if err := r.act(t.Context(), t.Context(), &spec.Event{Kind: kind, Nodes: nodes}); err != nil {
			t.Fatal(err)
		}
	}
	grow := func(nodes ...int) {
		t.Helper()
		var from []tipSighting
		r.recorder.look(func() { from = append(from, r.recorder.tips...) })
		eventually(t, r, "new blocks", func() bool {
			for _, node := range nodes {
				if r.recorder.tips[node].Height <= from[node].Height {
					return false
				}
			}
			return true
		})
	}
	grow(0, 1, 2, 3)
	play(spec.Kill, 1, 2)
	play(spec.Stop, 3)
	play(spec.Stop, 3) // once more is nothing
	if up := r.net.running(); len(up) != 1 {
		t.Errorf("nodes %v run", up)
	}
	if r.net.client(1) != nil || r.net.client(0) == nil {
		t.Error("clients are not those of the nodes that run")
	}
	grow(0)
	before, _ := r.net.seats[1].probe(t.Context())
	play(spec.Restart, 1, 2, 3)
	grow(1, 2, 3)
	after, up := r.net.seats[1].probe(t.Context())
	if !up || !(after.Hashes > before.Hashes && before.Hashes > 0 && after.HashesDue >= before.HashesDue) {
		t.Errorf("the miner that was killed had done %+v, and after its restart %+v", before, after)
	}
	play(spec.Clock, 2)
	oneTip(t, r)
	if err := r.net.seats[0].kill(t.Context()); err != errInProcess {
		t.Errorf("a node of this process is killed: %v", err)
	}
}

// A node whose clock is wrong dates its blocks by it, in this process and in another, and
// after a restart; when they were found is recorded by the machine's clock all the same.
func TestWrongClock(t *testing.T) {
	t.Parallel()
	s := smallSpec(t, 3)
	s.Nodes[1].Process = true
	quiet(s)
	o := smallOptions(t, s)
	r := smallRun(t, o)
	play := func(e spec.Event) {
		t.Helper()
		if err := r.act(t.Context(), t.Context(), &e); err != nil {
			t.Fatal(err)
		}
	}
	ahead := func(node int, offset time.Duration) {
		t.Helper()
		since := r.recorder.since(time.Now())
		eventually(t, r, "a block that is dated by a wrong clock", func() bool {
			now := r.recorder.since(time.Now())
			for _, b := range r.recorder.order {
				found := r.began.Add(time.Duration(b.found * float64(time.Second)))
				if b.found > now || b.found < 0 {
					t.Fatalf("block %d was found %.3f s after the start, it is %.3f s", b.Height, b.found, now)
				}
				by := time.Unix(int64(b.Header.Time), 0).Sub(found)
				if b.miner == node+1 && b.found > since && by > offset-10*time.Second {
					return true
				}
			}
			return false
		})
	}
	play(spec.Event{Kind: spec.Clock, Nodes: []int{0}, Offset: 5 * time.Minute})
	ahead(0, 5*time.Minute)
	play(spec.Event{Kind: spec.Clock, Nodes: []int{1}, Offset: 10 * time.Minute})
	ahead(1, 10*time.Minute)
	play(spec.Event{Kind: spec.Stop, Nodes: []int{1}})
	play(spec.Event{Kind: spec.Clock, Nodes: []int{1}, Offset: 15 * time.Minute})
	play(spec.Event{Kind: spec.Restart, Nodes: []int{1}})
	ahead(1, 15*time.Minute)
	oneTip(t, r)
	recorded, err := record.Open(o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	var offsets []any
	for _, e := range recorded.Events {
		if e.Kind == "clock" {
			offsets = append(offsets, e.Values["offset_s"])
		}
	}
	if !slices.Equal(offsets, []any{300.0, 600.0, 900.0}) {
		t.Errorf("the record has clocks wrong by %v s", offsets)
	}
}

// Nodes that come and go at random are all there when that is over.
func TestChurn(t *testing.T) {
	t.Parallel()
	s := smallSpec(t, 4)
	quiet(s)
	o := smallOptions(t, s)
	r := smallRun(t, o)
	e := spec.Event{Kind: spec.Churn, Nodes: []int{2, 3}, Rate: 600, Down: 100 * time.Millisecond, For: time.Second}
	if err := r.act(t.Context(), t.Context(), &e); err != nil {
		t.Fatal(err)
	}
	if up := r.net.running(); len(up) != 4 {
		t.Errorf("nodes %v run", up)
	}
	oneTip(t, r)
	recorded, err := record.Open(o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	count := make(map[string]int)
	for _, e := range recorded.Events {
		count[e.Kind]++
	}
	if count["churn"] != 2 || count["stop"] == 0 || count["stop"] != count["restart"] {
		t.Errorf("the events are %v", count)
	}
}

// A selfish miner is two nodes for the time of its attack: what its private one finds is
// recorded as its own, and its hashes are the node's.
func TestAttack(t *testing.T) {
	t.Parallel()
	s := smallSpec(t, 3)
	quiet(s)
	s.Nodes[1].HashesPerS /= 2
	e := spec.Event{Kind: spec.Selfish, Nodes: []int{1}}
	s.Events = []spec.Event{e}
	o := smallOptions(t, s)
	r := smallRun(t, o)
	ctx, cancel := context.WithCancel(t.Context())
	attacked := make(chan error, 1)
	go func() { attacked <- r.act(ctx, t.Context(), &e) }()
	secret := 0
	eventually(t, r, "four blocks of the attacker's", func() bool {
		secret = 0
		for _, b := range r.recorder.order {
			if b.miner == 2 && b.secret {
				secret++
			}
		}
		return secret >= 4
	})
	p, _ := r.net.seats[1].probe(t.Context())
	cancel()
	if err := <-attacked; err != nil {
		t.Fatal(err)
	}
	if after, _ := r.net.seats[1].probe(t.Context()); !(p.Hashes > 0) || !(after.Hashes >= p.Hashes) {
		t.Errorf("the attacker did %g hashes, and then %g", p.Hashes, after.Hashes)
	}
	eventually(t, r, "a block of the attacker's node, which is honest again", func() bool {
		for _, b := range r.recorder.order {
			if b.miner == 2 && !b.secret {
				return true
			}
		}
		return false
	})
	oneTip(t, r)
	recorded, err := record.Open(o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	last := recorded.Events[len(recorded.Events)-1]
	if last.Attack == nil || last.Attack.Kind != record.Selfish || last.Attack.Node != 2 || math.Abs(last.Attack.Share-1./3) > 1e-9 || math.Abs(last.Attack.ShareDone-1./3) > 0.2 {
		t.Errorf("the last event is %+v, %+v", last, last.Attack)
	}
}

// A double spend pays with a coin of the load's, and takes it back where its branch wins:
// with two thirds of the hash rate and one confirmation, soon. The ledger says what became of it.
func TestDoubleSpend(t *testing.T) {
	t.Parallel()
	s := smallSpec(t, 3)
	s.Payments.Rate = 0
	s.Nodes[0].HashesPerS /= 2 // a block each 0.8 s: the payment settles between two of them, now and then
	s.Events = []spec.Event{{Kind: spec.DoubleSpend, Nodes: []int{1}, Confirmations: 1, GiveUp: 3, For: time.Minute}}
	r := smallRun(t, smallOptions(t, s))
	e := &s.Events[0]
	ctx, cancel := context.WithCancel(t.Context())
	attacked := make(chan error, 1)
	go func() { attacked <- r.act(ctx, t.Context(), e) }()
	taken := false
	err := r.until(t.Context(), 50*time.Second, func() bool {
		r.learn(t.Context(), r.net.client, learnTime)
		taken = slices.ContainsFunc(r.ledger.rows(), func(p record.Payment) bool { return p.Status == record.Conflicted })
		return taken
	})
	if err != nil || !taken {
		t.Errorf("no payment was taken back: %v, %+v", err, r.ledger.rows())
	}
	cancel()
	if err := <-attacked; err != nil {
		t.Fatal(err)
	}
	for _, p := range r.ledger.rows() {
		if p.Role != record.DoubleSpend || math.IsNaN(p.AnsweredS) {
			t.Errorf("nobody pays but the attacker, and its node answers: %+v", p)
		}
	}
	oneTip(t, r)
}
