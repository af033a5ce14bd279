package consensus

import (
	"fmt"
	"slices"
	"testing"
)

// wanted returns a scene and a good block of n payments.
func goodBlock(t testing.TB, n int) (*scene, *Block) {
	s := newScene(t)
	var txs []*Tx
	for i := range n {
		txs = append(txs, s.spend([]OutPoint{s.coin(10_000, i%8)}, pay(9_000, 1)))
	}
	return s, s.block(txs...)
}

func TestGenesisBlocksPass(t *testing.T) {
	for _, name := range PresetNames() {
		p, _ := Preset(name)
		wantRule(t, CheckBlock(p, p.Genesis()), "", 0)
		wantRule(t, checkHeight(p.Genesis().Txs[0], 0), "", 0)
	}
}

// Conformance group B, as a block's own shape decides it. bad changes a good
// block; the good one must pass after a Mutated one was refused.
func TestBlocks(t *testing.T) {
	cases := []struct {
		name string
		bad  func(s *scene, b *Block)
		code Code
		kind Kind
	}{
		{"24 blk-empty", func(_ *scene, b *Block) { b.Txs, b.Header.MerkleRoot = nil, Hash{} }, ErrBlockLength, Invalid},
		{"24 emptied under way", func(_ *scene, b *Block) { b.Txs = nil }, ErrMerkleRoot, Mutated},
		{"25 blk-weight-max", func(s *scene, b *Block) { s.p.MaxWeight = b.Weight() }, "", 0},
		{"26 blk-stripped-max", func(s *scene, b *Block) {
			withoutWitness(b)
			s.p.MaxWeight = WitnessScale * b.StrippedSize()
		}, "", 0},
		{"26 blk-stripped-max+1", func(s *scene, b *Block) { s.p.MaxWeight = WitnessScale*b.StrippedSize() - 1 }, ErrBlockLength, Invalid},
		{"27 blk-weight-max+1", func(s *scene, b *Block) { s.p.MaxWeight = b.Weight() - 1 }, ErrBlockWeight, Invalid},
		{"27 weight added under way", func(s *scene, b *Block) {
			s.p.MaxWeight = b.Weight()
			b.Txs[0].Inputs[0].Witness = append(b.Txs[0].Inputs[0].Witness, make([]byte, 100))
		}, ErrWitnessNonceSize, Mutated},
		{"28 blk-merkle-wrong", func(_ *scene, b *Block) { b.Header.MerkleRoot[0] ^= 1 }, ErrMerkleRoot, Mutated},
		{"28 a transaction changed", func(_ *scene, b *Block) { b.Txs[2].Outputs[0].Value-- }, ErrMerkleRoot, Mutated},
		{"28 a transaction left out", func(_ *scene, b *Block) { b.Txs = b.Txs[:3] }, ErrMerkleRoot, Mutated},
		{"32 blk-tx-twice, the shape that mutates", func(_ *scene, b *Block) {
			b.Txs = []*Tx{b.Txs[0], b.Txs[1], b.Txs[2], b.Txs[2]}
			reroot(b)
		}, ErrDuplicateTxs, Mutated},
		{"32 blk-tx-twice, the shape that does not", func(_ *scene, b *Block) {
			b.Txs = []*Tx{b.Txs[0], b.Txs[1], b.Txs[1], b.Txs[2]}
			recommit(b)
		}, ErrInputsMissingOrSpent, Invalid},
		{"33 blk-64byte-tx", func(_ *scene, b *Block) {
			b.Txs[2].Outputs[0] = data("ab")
			recommit(b)
		}, ErrTx64Bytes, Invalid},
		{"33 Merkle nodes as transactions", func(_ *scene, b *Block) {
			b.Txs = b.Txs[1:]
			b.Txs[2].Outputs[0] = data("ab")
			reroot(b)
		}, ErrTx64Bytes, Mutated},
		{"34 blk-first-not-coinbase", func(_ *scene, b *Block) {
			b.Txs = b.Txs[1:]
			reroot(b)
		}, ErrCoinbaseMissing, Invalid},
		{"35 blk-two-coinbase", func(_ *scene, b *Block) {
			b.Txs = append(b.Txs, coinbaseTx(sceneHeight+1, pay(1, 2)))
			reroot(b)
		}, ErrCoinbaseMultiple, Invalid},
		{"70 tx-no-in in a block", func(_ *scene, b *Block) {
			b.Txs[3].Inputs = nil
			reroot(b)
		}, ErrNoInputs, Invalid},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s, good := goodBlock(t, 4)
			limit := s.p.MaxWeight
			bad := cloneBlock(t, good)
			c.bad(s, bad)
			s.want(bad, c.code, c.kind)
			s.p.MaxWeight = limit
			s.ok(good)
		})
	}
}

// withoutWitness leaves a coinbase that commits to nothing.
func withoutWitness(b *Block) {
	cb := b.Txs[0]
	cb.Inputs[0].Witness, cb.Outputs = nil, cb.Outputs[:1]
	cb.Outputs[0].Value = 1
	b.Txs = b.Txs[:1]
	reroot(b)
}

// recommit makes commitment and root fit again.
func recommit(b *Block) *Block {
	cb := b.Txs[0]
	cb.Outputs[len(cb.Outputs)-1].Script = CommitmentScript(WitnessRoot(b), [ReservedSize]byte{})
	return reroot(b)
}

// Cases 29 to 31 (CVE-2012-2459): for every number of transactions, every way
// to repeat the end of the list under the same root is refused as Mutated, and
// the good block passes afterwards.
func TestMerkleRepetition(t *testing.T) {
	s, full := goodBlock(t, 32)
	ways := 0
	for n := 3; n <= 33; n++ {
		good := cloneBlock(t, full)
		good.Txs = good.Txs[:n]
		good.Txs[0].Outputs[0].Value = s.p.Subsidy(sceneHeight + 1)
		recommit(good)
		for width := 1; width < n; width *= 2 { // repeat the last 2^k leaves
			if n%width != 0 || n/width%2 == 0 {
				continue
			}
			bad := cloneBlock(t, good)
			bad.Txs = append(bad.Txs, bad.Txs[n-width:]...)
			if root, _ := bad.MerkleRoot(); root != good.Header.MerkleRoot {
				t.Fatalf("%d transactions, the last %d again: the root differs", n, width)
			}
			ways++
			wantRule(t, CheckBlock(s.p, bad), ErrDuplicateTxs, Mutated)
		}
		wantRule(t, CheckBlock(s.p, good), "", 0)
		if n < 8 || n == 33 {
			s.ok(good)
		}
	}
	if ways < 20 {
		t.Errorf("only %d ways tried", ways)
	}
}

// A block with its ids at hand is judged as it is without them, and the one that it was
// made of has none: it may still be changed.
func TestIdentified(t *testing.T) {
	s, plain := goodBlock(t, 5)
	known := plain.Identified()
	if known == plain || known.Identified() != known {
		t.Error("a block's ids are not computed once")
	}
	for i, tx := range plain.Txs {
		if known.TxIDs()[i] != tx.TxID() || known.WTxIDs()[i] != tx.WTxID() {
			t.Errorf("transaction %d is called %s and %s", i, known.TxIDs()[i], known.WTxIDs()[i])
		}
	}
	s.ok(known)
	want := slices.Clone(known.TxIDs())
	for range 2 { // whoever builds trees of them leaves them as they are
		known.MerkleRoot()
		if WitnessRoot(known) != WitnessRoot(plain) {
			t.Error("another witness root")
		}
	}
	if !slices.Equal(known.TxIDs(), want) || known.WTxIDs()[0] != plain.Txs[0].WTxID() {
		t.Error("the ids were changed")
	}
	plain.Txs[2].LockTime++
	wantRule(t, CheckBlock(s.p, plain), ErrMerkleRoot, Mutated)
}

// Case 31: the repetition is of a chain of spends.
func TestMerkleRepetitionOfChain(t *testing.T) {
	s := newScene(t)
	a := s.spend([]OutPoint{s.coin(10_000, 1)}, pay(9_000, 2))
	b := s.spend([]OutPoint{{a.TxID(), 0}}, pay(8_000, 3))
	good := s.block(a, b)
	bad := cloneBlock(t, good)
	bad.Txs = append(bad.Txs, bad.Txs[2])
	s.want(bad, ErrDuplicateTxs, Mutated)
	s.ok(good)
}

// Cases 40 to 45: what a forwarder can do to witnesses is Mutated.
func TestWitnessCommitment(t *testing.T) {
	reserved := func(items ...[]byte) func(*scene, *Block) {
		return func(_ *scene, b *Block) { b.Txs[0].Inputs[0].Witness = items }
	}
	cases := []struct {
		name string
		bad  func(s *scene, b *Block)
		code Code
	}{
		{"40 blk-wit-no-commitment", func(_ *scene, b *Block) {
			b.Txs[0].Outputs = b.Txs[0].Outputs[:1]
			b.Txs[0].Inputs[0].Witness = nil
			reroot(b)
		}, ErrUnexpectedWitness},
		{"40 nor any witness", func(_ *scene, b *Block) {
			b.Txs[0].Outputs = b.Txs[0].Outputs[:1]
			for _, tx := range b.Txs {
				tx.Inputs[0].Witness = nil
			}
			reroot(b)
		}, ErrUnexpectedWitness},
		{"40 coinbase witness alone", func(_ *scene, b *Block) {
			b.Txs = b.Txs[:1]
			b.Txs[0].Outputs = b.Txs[0].Outputs[:1]
			reroot(b)
		}, ErrUnexpectedWitness},
		{"41 blk-wit-bad-commitment", func(_ *scene, b *Block) {
			b.Txs[0].Outputs[1].Script[10] ^= 1
			reroot(b)
		}, ErrWitnessMerkle},
		{"41 other reserved value", reserved(append(make([]byte, 31), 1)), ErrWitnessMerkle},
		{"42 blk-wit-nonce-missing", reserved(), ErrWitnessNonceSize},
		{"42 in a block without spends", func(_ *scene, b *Block) {
			b.Txs = b.Txs[:1]
			recommit(b)
			b.Txs[0].Inputs[0].Witness = nil
		}, ErrWitnessNonceSize},
		{"42 all witnesses stripped under way", func(_ *scene, b *Block) {
			for _, tx := range b.Txs {
				tx.Inputs[0].Witness = nil
			}
		}, ErrWitnessNonceSize},
		{"43 blk-wit-nonce-31", reserved(make([]byte, 31)), ErrWitnessNonceSize},
		{"43 blk-wit-nonce-33", reserved(make([]byte, 33)), ErrWitnessNonceSize},
		{"43 blk-wit-nonce-two", reserved(make([]byte, 32), make([]byte, 32)), ErrWitnessNonceSize},
		{"44 the last commitment counts", func(_ *scene, b *Block) {
			wrong := TxOut{Script: CommitmentScript(Hash{1}, [ReservedSize]byte{})}
			b.Txs[0].Outputs = append(b.Txs[0].Outputs, wrong)
			reroot(b)
		}, ErrWitnessMerkle},
		{"45 blk-wit-malleated", func(_ *scene, b *Block) { b.Txs[1].Inputs[0].Witness[0][5] ^= 1 }, ErrWitnessMerkle},
		{"45 a witness item added", func(_ *scene, b *Block) {
			b.Txs[1].Inputs[0].Witness = append(b.Txs[1].Inputs[0].Witness, []byte{0x50})
		}, ErrWitnessMerkle},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s, good := goodBlock(t, 2)
			bad := cloneBlock(t, good)
			c.bad(s, bad)
			s.want(bad, c.code, Mutated)
			s.ok(good)
		})
	}
	t.Run("44 in the first output", func(t *testing.T) {
		s, b := goodBlock(t, 2)
		outs := b.Txs[0].Outputs
		b.Txs[0].Outputs = []TxOut{outs[1], outs[0]}
		s.ok(reroot(b))
	})
	t.Run("44 blk-wit-two-commitments", func(t *testing.T) {
		s, b := goodBlock(t, 2)
		outs := b.Txs[0].Outputs
		b.Txs[0].Outputs = []TxOut{outs[0], {Script: CommitmentScript(Hash{1}, [ReservedSize]byte{})}, outs[1]}
		s.ok(reroot(b))
	})
	t.Run("no spend, no commitment", func(t *testing.T) {
		s := newScene(t)
		b := s.block()
		withoutWitness(b)
		s.ok(b)
	})
	t.Run("a longer push is a commitment too", func(t *testing.T) {
		s, b := goodBlock(t, 1)
		script := append(CommitmentScript(WitnessRoot(b), [ReservedSize]byte{}), 9)
		script[1]++ // push 37
		b.Txs[0].Outputs[1].Script = script
		// BIP141's header has the push of 36 in it: this is mere data.
		s.want(reroot(b), ErrUnexpectedWitness, Mutated)
	})
}

// Cases 56 to 58: BIP34, by the published encodings.
func TestCoinbaseHeight(t *testing.T) {
	encodings := map[uint32]string{
		0: "00", 1: "51", 2: "52", 15: "5f", 16: "60", 17: "0111", 127: "017f", 128: "028000", 255: "02ff00",
		256: "020001", 32767: "02ff7f", 32768: "03008000", 65535: "03ffff00", 8388607: "03ffff7f", 8388608: "0400008000",
		0x7fffffff: "04ffffff7f", 0x80000000: "050000008000", 0xffffffff: "05ffffffff00",
	}
	for height, want := range encodings {
		if got := fmt.Sprintf("%x", CoinbaseHeightScript(height)); got != want {
			t.Errorf("height %d: %s, want %s", height, got, want)
		}
	}
	cases := []struct {
		name   string
		height uint32
		script string
		code   Code
	}{
		{"56 cb-height-missing", 301, "deadbeef", ErrCoinbaseHeight},
		{"57 one less", 301, "022c01", ErrCoinbaseHeight},
		{"57 one more", 301, "022e01", ErrCoinbaseHeight},
		{"right", 301, "022d01", ""},
		{"right, more behind", 301, "022d01022d01", ""},
		{"58 not minimal", 301, "032d0100", ErrCoinbaseHeight},
		{"58 by OP_PUSHDATA1", 301, "4c022d01", ErrCoinbaseHeight},
		{"58 5 by a push", 5, "0105", ErrCoinbaseHeight},
		{"58 5 by opcode", 5, "5500", ""},
		{"58 16 by opcode", 16, "6000", ""},
		{"58 17", 17, "0111", ""},
		{"58 127", 127, "017f", ""},
		{"58 127 with a sign byte", 127, "027f00", ErrCoinbaseHeight},
		{"58 128", 128, "028000", ""},
		{"58 128 without its sign byte", 128, "0180", ErrCoinbaseHeight},
		{"58 32768", 32768, "03008000", ""},
		{"58 32768 without its sign byte", 32768, "020080", ErrCoinbaseHeight},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := sceneAt(t, Regtest(), &BlockIndex{Height: c.height - 1})
			b := s.blockOf(0)
			b.Txs[0].Inputs[0].ScriptSig = unhex(t, c.script)
			s.want(reroot(b), c.code, Invalid)
		})
	}
}
