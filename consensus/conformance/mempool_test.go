package conformance

import (
	"fmt"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/mempool"
)

// Group H: mempool and relay policy, which is never a rule on blocks: what is
// refused here for this node's own reasons a block may hold.
var mempoolCases = []conformanceCase{
	{number: 142, name: "mp-already", rules: "M7", run: func(s *stage) {
		coins := s.purse()
		tx := s.Sign(s.payTwo(coins), coins, consensus.SigHashDefault)
		other := s.Sign(s.copiedTx(tx), coins, consensus.SigHashAll)
		forged := s.resigned(tx, func(sig []byte) { sig[0] ^= 1 })
		s.take(tx)
		s.refuse(tx, mempool.ErrInPool, consensus.Policy)
		s.refuse(other, mempool.ErrOtherWitness, consensus.Policy)
		s.refuse(forged, mempool.ErrOtherWitness, consensus.Policy)
		s.acceptTxs("a4", "a5", other)
		s.gone(tx)
	}},
	{number: 143, name: "mp-known", rules: "M9", run: func(s *stage) {
		coins := s.purse()
		tx := s.Sign(s.payTwo(coins), coins, consensus.SigHashDefault)
		s.acceptTxs("a4", "a5", tx)
		s.refuse(tx, mempool.ErrKnown, consensus.Policy)
		s.refuse(s.Sign(s.copiedTx(tx), coins, consensus.SigHashAll), mempool.ErrKnown, consensus.Policy)
		s.acceptTxs("a5", "a6", s.spend(s.Out(tx, 0), 10_000))
		s.refuse(tx, mempool.ErrKnown, consensus.Policy)
		s.acceptTxs("a6", "a7", s.spend(s.Out(tx, 1), 10_000))
		s.refuse(tx, mempool.ErrMissing, consensus.Policy) // no coin shows any more that it was there
	}},
	{number: 144, name: "mp-nonfinal", rules: "M6 M10", run: func(s *stage) {
		s.Grow("genesis - a1 - a2 - a3")
		coins := s.split("a3", "a4", s.Coinbase("a1"), 4) // the next height is 5
		s.refuse(s.locked(coins[0], 5), mempool.ErrNonFinal, consensus.Policy)
		s.refuse(s.sequenced(coins[1], 2, 2), consensus.ErrNonBIP68Final, consensus.Policy)
		s.take(s.locked(coins[0], 4))
		s.take(s.sequenced(coins[1], 2, 1))
		s.Grow("a4 - a5")
		s.accept("a5")
		s.take(s.locked(coins[2], 5))
		s.take(s.sequenced(coins[3], 2, 2))
	}},
	{number: 145, name: "mp-minfee", rules: "M12", run: func(s *stage) {
		for _, perKvB := range []int64{1000, 1234} { // the second asks for a fraction of a unit
			s.pool.MinRelayFee = perKvB
			s.network(nil)
			s.Grow("genesis - a1 - a2 - a3 - a4")
			s.accept("a4")
			least := (perKvB*int64(s.spend(s.Coinbase("a1"), 0).VSize()) + 999) / 1000
			s.refuse(s.spend(s.Coinbase("a1"), least-1), mempool.ErrMinRelayFee, consensus.Policy)
			s.refuse(s.spend(s.Coinbase("a1"), 0), mempool.ErrMinRelayFee, consensus.Policy)
			s.take(s.spend(s.Coinbase("a1"), least))
			s.acceptTxs("a4", "a5", s.spend(s.Coinbase("a1"), 0), s.spend(s.Coinbase("a2"), least-1))
		}
	}},
	{number: 146, name: "mp-full", rules: "M13", run: fullMempool},
	{number: 147, name: "mp-dust", rules: "M5", run: func(s *stage) {
		s.Grow("genesis - a1 - a2 - a3")
		coins := s.split("a3", "a4", s.Coinbase("a1"), 2)
		pay := func(coin chaintest.Coin, value int64) *consensus.Tx {
			return s.Pay(chaintest.From(coin), chaintest.To("bob", coin.Value-100_000), chaintest.To("bob", value), chaintest.Data([]byte("no dust")))
		}
		for _, value := range []int64{329, 1, 0} {
			s.refuse(pay(coins[0], value), mempool.ErrDust, consensus.Policy)
		}
		s.take(pay(coins[0], 330))
		s.acceptTxs("a4", "a5", pay(coins[0], 329), pay(coins[1], 0))
	}},
	{number: 148, name: "mp-conflict-norbf / rbf", rules: "M8 M16",
		partly: "replacement is not built, and its codes do not exist: insufficient fee, too many potential replacements", run: func(s *stage) {
			coins := s.purse()
			first := s.Sign(s.payTwo(coins), coins, consensus.SigHashDefault)
			s.take(first)
			child := s.spend(s.Out(first, 0), 10_000)
			s.take(child)
			for _, coin := range coins { // one input is enough
				s.refuse(s.spend(coin, 10_000), mempool.ErrConflict, consensus.Policy)
				s.refuse(s.spend(coin, chaintest.Coins), mempool.ErrConflict, consensus.Policy) // at any fee
			}
			s.refuse(s.spend(s.Out(first, 0), chaintest.Coins), mempool.ErrConflict, consensus.Policy) // of a coin not confirmed
			joint := s.Pay(chaintest.From(s.Coinbase("a3"), coins[1]), chaintest.To("bob", chaintest.Coins))
			s.refuse(joint, mempool.ErrConflict, consensus.Policy) // with one that nobody spends
			s.waiting(first, child)
			s.acceptTxs("a4", "a5", s.spend(coins[0], 10_000))
			s.gone(first, child)
			s.take(s.spend(coins[1], 10_000))
		}},
	{number: 149, name: "mp-cluster", rules: "M11", run: func(s *stage) {
		s.Grow("genesis - a1..a6")
		s.accept("a6")
		chain := s.chainOf(s.Coinbase("a1"), 65)
		s.takeAll(chain[:64])
		s.refuse(chain[64], mempool.ErrCluster, consensus.Policy)
		left, right := s.chainOf(s.Coinbase("a2"), 32), s.chainOf(s.Coinbase("a3"), 32)
		s.takeAll(left[:31])
		s.takeAll(right)
		both := chaintest.From(s.Out(left[30], 0), s.Out(right[31], 0))
		joint := s.Pay(both, chaintest.To("bob", chaintest.Coins))
		s.take(joint) // the 64th
		s.refuse(s.spend(s.Out(joint, 0), 10_000), mempool.ErrCluster, consensus.Policy)
		s.acceptTxs("a6", "a7", chain...)

		heavy := s.heavy(s.Coinbase("a4"), 400_000)
		s.take(heavy)
		rest := s.heavy(s.Out(heavy, 0), 4_000)
		from := chaintest.From(s.Out(heavy, 0))
		more := s.Sign(s.copiedTx(rest), from, consensus.SigHashAll) // its signature has a byte more
		s.refuse(more, mempool.ErrCluster, consensus.Policy)
		s.take(rest)
		s.refuse(s.spend(s.Out(heavy, 1), 10_000), mempool.ErrCluster, consensus.Policy)
		s.acceptTxs("a7", "a8", heavy, more)
	}},
	{number: 150, name: "mp-orphan", rules: "M20 M9", run: orphans,
		door: "loose: all doors; whom the node asks, blames and forgets: Node.Receive as gossip"},
	{number: 151, name: "mp-package", deferred: "packages of transactions are not built: payments come one by one"},
	{number: 152, name: "mp-expiry", rules: "M14", run: func(s *stage) {
		s.Grow("genesis - a1 - a2 - a3 - a4")
		s.accept("a4")
		old := s.spread(s.Coinbase("a1"), 2)
		s.take(old)
		begin := s.now
		s.now = begin.Add(time.Hour)
		child, young := s.spend(s.Out(old, 0), 10_000), s.spend(s.Coinbase("a2"), 10_000)
		s.take(child)
		s.take(young)
		s.tick(begin.Add(336 * time.Hour))
		s.waiting(old, child, young)
		s.tick(begin.Add(337 * time.Hour))
		s.gone(old, child)
		s.waiting(young)
		s.tick(begin.Add(337*time.Hour + time.Second))
		s.gone(young)
		s.take(young) // it may come again
		s.acceptTxs("a4", "a5", old, child)
	}},
	{number: 153, name: "mp-persist", deferred: "the mempool is not kept on disk: a node begins with an empty one"},
	{number: 154, name: "gbt-valid", rules: "M15", run: templatesConnect},
	{number: 155, name: "submit-dup", rules: "H7 H11 B4 B10 C3", run: submitAnswers, door: "submitblock over HTTP"},
	{number: 156, name: "proposal", rules: "H3 H4 H7 H8 B1 B5 B7 T4 L1 C2 B10 B13 C3 S9", run: proposals,
		door: "all, Node.Propose for every refused block of the suite; getblocktemplate's proposal over HTTP"},
}

// fullMempool is case 146 on nodes whose mempools have room for three payments.
func fullMempool(s *stage) {
	s.pool.MaxBytes = 4_000 // an entry of one input and one output counts for 1,126
	s.network(nil)
	s.Grow("genesis - a1..a9")
	s.accept("a9")
	// least is what the floor asks for after a payment was pushed out: its rate,
	// rounded down, and the relay fee, per 1,000 vB.
	least := func(out *consensus.Tx) int64 {
		floor := s.Fee(out)*4000/int64(out.Weight()) + 1000
		return (floor*int64(out.VSize()) + 999) / 1000
	}
	cheap, middle, dear := s.spend(s.Coinbase("a1"), 2_000), s.spend(s.Coinbase("a2"), 3_000), s.spend(s.Coinbase("a3"), 5_000)
	s.takeAll([]*consensus.Tx{cheap, middle, dear})
	low := s.spend(s.Coinbase("a4"), 1_000)
	for _, n := range s.nodes { // asked once: the second time it is below the floor
		_, err := n.SubmitTx(s.now, low)
		s.wantErr(n.door, err, mempool.ErrPoolFull, consensus.Policy)
	}
	s.waiting(cheap, middle, dear)
	s.refuse(low, mempool.ErrPoolFee, consensus.Policy)
	s.refuse(s.spend(s.Coinbase("a4"), least(low)-1), mempool.ErrPoolFee, consensus.Policy)
	s.take(s.spend(s.Coinbase("a4"), 4_000))
	s.gone(cheap)

	s.acceptTxs("a9", "a10", dear, cheap) // there is room again, and the floor falls with time
	s.refuse(s.spend(s.Coinbase("a5"), least(cheap)-1), mempool.ErrPoolFee, consensus.Policy)
	s.take(s.spend(s.Coinbase("a5"), least(cheap)))
	s.now = s.now.Add(300 * time.Hour)
	relay := int64(low.VSize())
	s.acceptTxs("a10", "a11", middle)
	s.refuse(s.spend(s.Coinbase("a6"), relay-1), mempool.ErrMinRelayFee, consensus.Policy)
	s.take(s.spend(s.Coinbase("a6"), relay))
}

// templatesConnect mines what the nodes propose until all payments are in: each
// node's template connects on every node.
func templatesConnect(s *stage) {
	s.network(func(p *consensus.Params) { p.MaxWeight = 30_000 }) // so that room matters
	s.Grow("genesis - a1..a12")
	s.accept("a12")
	var txs []*consensus.Tx
	for i := range 8 {
		coin := s.Coinbase(fmt.Sprint("a", i+1))
		spread := s.spread(coin, 3)
		txs = append(txs, spread)
		for j, out := range s.outs(spread) {
			for k := range 3 * (j + 1) { // chains of which later links pay more, or less
				fee := int64(1_000 + 700*((5*i+3*j+11*k)%17))
				tx := s.spend(out, fee)
				txs = append(txs, tx)
				out = s.Out(tx, 0)
			}
		}
	}
	s.takeAll(txs)
	left := len(txs)
	for round := 1; left > 0 && round < 50; round++ {
		name := fmt.Sprint("t", round)
		var block *consensus.Block
		for _, n := range s.nodes {
			template, err := n.Template(s.now)
			s.check(err)
			block = template.Block(consensus.PayToKey(s.Key("miner")), uint64(round), name)
			for _, other := range s.nodes {
				if rule := other.propose(block); rule != nil {
					s.t.Errorf("%s refuses the template of %s in round %d: %v", other.door, n.door, round, rule)
				}
			}
		}
		if len(block.Txs) == 1 {
			s.t.Fatalf("a template leaves %d payments out", left)
		}
		s.Solve(block)
		s.Add(name, block)
		s.accept(name)
		left -= len(block.Txs) - 1
	}
	if left != 0 {
		s.t.Errorf("%d payments are left", left)
	}
	s.gone(txs...)
}
