package testnet

import (
	"context"
	"log/slog"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/mempool"
	"github.com/kapok-chain/kapok/node"
	"github.com/kapok-chain/kapok/p2p"
	"github.com/kapok-chain/kapok/storage"
	"github.com/kapok-chain/kapok/testnet/record"
)

// lair is an attacker's two nodes in a bubble of testing/synctest. The test is the network,
// and both miners.
type lair struct {
	t               *testing.T
	c               *chaintest.Chain
	cfg             attackConfig
	public, private *node.Runner
	events          []record.Event
	stop            context.CancelFunc // of the attack
	attacks         sync.WaitGroup
	outcome         record.Attack
	err             error
}

// newLair has both nodes stand at a block of a drawing.
func newLair(t *testing.T, drawing, tip string) *lair {
	params := consensus.Regtest()
	params.Maturity = 2
	l := &lair{t: t, c: chaintest.New(t, params)}
	l.c.Grow(drawing)
	ctx, cancel := context.WithCancel(context.Background())
	var lives sync.WaitGroup
	runner := func() *node.Runner {
		n, err := node.New(node.Config{
			Params: params, Store: storage.OpenMemory(params, true), Mempool: mempool.DefaultConfig(),
			P2P: p2p.Config{Params: params}, Rand: rand.New(rand.NewPCG(1, 1)),
		})
		if err != nil {
			t.Fatal(err)
		}
		r := node.NewRunner(n, nil, consensus.Verifier{Workers: 1}, slog.New(slog.DiscardHandler))
		lives.Go(func() {
			if err := r.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		for _, block := range l.c.Path(tip) {
			if _, err := r.SubmitBlock(ctx, block); err != nil {
				t.Fatal(err)
			}
		}
		return r
	}
	l.public, l.private = runner(), runner()
	l.cfg = attackConfig{
		Node: 6, Share: 0.3, Public: l.public, Private: l.private, Began: time.Now(), Now: time.Now,
		Tell: func(e record.Event) { l.events = append(l.events, e) }, Log: slog.New(slog.DiscardHandler),
	}
	t.Cleanup(func() { cancel(); lives.Wait() })
	return l
}

// begin lets an attack run until end.
func (l *lair) begin(run func(context.Context) (record.Attack, error)) {
	ctx, cancel := context.WithCancel(l.t.Context())
	l.stop = cancel
	l.attacks.Go(func() { l.outcome, l.err = run(ctx) })
	synctest.Wait()
}

// end stops the attack and returns how it ended.
func (l *lair) end() record.Attack {
	l.t.Helper()
	l.stop()
	l.attacks.Wait()
	if l.err != nil {
		l.t.Errorf("the attack ended with %v", l.err)
	}
	last := l.events[len(l.events)-1]
	if last.Attack == nil || *last.Attack != l.outcome {
		l.t.Errorf("the last event is %+v", last)
	}
	return l.outcome
}

// find hands named blocks to a node, all at once.
func (l *lair) find(r *node.Runner, names ...string) {
	l.t.Helper()
	err := r.Do(func(n *node.Node, now time.Time) error {
		for _, name := range names {
			if _, err := n.SubmitBlock(now, l.c.Block(name)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		l.t.Fatalf("blocks %v: %v", names, err)
	}
}

// standAt makes sure of both nodes' tips, and that the public node knows nothing of some
// blocks.
func (l *lair) standAt(after, public, private, secret string) {
	l.t.Helper()
	at := func(r *node.Runner) (name string) {
		_ = r.Do(func(n *node.Node, _ time.Time) error { name = l.c.Name(n.Tip().Hash); return nil })
		return name
	}
	if p, q := at(l.public), at(l.private); p != public || q != private {
		l.t.Fatalf("after %q: the public node stands at %s and the private one at %s, want %s and %s", after, p, q, public, private)
	}
	for _, name := range strings.Fields(secret) {
		if _, err := l.public.Block(l.c.Hash(name)); err == nil {
			l.t.Fatalf("after %q: block %s has come out", after, name)
		}
	}
}

// A refused configuration says what was expected.
func TestAttackersThatCannotBe(t *testing.T) {
	a, b := new(node.Runner), new(node.Runner)
	next := func(context.Context) (*spentTwice, error) { return nil, nil }
	good := doubleSpendConfig{Confirmations: 1, Next: next}
	for _, test := range []struct {
		name string
		cfg  attackConfig
		how  doubleSpendConfig
		want string
	}{
		{"one node", attackConfig{Public: a, Private: a, Share: 0.3}, good, "two nodes"},
		{"no private node", attackConfig{Public: a, Share: 0.3}, good, "two nodes"},
		{"no share", attackConfig{Public: a, Private: b}, good, "more than 0"},
		{"all of it", attackConfig{Public: a, Private: b, Share: 1}, good, "less than 1"},
		{"no confirmations", attackConfig{Public: a, Private: b, Share: 0.3}, doubleSpendConfig{Next: next}, "expected 1 or more"},
		{"less than no tries", attackConfig{Public: a, Private: b, Share: 0.3}, doubleSpendConfig{Confirmations: 1, Tries: -1, Next: next}, "nothing below 0"},
		{"no coins", attackConfig{Public: a, Private: b, Share: 0.3}, doubleSpendConfig{Confirmations: 1}, "without coins"},
	} {
		if _, err := newDoubleSpend(test.cfg, test.how); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	if _, err := newSelfish(attackConfig{Public: a, Private: a, Share: 0.3}); err == nil {
		t.Error("a selfish miner of one node")
	}
}

// The share of the hashes that an attacker has done is unknown while a node that runs does
// not answer, for which nobody waits long; one that is down counts with what it had done.
func TestShareOfHashesDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &run{net: &network{}}
		r.net.life = t.Context()
		r.net.failed, r.net.fail = context.WithCancelCause(t.Context())
		own, other, mute := &probed{hashes: 100, asked: func() {}}, &probed{hashes: 300, asked: func() {}}, &silent{answers: true}
		r.net.seats = []*seat{{net: r.net, member: own}, {net: r.net, node: 1, member: other}, {net: r.net, node: 2, member: mute}, {net: r.net, node: 3, hashes: 1000}}
		done := r.shareDone(0)
		own.hashes, other.hashes = 130, 370
		if got := done(); math.Abs(got-0.3) > 1e-9 {
			t.Errorf("it has done %g of the hashes, expected 0.3", got)
		}
		mute.answers = false
		began := time.Now()
		if got := done(); got != 0 || time.Since(began) > countTime {
			t.Errorf("it has done %g of the hashes, and a node did not say what it did; that took %v", got, time.Since(began))
		}
		done = r.shareDone(0)
		mute.answers = true
		own.hashes, other.hashes = 200, 400
		if got := done(); got != 0 {
			t.Errorf("it has done %g of the hashes, and a node did not say where it began", got)
		}
	})
}

// stuckDisk is a store whose disk takes nothing until release is closed.
type stuckDisk struct {
	storage.Store
	release chan struct{}
}

func (s *stuckDisk) Sync() error {
	<-s.release
	return s.Store.Sync()
}

// A public node that hangs in the end does not keep the attack from ending.
func TestAttackEndsWhereItsNodeHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLair(t, "genesis - a1..a6", "a5")
		disk := &stuckDisk{storage.OpenMemory(l.c.Params, true), make(chan struct{})}
		n, err := node.New(node.Config{
			Params: l.c.Params, Store: disk, Mempool: mempool.DefaultConfig(), P2P: p2p.Config{Params: l.c.Params}, Rand: rand.New(rand.NewPCG(1, 1)),
		})
		if err != nil {
			t.Fatal(err)
		}
		l.cfg.Public = node.NewRunner(n, nil, consensus.Verifier{Workers: 1}, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		var life sync.WaitGroup
		life.Go(func() {
			if err := l.cfg.Public.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		defer life.Wait()
		defer cancel()
		defer close(disk.release)
		a, err := newAttacker(l.cfg, record.Selfish)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		err = a.attack(t.Context(), func(context.Context) error {
			l.find(l.cfg.Public, "a1")
			synctest.Wait()
			return nil
		})
		if took := time.Since(began); took != commandTime || err == nil || !strings.Contains(err.Error(), "has not come to rest within 30s") {
			t.Errorf("after %v the attack returned %v", took, err)
		}
	})
}
