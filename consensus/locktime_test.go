package consensus

import "testing"

// Cases 114 to 118, and 63: absolute locks, in a block and as a question.
func TestAbsoluteLock(t *testing.T) {
	const height = sceneHeight + 1
	tip := chainOf(sceneHeight, sceneSpacing)
	mtp := uint32(tip.MTP())
	if mtp >= tip.Header.Time {
		t.Fatal("the chain cannot tell median time from block time")
	}
	final := func(tx *Tx) { tx.Inputs[0].Sequence = finalSequence }
	cases := []struct {
		name string
		lock uint32
		more func(tx *Tx)
		code Code
	}{
		{"114 lock-height, passed", height - 1, nil, ""},
		{"114 lock-height, reached", height, nil, ErrNonFinal},
		{"115 lock-time-mtp, passed", mtp - 1, nil, ""},
		{"115 lock-time-mtp, reached", mtp, nil, ErrNonFinal},
		{"115 between median and block time", tip.Header.Time, nil, ErrNonFinal},
		{"116 lock-threshold, a height", 499_999_999, nil, ErrNonFinal},
		{"116 lock-threshold, a time", 500_000_000, nil, ""},
		{"116 largest", 0xffffffff, nil, ErrNonFinal},
		{"117 lock-final-seq", 0xffffffff, final, ""},
		{"117 one input of two", height, func(tx *Tx) {
			tx.Inputs = append(tx.Inputs, TxIn{PrevOut: OutPoint{txid(-2), 0}, Sequence: finalSequence})
		}, ErrNonFinal},
		{"none", 0, nil, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := sceneAt(t, Regtest(), tip)
			tx := lockedBy(s.unsigned([]OutPoint{s.coin(5_000, 1)}, pay(4_000, 2)), c.lock)
			if c.more != nil {
				c.more(tx)
			}
			if got := CheckFinal(tx, height, int64(mtp)); got != (c.code == "") {
				t.Errorf("CheckFinal: %v", got)
			}
			b := s.block(s.sign(tx))
			s.want(b, c.code, Invalid)
			// 63 and 118: a coinbase too.
			b = s.block()
			lockedBy(b.Txs[0], c.lock)
			b.Txs[0].Inputs[0].Sequence = tx.Inputs[0].Sequence
			s.want(reroot(b), c.code, Invalid)
		})
	}
}

// Cases 119 to 125: relative locks, loose (Policy) and in a block (Invalid).
func TestRelativeLock(t *testing.T) {
	const height = sceneHeight + 1
	time := func(units uint32) uint32 { return sequenceTime | units }
	// The coin of block h counts from the median time of h-1, to that of the
	// parent: (sceneHeight - (h-1)) spacings.
	elapsed := func(h uint32) uint32 { return (sceneHeight - (h - 1)) * sceneSpacing }
	cases := []struct {
		name     string
		coin     uint32 // height
		version  uint32
		sequence uint32
		code     Code
	}{
		{"119 csv-height, one too early", height - 9, 2, 10, ErrNonFinal},
		{"119 csv-height, in time", height - 10, 2, 10, ""},
		{"119 n=0", sceneHeight, 2, 0, ""},
		{"119 n=65535", 1, 2, 65_535, ErrNonFinal},
		{"119 n=65535 after 299 blocks", height - 300, 2, 300, ""},
		{"120 csv-time, in time", 101, 2, time(elapsed(101) / 512), ""},
		{"120 csv-time, one unit too early", 101, 2, time(elapsed(101)/512 + 1), ErrNonFinal},
		{"120 n=0", sceneHeight, 2, time(0), ""},
		{"120 n=65535", 1, 2, time(65_535), ErrNonFinal},
		{"121 csv-disable-bit", sceneHeight, 2, sequenceDisable | 65_535, ""},
		{"122 csv-version1", sceneHeight, 1, 65_535, ""},
		{"122 version 0", sceneHeight, 0, 65_535, ""},
		{"122 version 2", sceneHeight, 2, 65_535, ErrNonFinal},
		{"123 csv-version-high", sceneHeight, 0x80000000, 65_535, ErrNonFinal},
		{"123 highest", sceneHeight, 0xffffffff, 65_535, ErrNonFinal},
		{"124 csv-extra-bits", height - 10, 2, 0x7fbf0000 | 10, ""},
		{"124 extra bits do not free", height - 9, 2, 0x7fbf0000 | 10, ErrNonFinal},
		{"125 csv-mempool-parent", height, 2, 1, ErrNonFinal},
		{"125 n=0", height, 2, 0, ""},
		{"125 by time", height, 2, time(1), ErrNonFinal},
		{"125 by time, n=0", height, 2, time(0), ""},
	}
	tip := chainOf(sceneHeight, sceneSpacing)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := sceneAt(t, Regtest(), tip)
			coin := Coin{Value: 5_000, Key: publicKey(1), Height: c.coin}
			tx := s.unsigned([]OutPoint{s.coinOf(coin)}, pay(4_000, 2))
			tx.Version, tx.Inputs[0].Sequence = c.version, c.sequence
			s.want(s.block(s.sign(tx)), c.code, Invalid)
			loose := c.code
			if loose != "" {
				loose = ErrNonBIP68Final
			}
			_, err := SpendTx(s.p, tip, tx, []Coin{coin})
			wantRule(t, err, loose, Policy)
		})
	}
}

// A coin that time has not reached yet can only be our own mistake.
func TestRelativeLockOfImpossibleCoin(t *testing.T) {
	s := newScene(t)
	tx := s.unsigned([]OutPoint{s.coin(1, 1)}, pay(1, 2))
	tx.Inputs[0].Sequence = sequenceTime | 1
	_, err := SpendTx(s.p, s.parent, tx, []Coin{{Value: 1, Height: sceneHeight + 5}})
	if err == nil || AsRuleError(err) != nil {
		t.Errorf("got %v, want an error of our own", err)
	}
}

// The spending of a coin of the genesis block's height counts from genesis.
func TestRelativeTimeFromGenesis(t *testing.T) {
	tip := chainOf(20, sceneSpacing)
	p := Regtest()
	tx := &Tx{Version: 2, Inputs: []TxIn{{Sequence: sequenceTime | 1}}}
	if _, err := SpendTx(p, tip, tx, []Coin{{Height: 0}}); err != nil {
		t.Error(err)
	}
}
