package testnet

import (
	"context"
	"log/slog"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/testnet/record"
	"github.com/kapok-chain/kapok/testnet/stats"
)

// paperMiner is algorithm 1 of Eyal and Sirer 2014 word by word, on lengths of chains.
type paperMiner struct {
	private, public int // lengths
	branch          int // privateBranchLen
	published       int // of the private chain
}

func (p *paperMiner) found() {
	prev := p.private - p.public
	p.private++
	p.branch++
	if prev == 0 && p.branch == 2 {
		p.published, p.public, p.branch = p.private, p.private, 0
	}
}

func (p *paperMiner) others() {
	prev := p.private - p.public
	p.public++
	switch {
	case prev == 0:
		p.private, p.published, p.branch = p.public, p.public, 0
	case prev == 1:
		p.published = p.private
	case prev == 2:
		p.published, p.public, p.branch = p.private, p.private, 0
	default:
		p.published++
	}
}

// On any sequence of blocks, one at a time, the machine publishes what the paper's
// algorithm does.
func TestSelfishHeightsAreThePapersAlgorithm(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		paper, ours, published := &paperMiner{}, &selfishHeights{}, uint32(0)
		for i, mine := range rapid.SliceOfN(rapid.Bool(), 1, 200).Draw(t, "mine") {
			if mine {
				paper.found()
				published = max(published, ours.found(ours.private+1))
			} else {
				paper.others()
				height := ours.public + 1
				published = max(published, ours.others(height, height > ours.private))
			}
			if int(ours.private) != paper.private || int(published) != paper.published || int(ours.public) != paper.public {
				t.Fatalf("after block %d: private %d, published %d, public %d, and the paper has %d, %d, %d",
					i+1, ours.private, published, ours.public, paper.private, paper.published, paper.public)
			}
		}
	})
}

// Several blocks at once, which the paper has not: what counts is the lead that is left.
func TestSelfishHeightsOfManyBlocks(t *testing.T) {
	for _, test := range []struct {
		name            string
		private, others uint32 // heights, both from a public chain of height 10
		adopted         bool
		publish         uint32
		tie             bool
	}{
		{"two, with two secret ones", 12, 12, false, 12, true},
		{"two, with three secret ones", 13, 12, false, 13, false},
		{"two, with five secret ones", 15, 12, false, 12, false},
		{"three, with two secret ones", 12, 13, true, 13, false},
		{"more blocks of less work", 12, 13, false, 12, true},
	} {
		s := &selfishHeights{public: 10, private: test.private}
		if got := s.others(test.others, test.adopted); got != test.publish || s.tie != test.tie {
			t.Errorf("%s: publishes up to %d, tie %v", test.name, got, s.tie)
		}
		if next := s.found(s.private + 1); (next == s.private) != test.tie {
			t.Errorf("%s: publishes up to %d of %d after its next block", test.name, next, s.private)
		}
	}
}

// modelBlock is a block of a model without delays.
type modelBlock struct {
	parent *modelBlock
	height uint32
	own    bool
}

// mineModel lets the machine mine in a model of the network: honest miners see all at once
// and keep to what they saw first, but for a share gamma of them that gets the attacker's
// block of a tie first. It returns the attacker's share of the best chain.
func mineModel(alpha, gamma float64, blocks int, random *rand.Rand) float64 {
	genesis := &modelBlock{}
	public, rival, private := genesis, genesis, genesis // rival: the attacker's of a tie, else as public
	at := func(b *modelBlock, height uint32) *modelBlock {
		for b.height > height {
			b = b.parent
		}
		return b
	}
	var s selfishHeights
	publish := func(height uint32) {
		switch b := at(private, height); {
		case b.height > public.height:
			public, rival = b, b
		case b.height == public.height:
			rival = b
		}
	}
	for range blocks {
		if random.Float64() < alpha {
			private = &modelBlock{private, private.height + 1, true}
			publish(s.found(private.height))
			continue
		}
		on := public
		if random.Float64() < gamma {
			on = rival
		}
		public = &modelBlock{on, on.height + 1, false}
		rival = public
		adopted := public.height > private.height
		if adopted {
			private = public
		}
		publish(s.others(public.height, adopted))
	}
	own := 0
	for b := public; b != genesis; b = b.parent {
		if b.own {
			own++
		}
	}
	return float64(own) / float64(public.height)
}

// In a model without delays the machine earns what the paper's equation 8 says. 100,000
// blocks give the share to some 0.0025.
func TestSelfishHeightsEarnTheirShare(t *testing.T) {
	for _, test := range []struct{ alpha, gamma float64 }{{0.1, 0}, {0.25, 0.5}, {1.0 / 3, 0}, {0.4, 0}, {0.4, 0.5}, {0.3, 1}, {0.45, 0.9}} {
		random := rand.New(rand.NewPCG(7, uint64(1000*test.alpha)+uint64(10*test.gamma)))
		got, want := mineModel(test.alpha, test.gamma, 100_000, random), stats.SelfishShare(test.alpha, test.gamma)
		if math.Abs(got-want) > 0.01 {
			t.Errorf("share %.3g, gamma %.2g: %.4f of the blocks, expected %.4f", test.alpha, test.gamma, got, want)
		}
	}
}

// What a selfish miner of two real nodes does, case by case. "a" blocks are the others', on
// the branch that they saw first, "b" blocks theirs elsewhere, "s" the attacker's.
func TestSelfishOnTwoNodes(t *testing.T) {
	const drawing = `
		genesis - a1..a5
		          a1 - s2 - s3 - s4 - s5 - s6
		          s2 - b3 - b4
		          a1 - c2 - c3 - c4
		          a2 - t3 - t4`
	for _, test := range []struct {
		name string
		// Each step is who finds which blocks at once; then where both nodes stand, and what
		// has not come out.
		steps [][4]string
		want  record.Attack
	}{
		{"the others are ahead: adopt", [][4]string{
			{"others a2", "a2", "a2", ""},
			{"others a3", "a3", "a3", ""},
		}, record.Attack{Blocks: 2}},
		{"what is found is withheld", [][4]string{
			{"finds s2", "a1", "s2", "s2"},
			{"finds s3", "a1", "s3", "s2 s3"},
		}, record.Attack{}},
		{"lead 1: a tie, and the attacker is next", [][4]string{
			{"finds s2", "a1", "s2", "s2"},
			{"others a2", "s2", "s2", ""},
			{"finds s3", "s3", "s3", ""},
			{"finds s4", "s3", "s4", "s4"},
		}, record.Attack{Blocks: 2, Own: 2, Ties: 1, TiesOwn: 1}},
		{"lead 1: a tie, and the others are next on theirs", [][4]string{
			{"finds s2", "a1", "s2", "s2"},
			{"others a2", "s2", "s2", ""},
			{"others a3", "a3", "a3", ""},
		}, record.Attack{Blocks: 2, Ties: 1}},
		{"lead 1: a tie, and the others are next on the attacker's", [][4]string{
			{"finds s2", "a1", "s2", "s2"},
			{"others a2", "s2", "s2", ""},
			{"others b3", "b3", "b3", ""},
		}, record.Attack{Blocks: 2, Own: 1, Ties: 1, TiesWon: 1}},
		{"lead 2: all is published", [][4]string{
			{"finds s2", "a1", "s2", "s2"},
			{"finds s3", "a1", "s3", "s2 s3"},
			{"others a2", "s3", "s3", ""},
			{"finds s4", "s3", "s4", "s4"},
		}, record.Attack{Blocks: 2, Own: 2}},
		{"lead 4: one by one, then all", [][4]string{
			{"finds s2 s3 s4 s5", "a1", "s5", "s2 s3 s4 s5"},
			{"others a2", "s2", "s5", "s3 s4 s5"},
			{"others a3", "s3", "s5", "s4 s5"},
			{"others a4", "s5", "s5", ""},
		}, record.Attack{Blocks: 4, Own: 4}},
		{"lead 3, and the others build on what came out", [][4]string{
			{"finds s2 s3 s4", "a1", "s4", "s2 s3 s4"},
			{"others a2", "s2", "s4", "s3 s4"},
			{"others b3", "s4", "s4", ""},
		}, record.Attack{Blocks: 3, Own: 3}},
		{"the others go over to another branch, which ties", [][4]string{
			{"others a2", "a2", "a2", ""},
			{"finds t3", "a2", "t3", "t3"},
			{"others c2 c3", "t3", "t3", ""},
			{"others c4", "c4", "c4", ""},
		}, record.Attack{Blocks: 3, Ties: 1}},
		{"the others go over to another branch, which is shorter", [][4]string{
			{"others a2", "a2", "a2", ""},
			{"finds t3 t4", "a2", "t4", "t3 t4"},
			{"others c2 c3", "t4", "t4", ""},
		}, record.Attack{Blocks: 3, Own: 2}},
		{"a block of the others that changes nothing", [][4]string{
			{"others a2", "a2", "a2", ""},
			{"others c2", "a2", "a2", ""},
			{"finds t3", "a2", "t3", "t3"},
			{"finds t4", "a2", "t4", "t3 t4"},
			{"others a3", "t4", "t4", ""},
		}, record.Attack{Blocks: 3, Own: 2}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLair(t, drawing, "a1")
				s, err := newSelfish(l.cfg)
				if err != nil {
					t.Fatal(err)
				}
				l.begin(s.run)
				for _, step := range test.steps {
					l.play(step)
				}
				test.want.Kind, test.want.Node, test.want.Share = record.Selfish, 7, 0.3
				if got := l.end(); got != test.want {
					t.Errorf("got %+v, want %+v", got, test.want)
				}
				last := test.steps[len(test.steps)-1]
				l.standAt("the end", last[1], last[2], last[3])
				if n := len(strings.Fields(last[3])); l.events[len(l.events)-1].Values["withheld_blocks"] != n {
					t.Errorf("the last event is %+v, want %d withheld", l.events[len(l.events)-1], n)
				}
			})
		})
	}
}

// meanwhile is a log whose first line of a message is held up until something is done.
type meanwhile struct {
	slog.Handler
	message string
	do      func()
}

func (m *meanwhile) Enabled(context.Context, slog.Level) bool { return true }

func (m *meanwhile) Handle(_ context.Context, r slog.Record) error {
	if do := m.do; do != nil && r.Message == m.message {
		m.do = nil
		do()
	}
	return nil
}

// The attacker sees that it is behind, and finds a block before its private node has gone
// over to the public chain: that is a tie.
func TestSelfishFindsInTheLastMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLair(t, `
			genesis - a1 - a2
			          a1 - s2 - s3`, "a1")
		l.cfg.Log = slog.New(&meanwhile{message: "the others found a block", do: func() { l.find(l.private, "s2") }})
		s, err := newSelfish(l.cfg)
		if err != nil {
			t.Fatal(err)
		}
		l.begin(s.run)
		l.play([4]string{"others a2", "s2", "s2", ""})
		l.play([4]string{"finds s3", "s3", "s3", ""})
		if got := l.end(); got.Ties != 1 || got.TiesOwn != 1 || got.Own != 2 {
			t.Errorf("got %+v", got)
		}
	})
}

// The attacker's blocks carry what the public node hears of, and what waited there before.
func TestSelfishMinerTakesPayments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLair(t, "genesis - a1..a5", "a5")
		pay := func(coinbase string) {
			t.Helper()
			tx := l.c.Pay(chaintest.From(l.c.Coinbase(coinbase)), chaintest.To("bob", 49*chaintest.Coins))
			if _, err := l.public.SubmitTx(t.Context(), tx); err != nil {
				t.Fatal(err)
			}
		}
		pay("a1")
		s, err := newSelfish(l.cfg)
		if err != nil {
			t.Fatal(err)
		}
		l.begin(s.run)
		pay("a2")
		synctest.Wait()
		if template, err := l.private.Template(t.Context()); err != nil || len(template.Txs) != 2 {
			t.Errorf("the attacker's next block: %+v, %v", template, err)
		}
		l.end()
	})
}
