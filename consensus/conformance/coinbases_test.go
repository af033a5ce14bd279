package conformance

import (
	"fmt"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
)

// Group C: coinbases. Where no option says otherwise they claim the subsidy, which
// is 50 coins, and the fees.
var coinbaseCases = []conformanceCase{
	{number: 50, name: "cb-amount-over", rules: "C3", run: func(s *stage) {
		s.Grow("genesis - a1 - a2")
		s.accept("a2")
		s.Mine("a2", "b3", chaintest.Claim(1))
		s.reject("b3", consensus.ErrCoinbaseAmount)
	}},
	{number: 51, name: "cb-amount-over-fork", rules: "C3 W4 W7", run: func(s *stage) {
		s.Grow(`
			genesis - a1 - a2 - a3
			          a1 - b2 - b3
			          a1 - c2
		`)
		s.accept("a3")
		s.store("b3")
		s.Mine("b3", "b4", chaintest.Claim(1)) // the last one of the longer branch
		s.reject("b4", consensus.ErrCoinbaseAmount)
		s.Mine("c2", "c3", chaintest.Claim(1)) // the second of three
		s.Grow("c3 - c4")
		s.store("c3")
		s.rejectBranch("c4", "c3", consensus.ErrCoinbaseAmount)
		s.Grow("b3 - d4")
		s.accept("d4")
	}},
	{number: 52, name: "cb-amount-exact", rules: "C3", run: func(s *stage) {
		s.Grow("genesis - a1 - a2 - a3")
		s.accept("a3")
		txs := chaintest.Txs(s.spend(s.Coinbase("a1"), 1), s.spend(s.Coinbase("a2"), 700))
		s.Mine("a3", "b4", txs, paying(50_0000_0000+701+1))
		s.reject("b4", consensus.ErrCoinbaseAmount)
		s.Mine("a3", "c4", txs, paying(50_0000_0000+701))
		s.accept("c4")
	}},
	{number: 53, name: "cb-amount-under", rules: "C3", run: func(s *stage) {
		s.Grow("genesis - a1 - a2")
		s.Mine("a2", "a3", chaintest.Txs(s.spend(s.Coinbase("a1"), 700)), paying(0))
		s.accept("a3")
		s.Mine("a3", "b4", chaintest.Claim(1)) // what one block burns is not there for the next
		s.reject("b4", consensus.ErrCoinbaseAmount)
		s.Mine("a3", "c4", chaintest.Claim(-1))
		s.accept("c4")
	}},
	{number: 54, name: "cb-amount-halving", rules: "A1 C3", run: func(s *stage) {
		// Every edge: the last subsidy is that of 32 halvings, a single unit, and
		// behind the 64th it must not begin again.
		const interval = 2
		s.network(func(p *consensus.Params) { p.HalvingInterval = interval })
		parent, subsidy := chaintest.Genesis, int64(50_0000_0000)
		for height := 1; height <= 65*interval; height++ {
			if height%interval == 0 {
				subsidy /= 2
			}
			over, exact := fmt.Sprint("over", height), fmt.Sprint("exact", height)
			s.Mine(parent, over, paying(subsidy+1))
			s.reject(over, consensus.ErrCoinbaseAmount)
			s.Mine(parent, exact, paying(subsidy))
			s.accept(exact)
			parent = exact
		}
	}},
	{number: 55, name: "cb-amount-fee-overflow", rules: "B14",
		door: "consensus.ApplyBlock, with coins such as no chain can have",
		run: func(s *stage) {
			s.Grow("genesis - a1")
			all, allToo := s.invented(1, maxMoney), s.invented(2, maxMoney)
			s.Mine("a1", "b2", chaintest.Txs(s.spend(all, maxMoney), s.spend(allToo, 1)), paying(0))
			s.wantErr("b2", s.apply("b2", all, allToo), consensus.ErrFeeOutOfRange, consensus.Invalid)
			s.Mine("a1", "c2", chaintest.Txs(s.spend(all, maxMoney-1), s.spend(allToo, 1)), paying(0))
			s.wantErr("c2", s.apply("c2", all, allToo), "", 0)
		}},
	{number: 56, name: "cb-height-missing", rules: "C2", run: func(s *stage) {
		s.Grow("genesis - a1 - a2")
		s.accept("a2")
		s.Mine("a2", "b3", coinbaseScript("\x08no height"))
		s.reject("b3", consensus.ErrCoinbaseHeight)
		s.Mine("a2", "c3", coinbaseScript("\x02at\x53\x03the\x03end"))
		s.reject("c3", consensus.ErrCoinbaseHeight)
		s.Mine("a2", "d3", coinbaseScript("\x53\x08in front"))
		s.accept("d3")
	}},
	{number: 57, name: "cb-height-wrong", rules: "C2", run: func(s *stage) {
		s.Grow("genesis - a1..a19")
		s.accept("a2")
		s.Mine("a2", "b3", coinbaseScript("\x52."))
		s.reject("b3", consensus.ErrCoinbaseHeight)
		s.Mine("a2", "c3", coinbaseScript("\x54."))
		s.reject("c3", consensus.ErrCoinbaseHeight)
		s.accept("a19")
		s.Mine("a19", "b20", coinbaseScript("\x01\x13."))
		s.reject("b20", consensus.ErrCoinbaseHeight)
		s.Mine("a19", "c20", coinbaseScript("\x01\x15."))
		s.reject("c20", consensus.ErrCoinbaseHeight)
		s.Mine("a19", "d20", coinbaseScript("\x01\x14."))
		s.accept("d20")
	}},
	{number: 58, name: "cb-height-encoding", rules: "C2",
		door: "all up to height 128; then consensus.CheckBlockContext, since such chains are long",
		run:  heightForms},
	{number: 59, name: "cb-script-1", rules: "C1", run: func(s *stage) {
		s.Grow("genesis - a1 - a2")
		s.accept("a2")
		s.Mine("a2", "b3", coinbaseScript("\x53"))
		s.reject("b3", consensus.ErrCoinbaseLength)
		s.Mine("a2", "c3", coinbaseScript("\x53."))
		s.accept("c3")
	}},
	{number: 60, name: "cb-script-101", rules: "C1", run: func(s *stage) {
		s.Grow("genesis - a1 - a2")
		s.accept("a2")
		s.Mine("a2", "b3", coinbaseScript("\x53"+zeros(100)))
		s.reject("b3", consensus.ErrCoinbaseLength)
		s.Mine("a2", "c3", coinbaseScript("\x53"+zeros(1000)))
		s.reject("c3", consensus.ErrCoinbaseLength)
	}},
	{number: 61, name: "cb-script-100", rules: "C1", run: func(s *stage) {
		s.Grow("genesis - a1 - a2")
		s.Mine("a2", "a3", coinbaseScript("\x53"+zeros(99)))
		s.accept("a3")
		s.Mine("a3", "b4", coinbaseScript("\x54"+zeros(100)))
		s.reject("b4", consensus.ErrCoinbaseLength)
	}},
	{number: 62, name: "cb-locktime", deferred: "never applies: BIP54's rule on the lock time of coinbases is not adopted"},
	{number: 63, name: "cb-locktime-future", rules: "L1", run: func(s *stage) {
		s.Grow("genesis - a1 - a2")
		s.accept("a2")
		s.Mine("a2", "b3", lockedUntil(3, 0))
		s.reject("b3", consensus.ErrNonFinal)
		s.Mine("a2", "c3", lockedUntil(uint32(s.Index("a2").MTP()), 0xfffffffe))
		s.reject("c3", consensus.ErrNonFinal)
		s.Mine("a2", "d3", lockedUntil(2, 0))
		s.accept("d3")
		s.Mine("d3", "d4", lockedUntil(1_000, 0xffffffff))
		s.accept("d4")
	}},
	{number: 64, name: "cb-output-type", rules: "S1 S2", run: func(s *stage) {
		s.Grow("genesis - a1 - a2")
		s.accept("a2")
		for _, f := range foreignScripts {
			s.Mine("a2", f.name, coinbaseOutput(7, f.script))
			s.reject(f.name, consensus.ErrOutputType)
		}
		s.Mine("a2", "large", coinbaseOutput(0, "\x6a\x4c\x51"+zeros(81)))
		s.reject("large", consensus.ErrOpReturnSize)
		s.Mine("a2", "b3", coinbaseOutput(0, "\x6a\x00"))
		s.accept("b3")
		key := s.Key("miner")
		s.Mine("b3", "b4", coinbaseOutput(7, "\x51\x20"+string(key[:])))
		s.accept("b4")
	}},
	{number: 65, name: "cb-spend-early", rules: "C4", run: func(s *stage) { // matures after 2 blocks
		s.opening()
		early := s.pay(s.Coinbase("a2"), nil)
		s.refuse(early, consensus.ErrPrematureSpend, consensus.Temporary)
		s.Mine("a2", "b3", chaintest.Txs(early))
		s.reject("b3", consensus.ErrPrematureSpend)
		s.Grow("a2 - c3")
		s.Mine("c3", "c4", chaintest.Txs(early))
		s.accept("c4")
	}},
	{number: 66, name: "cb-spend-early-fork", rules: "C4 W4 W7", run: func(s *stage) {
		s.Grow(`
			genesis - a1 - a2 - a3
			          a1 - b2 - b3
			          a1 - c2
		`)
		s.accept("a3")
		s.store("b3")
		s.Mine("b3", "b4", chaintest.Txs(s.pay(s.Coinbase("b3"), nil)))
		s.reject("b4", consensus.ErrPrematureSpend)
		s.Mine("c2", "c3", chaintest.Txs(s.pay(s.Coinbase("c2"), nil)))
		s.Grow("c3 - c4")
		s.store("c3")
		s.rejectBranch("c4", "c3", consensus.ErrPrematureSpend)
		s.Mine("b3", "d4", chaintest.Txs(s.pay(s.Coinbase("b2"), nil)))
		s.accept("d4")
	}},
	{number: 67, name: "cb-spend-mature", rules: "C4", run: func(s *stage) {
		s.network(func(p *consensus.Params) { p.Maturity = 100 })
		s.Grow("genesis - a1..a100")
		s.accept("a100")
		s.Mine("a100", "b101", chaintest.Txs(s.pay(s.Coinbase("a2"), nil)))
		s.reject("b101", consensus.ErrPrematureSpend)
		s.Mine("a100", "c101", chaintest.Txs(s.pay(s.Coinbase("a1"), nil)))
		s.accept("c101")
	}},
	{number: 68, name: "cb-dup-txid", rules: "B12", door: "consensus.ApplyBlock, since no two heights have the same coinbase (C2)",
		run: func(s *stage) {
			s.Mine(chaintest.Genesis, "a1", chaintest.Edit(func(b *consensus.Block) {
				b.Txs[0].Outputs = append(b.Txs[0].Outputs, b.Txs[0].Outputs[0])
				b.Txs[0].Outputs[1].Value = 0
			}))
			first, other := s.Coinbase("a1"), s.Out(s.Block("a1").Txs[0], 1)
			s.wantErr("unspent", s.apply("a1", first, other), consensus.ErrBIP30, consensus.Invalid)
			s.wantErr("half spent", s.apply("a1", other), consensus.ErrBIP30, consensus.Invalid)
			s.wantErr("spent", s.apply("a1"), "", 0)
		}},
	{number: 69, name: "cb-dup-txid-spent", rules: "B12", door: "consensus.ApplyBlock, for the same reason",
		run: func(s *stage) {
			s.Mine(chaintest.Genesis, "a1")
			s.wantErr("spent", s.apply("a1", s.invented(1, 50_0000_0000)), "", 0) // which is another's
			s.wantErr("unspent", s.apply("a1", s.Coinbase("a1")), consensus.ErrBIP30, consensus.Invalid)
		}},
}

// heightForms asks for the one form of a height, beside those that mean the same
// or nearly so.
func heightForms(s *stage) {
	type forms struct {
		good string
		bad  []string
	}
	heights := map[uint32]forms{
		17:    {"\x01\x11", []string{"\x61", "\x02\x11\x00", "\x4c\x01\x11"}},
		127:   {"\x01\x7f", []string{"\x02\x7f\x00", "\x4c\x01\x7f"}},
		128:   {"\x02\x80\x00", []string{"\x01\x80", "\x03\x80\x00\x00", "\x4c\x02\x80\x00"}},
		32767: {"\x02\xff\x7f", []string{"\x03\xff\x7f\x00", "\x4c\x02\xff\x7f"}},
		32768: {"\x03\x00\x80\x00", []string{"\x02\x00\x80", "\x04\x00\x80\x00\x00", "\x4c\x03\x00\x80\x00"}},
	}
	for n := byte(1); n <= 16; n++ { // which have opcodes
		heights[uint32(n)] = forms{string([]byte{0x50 + n}), []string{
			string([]byte{1, n}), string([]byte{2, n, 0}), string([]byte{0x4c, 1, n}),
		}}
	}
	parent := chaintest.Genesis
	for height := uint32(1); height <= 128; height++ {
		name := fmt.Sprint("h", height)
		if form, ok := heights[height]; ok {
			s.accept(parent)
			for _, bad := range form.bad {
				wrong := fmt.Sprintf("%s by %x", name, bad)
				s.Mine(parent, wrong, coinbaseScript(bad+"."))
				s.reject(wrong, consensus.ErrCoinbaseHeight)
			}
			s.Mine(parent, name, coinbaseScript(form.good+"."))
			s.accept(name)
		} else {
			s.Mine(parent, name)
		}
		parent = name
	}
	for _, height := range []uint32{32767, 32768} {
		below, block := &consensus.BlockIndex{Height: height - 1}, s.copied(s.Block(parent))
		judge := func(form string) error {
			block.Txs[0].Inputs[0].ScriptSig = []byte(form + ".")
			return consensus.CheckBlockContext(s.Params, below, block)
		}
		for _, bad := range heights[height].bad {
			s.wantErr(fmt.Sprintf("height %d by %x", height, bad), judge(bad), consensus.ErrCoinbaseHeight, consensus.Invalid)
		}
		s.wantErr(fmt.Sprintf("height %d", height), judge(heights[height].good), "", 0)
	}
}

// apply asks consensus.ApplyBlock what the named block does to a set of coins, of
// which it sees those that Prevouts names.
func (s *stage) apply(name string, set ...chaintest.Coin) error {
	block := s.Block(name)
	seen := make(map[consensus.OutPoint]consensus.Coin)
	for _, outpoint := range consensus.Prevouts(block) {
		for _, coin := range set {
			if coin.OutPoint == outpoint {
				seen[outpoint] = coin.Coin
			}
		}
	}
	return second(consensus.ApplyBlock(s.Params, s.Index(name).Parent, block, seen))
}

// invented is a coin of bob's that no block created.
func (s *stage) invented(n byte, value int64) chaintest.Coin {
	return chaintest.Coin{
		OutPoint: consensus.OutPoint{TxID: consensus.Hash{n}},
		Coin:     consensus.Coin{Value: value, Key: s.Key("bob"), Height: 1},
	}
}

// paying sets what the coinbase pays, in units.
func paying(value int64) chaintest.Option {
	return chaintest.Edit(func(b *consensus.Block) { b.Txs[0].Outputs[0].Value = value })
}

// coinbaseOutput makes this the coinbase's only output beside the commitment.
func coinbaseOutput(value int64, script string) chaintest.Option {
	return chaintest.Edit(func(b *consensus.Block) {
		b.Txs[0].Outputs = []consensus.TxOut{{Value: value, Script: []byte(script)}}
	})
}

// coinbaseScript sets the coinbase's script.
func coinbaseScript(script string) chaintest.Option {
	return chaintest.Edit(func(b *consensus.Block) { b.Txs[0].Inputs[0].ScriptSig = []byte(script) })
}

// lockedUntil gives the coinbase a lock time.
func lockedUntil(lockTime, sequence uint32) chaintest.Option {
	return chaintest.Edit(func(b *consensus.Block) {
		b.Txs[0].LockTime, b.Txs[0].Inputs[0].Sequence = lockTime, sequence
	})
}
