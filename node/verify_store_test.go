package node_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/node"
	"github.com/kapok-chain/kapok/storage"
)

func TestVerifyStoreOfAGoodChain(t *testing.T) {
	c := payments(t)
	c.Grow("a104 - b105") // a side branch
	dir := t.TempDir()
	badger, err := storage.Open(c.Params, storage.Options{Dir: dir, Lean: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { badger.Close() }()
	for name, store := range map[string]storage.Store{"memory": storage.OpenMemory(c.Params, true), "badger": badger} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.Params, 1, 0)
			r := w.add(store)
			w.submit(r, c.Path("a105")...)
			w.submit(r, c.Block("b105"))
			v := verifyStore(t, c, store, c.Now())
			if codes, _ := run(t, c, v); len(codes) > 0 {
				t.Errorf("found %v", codes)
			}
			done, total := v.Progress()
			if v.CoinSum() != store.Sum() || v.Txs() != 110 || v.Judged() != 105 || v.Tip().Hash != c.Hash("a105") || done != 106 || total != 106 {
				t.Errorf("sum %v, %d transactions, judged to %d, tip %s, %d of %d steps", v.CoinSum(), v.Txs(), v.Judged(), c.Name(v.Tip().Hash), done, total)
			}
		})
	}
}

func TestVerifyStoreOfGenesisAlone(t *testing.T) {
	c := chaintest.New(t, consensus.Regtest())
	v := verifyStore(t, c, storage.OpenMemory(c.Params, true), c.Now())
	if codes, _ := run(t, c, v); len(codes) > 0 || v.Txs() != 1 {
		t.Errorf("found %v in %d transactions", codes, v.Txs())
	}
}

// Blocks that break a rule, planted in the middle of a chain: each is named, the
// blocks below it are judged, and those above by themselves.
func TestVerifyStoreFindsBrokenRules(t *testing.T) {
	mine := func(options ...chaintest.Option) func(*chaintest.Chain) {
		return func(c *chaintest.Chain) { c.Mine("a105", "bad", options...) }
	}
	for name, test := range map[string]struct {
		make func(*chaintest.Chain)
		code consensus.Code
	}{
		"coinbase": {mine(chaintest.Claim(1)), consensus.ErrCoinbaseAmount},
		"signature": {func(c *chaintest.Chain) {
			pay := c.Pay(chaintest.From(c.Coinbase("a4")), chaintest.To("bob", 49*chaintest.Coins))
			pay.Inputs[0].Witness[0][5] ^= 1
			c.Mine("a105", "bad", chaintest.Txs(pay))
		}, consensus.ErrSig},
		"double spend": {func(c *chaintest.Chain) {
			c.Mine("a105", "bad", chaintest.Txs(c.Pay(chaintest.From(c.Coinbase("a1")), chaintest.To("bob", 1))))
		}, consensus.ErrInputsMissingOrSpent},
		"young coin": {func(c *chaintest.Chain) {
			c.Mine("a105", "bad", chaintest.Txs(c.Pay(chaintest.From(c.Coinbase("a105")), chaintest.To("bob", 1))))
		}, consensus.ErrPrematureSpend},
		"bits":       {mine(chaintest.Seal(func(b *consensus.Block) { b.Header.Bits-- })), consensus.ErrBadDiffBits},
		"version":    {mine(chaintest.Seal(func(b *consensus.Block) { b.Header.Version = 3 })), consensus.ErrBadVersion},
		"commitment": {mine(chaintest.Seal(func(b *consensus.Block) { b.Txs[0].Inputs[0].Witness[0][0] ^= 1 })), consensus.ErrWitnessMerkle},
		"merkle":     {mine(chaintest.Seal(func(b *consensus.Block) { b.Header.MerkleRoot[0] ^= 1 })), consensus.ErrMerkleRoot},
		"time":       {mine(chaintest.At(consensus.Regtest().Genesis().Header.Time)), consensus.ErrTimeTooOld},
		"work":       {func(c *chaintest.Chain) { c.Add("bad", unsolved(c, c.Mine("a105", "good"))) }, consensus.ErrHighHash},
	} {
		t.Run(name, func(t *testing.T) {
			c := payments(t)
			test.make(c)
			c.Grow("bad - c107 - c108", chaintest.At(c.Block("a105").Header.Time+1))
			p := newPlanter(t, c)
			p.plantAll("c108", nil)
			v := verifyStore(t, c, p.store, c.Now())
			codes, list := run(t, c, v)
			if want := []string{fmt.Sprint("bad ", test.code)}; !slices.Equal(codes, want) {
				t.Errorf("found %v, want %v", codes, want)
			}
			if v.Judged() != 105 {
				t.Errorf("judged to height %d, want 105", v.Judged())
			}
			if len(list) == 1 && list[0].InCoins() {
				t.Error("a broken rule is no matter of the coins alone")
			}
		})
	}
}

// unsolved is a block with a nonce that does not solve it.
func unsolved(c *chaintest.Chain, block *consensus.Block) *consensus.Block {
	copied := *block
	for copied.Header.Nonce = 0; consensus.CheckPow(c.Params, &copied.Header) == nil; {
		copied.Header.Nonce++
	}
	return &copied
}

// Signatures are checked many blocks at a time. A bad one is still its own
// block's, however many were put on since.
func TestVerifyStoreInBatches(t *testing.T) {
	const payments = 20 // a block
	c := chaintest.New(t, consensus.Regtest())
	c.Grow("genesis - a1..a100")
	var outputs []chaintest.Output
	for range 4 * payments {
		outputs = append(outputs, chaintest.To("bob", 1_000_000))
	}
	fan := c.Pay(chaintest.From(c.Coinbase("a1")), outputs...)
	c.Mine("a100", "a101", chaintest.Txs(fan))
	var txs []*consensus.Tx
	for i := range outputs {
		txs = append(txs, c.Pay(chaintest.From(c.Out(fan, uint32(i))), chaintest.To("carol", 999_000)))
	}
	for i := range 4 {
		c.Mine(fmt.Sprint("a", 101+i), fmt.Sprint("a", 102+i), chaintest.Txs(txs[i*payments:(i+1)*payments]...))
	}
	bad := slices.Clone(txs[payments : 2*payments])
	forged := *bad[payments/2]
	forged.Inputs = []consensus.TxIn{forged.Inputs[0]}
	forged.Inputs[0].Witness = bad[0].Inputs[0].Witness
	bad[payments/2] = &forged
	c.Mine("a102", "b103", chaintest.Txs(bad...))
	c.Mine("b103", "b104", chaintest.Txs(txs[2*payments:3*payments]...))
	c.Mine("b104", "b105", chaintest.Txs(txs[3*payments:]...))

	for tip, test := range map[string]struct {
		codes  []string
		judged uint32
	}{"a105": {nil, 105}, "b105": {[]string{"b103 bad-sig"}, 102}} {
		p := newPlanter(t, c)
		p.plantAll(tip, nil)
		v := verifyStore(t, c, p.store, c.Now())
		codes, list := run(t, c, v)
		if !slices.Equal(codes, test.codes) || v.Judged() != test.judged {
			t.Errorf("%s: found %v, want %v; judged to %d, want %d", tip, codes, test.codes, v.Judged(), test.judged)
		}
		if len(list) > 0 && !strings.HasPrefix(list[0].Detail, "transaction "+forged.TxID().String()) {
			t.Errorf("%s does not name the payment", list[0].String())
		}
	}
}

// A block too far ahead of the clock would be refused for now.
func TestVerifyStoreByTheClock(t *testing.T) {
	c := payments(t)
	p := newPlanter(t, c)
	p.plantAll("a105", nil)
	early := time.Unix(int64(c.Block("a105").Header.Time)-c.Params.FutureLimit-1, 0)
	codes, _ := run(t, c, verifyStore(t, c, p.store, early))
	if len(codes) > 0 {
		t.Errorf("found %v by a clock that was set back", codes)
	}
}

// What the disk, or a bug, did to the store. The blocks are good.
func TestVerifyStoreFindsDamage(t *testing.T) {
	type damage struct {
		twists map[string]func(*consensus.Delta)
		spoil  func(*planter, *spoiled)
		codes  []string
		says   []string // of each finding: detail, expected, found
		coins  bool     // it can be mended from the blocks
	}
	const fifty = "5000000000 units to key "
	sum := "a105 damaged-coin-sum"
	created := func(change func(*consensus.Delta)) map[string]func(*consensus.Delta) {
		return map[string]func(*consensus.Delta){"a105": change}
	}
	for name, d := range map[string]damage{
		"undo of another block": {
			twists: map[string]func(*consensus.Delta){"a103": func(d *consensus.Delta) {
				d.Undo.Spent = d.Undo.Spent[:0:0]
				d.Undo.Spent = append(d.Undo.Spent, consensus.Coin{Value: 7})
			}},
			codes: []string{"a103 damaged-undo"}, coins: true,
			says: []string{"coin 0 of the undo data", fifty, "7 units to key 00"},
		},
		"undo of a coin of the same block": {
			twists: map[string]func(*consensus.Delta){"a101": func(d *consensus.Delta) { d.Undo.Spent = slices.Clone(d.Undo.Spent); d.Undo.Spent[1].Value++ }},
			codes:  []string{"a101 damaged-undo"}, coins: true,
			says: []string{"coin 1 of the undo data", "3000000000 units", "3000000001 units"},
		},
		"undo gone": {
			spoil: func(p *planter, s *spoiled) {
				s.undo = map[consensus.Hash]error{p.c.Hash("a102"): storage.ErrNotFound, p.c.Hash("a104"): storage.ErrDamaged}
			},
			codes: []string{"a102 damaged-undo", "a104 damaged-undo"}, coins: true,
			says: []string{"not found", "damaged"},
		},
		"coin missing": {
			twists: created(func(d *consensus.Delta) { d.Created = nil }),
			codes:  []string{sum, "a105 damaged-coin"}, coins: true,
			says: []string{"105 coins", "104 coins", p2c("a105") + ":0 is missing", fifty, "none"},
		},
		"coin changed": {
			twists: created(func(d *consensus.Delta) { d.Created[0].Coin.Value++ }),
			codes:  []string{sum, "a105 damaged-coin"}, coins: true,
			says: []string{p2c("a105") + ":0 is another one", fifty, "5000000001 units"},
		},
		"coin too many": {
			twists: created(func(d *consensus.Delta) {
				d.Created = append(d.Created, consensus.CoinEntry{OutPoint: consensus.OutPoint{Index: 9}, Coin: consensus.Coin{Value: 7, Height: 3}})
			}),
			codes: []string{"a3 damaged-coin", sum}, coins: true,
			says: []string{strings.Repeat("0", 64) + ":9 is stored, and no block leaves it", "none", "7 units"},
		},
		"coin lost from the disk": {
			spoil: func(p *planter, s *spoiled) {
				s.coins = func(f func(consensus.OutPoint, consensus.Coin) error) error {
					return p.store.ForEachCoin(func(op consensus.OutPoint, coin consensus.Coin) error {
						if coin.Coinbase && coin.Height == 50 {
							return nil
						}
						return f(op, coin)
					})
				}
			},
			codes: []string{"a50 damaged-coin"}, coins: true,
			says: []string{p2c("a50") + ":0 is missing", fifty, "from a coinbase at height 50", "none"},
		},
		"coins unreadable": {
			spoil: func(p *planter, s *spoiled) {
				s.coins = func(func(consensus.OutPoint, consensus.Coin) error) error { return storage.ErrDamaged }
			},
			codes: []string{"a105 damaged-coin"}, coins: true, says: []string{"cannot be read to the end"},
		},
		"sum": {
			spoil: func(p *planter, s *spoiled) { s.load = func(state *storage.State) { state.Sum.Sum[3] ^= 1 } },
			codes: []string{sum}, coins: true, says: []string{"105 coins of 525000000000 units with sum "},
		},
		"body gone": {
			spoil: func(p *planter, s *spoiled) {
				s.block = map[consensus.Hash]error{p.c.Hash("a50"): storage.ErrNotFound, p.c.Hash("a103"): storage.ErrDamaged}
			},
			codes: []string{"a50 damaged-body", "a103 damaged-body"}, says: []string{"not found", "damaged"},
		},
		"body of another block": {
			spoil: func(p *planter, s *spoiled) {
				p.must(p.store.PutBlock(p.record("a50"), p.c.Block("a51")))
			},
			codes: []string{"a50 damaged-body"}, says: []string{"another block is stored in its place"},
		},
		"genesis gone": {
			spoil: func(p *planter, s *spoiled) {
				s.block = map[consensus.Hash]error{p.c.Params.GenesisHash(): storage.ErrNotFound}
			},
			codes: []string{"genesis damaged-body"}, says: []string{"not found"},
		},
		"number of transactions": {
			spoil: func(p *planter, s *spoiled) {
				rec := p.record("a101")
				rec.TxCount = 2
				p.must(p.store.PutHeaders([]consensus.Record{rec}))
			},
			codes: []string{"a101 damaged-record"}, says: []string{"number of transactions", "expected 3, found 2"},
		},
		"flags": {
			spoil: func(p *planter, s *spoiled) {
				for name, change := range map[string]consensus.RecordFlags{
					"a50": consensus.RecordFailed, "a60": consensus.RecordHasBody, "a70": consensus.RecordConnected,
				} {
					rec := p.record(name)
					rec.Flags ^= change
					p.must(p.store.PutHeaders([]consensus.Record{rec}))
				}
			},
			codes: []string{"a50 damaged-record", "a60 damaged-record", "a70 damaged-record"},
			says:  []string{"expected body+connected, found body+connected+failed", "found connected", "found body"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := payments(t)
			p := newPlanter(t, c)
			p.plantAll("a105", d.twists)
			s := &spoiled{Store: p.store}
			if d.spoil != nil {
				d.spoil(p, s)
			}
			codes, list := run(t, c, verifyStore(t, c, s, c.Now()))
			if slices.Sort(codes); !slices.Equal(codes, slices.Sorted(slices.Values(d.codes))) {
				t.Fatalf("found %v, want %v", codes, d.codes)
			}
			var text strings.Builder
			for i := range list {
				fmt.Fprintln(&text, list[i].String())
				if list[i].InCoins() != d.coins {
					t.Errorf("%s: in the coins: %v", list[i].Code, list[i].InCoins())
				}
			}
			for _, word := range d.says {
				if name, ok := strings.CutPrefix(word, "$"); ok {
					name, rest, _ := strings.Cut(name, "$")
					word = c.Block(name).Txs[0].TxID().String() + rest
				}
				if !strings.Contains(text.String(), word) {
					t.Errorf("%q is not said in\n%s", word, text.String())
				}
			}
		})
	}
}

// p2c stands for the txid of a block's coinbase.
func p2c(block string) string { return "$" + block + "$" }

// A header that is kept under another hash: nothing above it can be told.
func TestVerifyStoreFindsAForeignHeader(t *testing.T) {
	c := payments(t)
	p := newPlanter(t, c)
	p.plantAll("a105", nil)
	rec := p.record("a60")
	rec.Header.Time++
	p.must(p.store.PutHeaders([]consensus.Record{rec}))
	v := verifyStore(t, c, p.store, c.Now())
	for more := true; more; {
		var err error
		if more, err = v.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	list, _ := v.Findings()
	if len(list) != 1 || list[0].Code != node.DamagedRecord || list[0].Height != 60 || list[0].Expected != c.Hash("a60").String() || v.Judged() != 59 {
		t.Errorf("found %v, judged to %d", list, v.Judged())
	}

	for what, load := range map[string]func(*storage.State){
		"a tip without a header": func(state *storage.State) { state.Tip = consensus.Hash{1} },
		"headers in a circle": func(state *storage.State) {
			state.Tip = consensus.Hash{1}
			state.Records = []consensus.Record{{Hash: consensus.Hash{1}, Header: consensus.Header{Prev: consensus.Hash{2}}},
				{Hash: consensus.Hash{2}, Header: consensus.Header{Prev: consensus.Hash{1}}}}
		},
	} {
		s := &spoiled{Store: p.store, load: load}
		if _, err := node.VerifyStore(c.Params, s, consensus.Verifier{}, c.Now()); !errors.Is(err, storage.ErrDamaged) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// A store that fails is no finding, and ends the search.
func TestVerificationEndsAtAFaultOfOurs(t *testing.T) {
	c := payments(t)
	p := newPlanter(t, c)
	p.plantAll("a105", nil)
	fault := errors.New("input/output error")
	for name, s := range map[string]*spoiled{
		"body":  {Store: p.store, block: map[consensus.Hash]error{c.Hash("a50"): fault}},
		"undo":  {Store: p.store, undo: map[consensus.Hash]error{c.Hash("a50"): fault}},
		"coins": {Store: p.store, coins: func(func(consensus.OutPoint, consensus.Coin) error) error { return fault }},
	} {
		v := verifyStore(t, c, s, c.Now())
		var err error
		for more := true; more && err == nil; {
			more, err = v.Step(t.Context())
		}
		if list, _ := v.Findings(); !errors.Is(err, fault) || len(list) > 0 {
			t.Errorf("%s: %v, found %v", name, err, list)
		}
	}
}

// Where a whole file is lost, the first findings stand for the others.
func TestFindingsAreBounded(t *testing.T) {
	c := payments(t)
	p := newPlanter(t, c)
	p.plantAll("a105", nil)
	s := &spoiled{Store: p.store, undo: make(map[consensus.Hash]error)}
	for _, block := range c.Path("a105") {
		s.undo[block.Hash()] = storage.ErrDamaged
	}
	v := verifyStore(t, c, s, c.Now())
	codes, _ := run(t, c, v)
	if _, more := v.Findings(); len(codes) != 100 || more != 5 {
		t.Errorf("%d findings, and %d more", len(codes), more)
	}
}
