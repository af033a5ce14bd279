package conformance

import (
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
)

// Cases 98 to 108: signatures. What is refused here is asked of btcd as well.
var signatureCases = []conformanceCase{
	{number: 98, name: "sig-ok-64", rules: "S9", run: func(s *stage) {
		coins := s.purse()
		tx := s.Sign(s.payTwo(coins), coins, consensus.SigHashDefault)
		s.goodSpend("a5", tx, coins)
	}},
	{number: 99, name: "sig-ok-65-types", rules: "S9", run: func(s *stage) {
		coins := s.purse()
		for _, hashType := range signedTypes {
			tx := s.Sign(s.payTwo(coins), coins, hashType)
			changeWhatIsOpen(tx, coins, hashType)
			s.goodSpend(fmt.Sprintf("a-%02x", hashType), tx, coins)
			coins = []chaintest.Coin{s.Out(tx, 0), s.Out(tx, 1)}
		}
	}},
	{number: 100, name: "sig-65-zero", rules: "S7", run: func(s *stage) {
		coins := s.purse()
		tx := s.Sign(s.payTwo(coins), coins, consensus.SigHashDefault)
		for input := range coins {
			written := s.copiedTx(tx)
			item := &written.Inputs[input].Witness[0]
			*item = append(*item, consensus.SigHashDefault)
			s.badSpend(fmt.Sprint("b5-", input), written, coins, consensus.ErrSigHashType)
		}
		s.goodSpend("a5", tx, coins)
	}},
	{number: 101, name: "sig-unknown-type", rules: "S7", run: func(s *stage) {
		coins, unknown := s.purse(), 0
		tx := s.Sign(s.payTwo(coins), coins, consensus.SigHashDefault)
		for hashType := 1; hashType <= 0xff; hashType++ { // 0 is case 100
			if slices.Contains(signedTypes, byte(hashType)) {
				continue
			}
			unknown++
			typed := s.copiedTx(tx)
			item := &typed.Inputs[1].Witness[0]
			*item = append(*item, byte(hashType))
			s.badSpend(fmt.Sprintf("b5-%02x", hashType), typed, coins, consensus.ErrSigHashType)
		}
		if unknown != 249 {
			s.t.Errorf("%d hash types are unknown, not 249", unknown)
		}
	}},
	{number: 102, name: "sig-single-no-output", rules: "S8", run: func(s *stage) {
		coins := s.purse()
		for _, hashType := range []byte{consensus.SigHashSingle, consensus.SigHashSingle | consensus.SigHashAnyOneCanPay} {
			tx := s.Sign(s.payTwo(coins), coins, hashType)
			tx.Outputs = tx.Outputs[:1] // input 0 signs it, and input 1 what is gone
			s.badSpend(fmt.Sprintf("b5-%02x", hashType), tx, coins, consensus.ErrSigSingle)
		}
		tx := s.payTwo(coins)
		tx.Outputs = tx.Outputs[:1]
		s.Sign(tx, coins, consensus.SigHashDefault)
		tx.Inputs[0].Witness[0] = s.signature("alice", tx, 0, coins, consensus.SigHashSingle)
		s.goodSpend("a5", tx, coins)
	}},
	{number: 103, name: "sig-size-63/66/0", rules: "S6", run: func(s *stage) {
		coins := s.purse()
		tx := s.Sign(s.payTwo(coins), coins, consensus.SigHashDefault)
		for _, size := range []int{63, 66, 0, 1, 128, 520, 521} {
			sized := s.copiedTx(tx)
			item := &sized.Inputs[0].Witness[0]
			*item = append(*item, make([]byte, 521)...)[:size]
			s.badSpend(fmt.Sprint("b5-", size), sized, coins, consensus.ErrSigSize)
		}
		s.goodSpend("a5", tx, coins)
	}},
	{number: 104, name: "sig-flip-bit", rules: "S9", run: func(s *stage) {
		purse := s.purse()
		for _, flip := range flips {
			coins := slices.Clone(purse)
			tx := s.Sign(s.payTwo(coins), coins, consensus.SigHashDefault)
			flip.edit(s, tx, coins)
			s.badSpend("b5 "+flip.what, tx, coins, consensus.ErrSig)
		}
		s.goodSpend("a5", s.Sign(s.payTwo(purse), purse, consensus.SigHashDefault), purse)
	}},
	{number: 105, name: "sig-amount-lie", rules: "S9", run: func(s *stage) {
		coins := s.purse()
		for input := range coins { // its own, and the other one's
			lie := slices.Clone(coins)
			lie[input].Value--
			tx := s.Sign(s.payTwo(coins), coins, consensus.SigHashDefault)
			tx.Inputs[0].Witness[0] = s.signature("alice", tx, 0, lie, consensus.SigHashDefault)
			s.badSpend(fmt.Sprint("b5-", input), tx, coins, consensus.ErrSig)
		}
		// ANYONECANPAY alone says nothing of the other one's.
		lie := slices.Clone(coins)
		lie[1].Value--
		tx := s.Sign(s.payTwo(coins), coins, consensus.SigHashDefault)
		tx.Inputs[0].Witness[0] = s.signature("alice", tx, 0, lie, consensus.SigHashAll|consensus.SigHashAnyOneCanPay)
		s.goodSpend("a5", tx, coins)
	}},
	{number: 106, name: "sig-s-overflow / R-not-on-curve", rules: "S9", run: func(s *stage) {
		coins := s.purse()
		for _, bad := range []struct {
			what  string
			at    int
			value string
		}{
			{"s is the order", 32, curveOrder},
			{"s is the largest number", 32, allOnes},
			{"R is the field size", 0, fieldSize},
			{"R is the largest number", 0, allOnes},
			{"R is not on the curve", 0, offCurve},
		} {
			tx := s.Sign(s.payTwo(coins), coins, consensus.SigHashDefault)
			copy(tx.Inputs[0].Witness[0][bad.at:], unhex(bad.value))
			s.badSpend("b5 "+bad.what, tx, coins, consensus.ErrSig)
		}
		s.goodSpend("a5", s.Sign(s.payTwo(coins), coins, consensus.SigHashDefault), coins)
	}},
	{number: 107, name: "sig-odd-R", rules: "S9", run: func(s *stage) {
		coins := s.purse()
		tx := s.Sign(s.payTwo(coins), coins, consensus.SigHashDefault)
		odd, even := s.oddR("alice", tx, 0, coins)
		tx.Inputs[0].Witness[0] = odd
		s.badSpend("b5", tx, coins, consensus.ErrSig)
		tx.Inputs[0].Witness[0] = even
		s.goodSpend("a5", tx, coins)
	}},
	{number: 108, name: "key-not-on-curve", rules: "S9", run: func(s *stage) {
		coins := s.purse()
		pay := s.payTwo(coins)
		pay.Outputs[0].Script = consensus.PayToKey([consensus.KeySize]byte(unhex(offCurve)))
		pay.Outputs[1].Script = consensus.PayToKey([consensus.KeySize]byte(unhex(fieldSize)))
		s.Sign(pay, coins, consensus.SigHashDefault)
		s.goodSpend("a5", pay, coins) // whoever pays to such a key loses the coin
		for output := range pay.Outputs {
			lost := []chaintest.Coin{s.Out(pay, uint32(output))}
			tx := s.Unsigned(lost, chaintest.To("alice", chaintest.Coins))
			tx.Inputs[0].Witness = [][]byte{s.signature("alice", tx, 0, lost, consensus.SigHashDefault)}
			s.badSpend(fmt.Sprint("b6-", output), tx, lost, consensus.ErrSig)
		}
	}},
}

// signedTypes are the hash types that a signature of 65 bytes may end with.
var signedTypes = []byte{0x01, 0x02, 0x03, 0x81, 0x82, 0x83}

// changeWhatIsOpen changes a signed transaction where signatures of this type on
// both inputs leave it open.
func changeWhatIsOpen(tx *consensus.Tx, coins []chaintest.Coin, hashType byte) {
	if hashType&consensus.SigHashAnyOneCanPay != 0 { // the place of an input
		slices.Reverse(tx.Inputs)
		slices.Reverse(coins)
	}
	switch hashType {
	case consensus.SigHashNone, consensus.SigHashNone | consensus.SigHashAnyOneCanPay:
		tx.Outputs[0].Value -= 1000
	case consensus.SigHashSingle: // outputs that no input stands at
		tx.Outputs = append(tx.Outputs, consensus.TxOut{Script: []byte{0x6a, 0}})
	case consensus.SigHashSingle | consensus.SigHashAnyOneCanPay:
		slices.Reverse(tx.Outputs) // each goes with its input
	}
}

// Numbers of secp256k1, and one that is no x coordinate of it (BIP340's test
// vectors 5 to 14).
const (
	fieldSize  = "fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f"
	curveOrder = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"
	offCurve   = "4a298dacae57395a15d0795ddbfd1dcb564da82b0f269bc70a74f8220429ba1d"
	allOnes    = "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
)

func unhex(digits string) []byte {
	b, err := hex.DecodeString(digits)
	if err != nil {
		panic(err) // of the constants above
	}
	return b
}

// flips are what a signature commits to, each changed after signing.
var flips = []struct {
	what string
	edit func(s *stage, tx *consensus.Tx, coins []chaintest.Coin)
}{
	{"first bit of R", func(_ *stage, tx *consensus.Tx, _ []chaintest.Coin) { tx.Inputs[0].Witness[0][0] ^= 0x80 }},
	{"last bit of R", func(_ *stage, tx *consensus.Tx, _ []chaintest.Coin) { tx.Inputs[0].Witness[0][31] ^= 1 }},
	{"first bit of s", func(_ *stage, tx *consensus.Tx, _ []chaintest.Coin) { tx.Inputs[0].Witness[0][32] ^= 0x80 }},
	{"last bit of s", func(_ *stage, tx *consensus.Tx, _ []chaintest.Coin) { tx.Inputs[0].Witness[0][63] ^= 1 }},
	{"signature of the other input", func(_ *stage, tx *consensus.Tx, _ []chaintest.Coin) {
		tx.Inputs[0].Witness = tx.Inputs[1].Witness
	}},
	{"hash type", func(s *stage, tx *consensus.Tx, coins []chaintest.Coin) {
		item := s.signature("alice", tx, 0, coins, consensus.SigHashDefault)
		tx.Inputs[0].Witness[0] = append(item, consensus.SigHashAll) // signs the same, and says so
	}},
	{"key", func(s *stage, tx *consensus.Tx, coins []chaintest.Coin) {
		tx.Inputs[0].Witness[0] = s.signature("bob", tx, 0, coins, consensus.SigHashDefault)
	}},
	{"amount", signedFor(func(_ *stage, coins []chaintest.Coin) { coins[0].Value++ })},
	{"prevout script", signedFor(func(s *stage, coins []chaintest.Coin) { coins[0].Key = s.Key("carol") })},
	{"prevout script of the other input", signedFor(func(s *stage, coins []chaintest.Coin) { coins[1].Key = s.Key("carol") })},
	{"outpoint", func(s *stage, tx *consensus.Tx, _ []chaintest.Coin) { // to one as rich, of the same owner
		tx.Inputs[0].PrevOut = s.Coinbase("a3").OutPoint
	}},
	{"sequence", func(_ *stage, tx *consensus.Tx, _ []chaintest.Coin) { tx.Inputs[0].Sequence-- }},
	{"sequence of the other input", func(s *stage, tx *consensus.Tx, coins []chaintest.Coin) {
		tx.Inputs[1].Sequence--
		tx.Inputs[1].Witness[0] = s.signature("bob", tx, 1, coins, consensus.SigHashDefault)
	}},
	{"inputs in another order", func(s *stage, tx *consensus.Tx, coins []chaintest.Coin) {
		slices.Reverse(tx.Inputs)
		slices.Reverse(coins)
	}},
	{"lock time", func(_ *stage, tx *consensus.Tx, _ []chaintest.Coin) { tx.LockTime++ }},
	{"version", func(_ *stage, tx *consensus.Tx, _ []chaintest.Coin) { tx.Version++ }},
	{"value of an output", func(_ *stage, tx *consensus.Tx, _ []chaintest.Coin) { tx.Outputs[1].Value-- }},
	{"script of an output", func(s *stage, tx *consensus.Tx, _ []chaintest.Coin) {
		tx.Outputs[1].Script = consensus.PayToKey(s.Key("carol"))
	}},
	{"outputs in another order", func(_ *stage, tx *consensus.Tx, _ []chaintest.Coin) { slices.Reverse(tx.Outputs) }},
	{"an output more", func(_ *stage, tx *consensus.Tx, _ []chaintest.Coin) {
		tx.Outputs = append(tx.Outputs, consensus.TxOut{Script: []byte{0x6a, 0}})
	}},
	{"an output less", func(_ *stage, tx *consensus.Tx, _ []chaintest.Coin) { tx.Outputs = tx.Outputs[:1] }},
}

// signedFor signs input 0 for other coins than those that it spends.
func signedFor(lie func(*stage, []chaintest.Coin)) func(*stage, *consensus.Tx, []chaintest.Coin) {
	return func(s *stage, tx *consensus.Tx, coins []chaintest.Coin) {
		coins = slices.Clone(coins)
		lie(s, coins)
		tx.Inputs[0].Witness[0] = s.signature("alice", tx, 0, coins, consensus.SigHashDefault)
	}
}

// oddR signs twice with one nonce: as BIP340 forbids, for the nonce's point with
// odd y, and as it asks for. Both have the same R.
func (s *stage) oddR(by string, tx *consensus.Tx, input int, from []chaintest.Coin) (odd, even []byte) {
	s.t.Helper()
	msg := s.message(tx, input, from, consensus.SigHashDefault)
	d := s.Secret(by).Key
	if s.Secret(by).PubKey().SerializeCompressed()[0] == 3 { // the key's own y must be even
		d.Negate()
	}
	var k btcec.ModNScalar
	var r btcec.JacobianPoint
	for n := uint32(1); !r.Y.IsOdd(); n++ {
		k.SetInt(n)
		btcec.ScalarBaseMultNonConst(&k, &r)
		r.ToAffine()
	}
	x, key := *r.X.Bytes(), s.Key(by)
	challenge := consensus.TaggedHash("BIP0340/challenge", x[:], key[:], msg[:])
	sign := func() []byte {
		var e btcec.ModNScalar
		e.SetBytes(&challenge)
		value := e.Mul(&d).Add(&k).Bytes()
		return append(x[:], value[:]...)
	}
	odd = sign()
	k.Negate()
	return odd, sign()
}

// signature is the named key's for one input of tx, which spends these coins,
// whoever they belong to.
func (s *stage) signature(by string, tx *consensus.Tx, input int, from []chaintest.Coin, hashType byte) []byte {
	s.t.Helper()
	msg := s.message(tx, input, from, hashType)
	sig, err := schnorr.Sign(s.Secret(by), msg[:])
	s.check(err)
	if hashType == consensus.SigHashDefault {
		return sig.Serialize()
	}
	return append(sig.Serialize(), hashType)
}

func (s *stage) message(tx *consensus.Tx, input int, from []chaintest.Coin, hashType byte) [32]byte {
	s.t.Helper()
	var spent []consensus.TxOut
	for i := range from {
		spent = append(spent, from[i].TxOut())
	}
	msg, err := consensus.SigHash(tx, input, spent, hashType)
	s.check(err)
	return msg
}
