package conformance

import (
	"strings"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/mempool"
)

// What a transaction may pay to.
var outputCases = []conformanceCase{
	{number: 82, name: "tx-out-p2pkh", rules: "S1 B7", run: func(s *stage) {
		s.opening()
		s.rejectForms(foreignScripts, consensus.ErrOutputType)
		key := s.Key("bob")
		s.confirm(s.carrying("\x51\x20" + string(key[:])))
	}},
	{number: 83, name: "tx-out-p2tr-33", rules: "S1 B7", run: func(s *stage) {
		s.opening()
		s.rejectForms([]form{
			{"31 bytes", "\x51\x1f" + zeros(31)},
			{"33 bytes", "\x51\x21" + zeros(33)},
			{"31 bytes announced, 32 there", "\x51\x1f" + zeros(32)},
			{"33 bytes announced, 32 there", "\x51\x21" + zeros(32)},
			{"32 bytes announced, 31 there", "\x51\x20" + zeros(31)},
			{"32 bytes announced, 33 there", "\x51\x20" + zeros(33)},
			{"OP_PUSHDATA1", "\x51\x4c\x20" + zeros(32)},
			{"OP_PUSHDATA2", "\x51\x4d\x20\x00" + zeros(32)},
			{"OP_PUSHDATA4", "\x51\x4e\x20\x00\x00\x00" + zeros(32)},
			{"1 as a push of a byte", "\x01\x01\x20" + zeros(32)},
			{"OP_1NEGATE", "\x4f\x20" + zeros(32)},
		}, consensus.ErrOutputType)
		s.confirm(s.carrying("\x51\x20" + zeros(32))) // whether it is a key is asked when it is spent
	}},
	{number: 84, name: "tx-out-opreturn-forms", rules: "S1 S2 B7", run: func(s *stage) {
		s.opening()
		s.rejectForms([]form{
			{"OP_PUSHDATA1 of 81", "\x6a\x4c\x51" + zeros(81)},
			{"OP_PUSHDATA1 of 255", "\x6a\x4c\xff" + zeros(255)},
			{"OP_PUSHDATA2 of 0", "\x6a\x4d\x00\x00"},
			{"OP_PUSHDATA2 of 80", "\x6a\x4d\x50\x00" + zeros(80)},
			{"OP_PUSHDATA2 of 256", "\x6a\x4d\x00\x01" + zeros(256)},
			{"OP_PUSHDATA4 of 0", "\x6a\x4e\x00\x00\x00\x00"},
			{"OP_PUSHDATA4 of 80", "\x6a\x4e\x50\x00\x00\x00" + zeros(80)},
		}, consensus.ErrOpReturnSize)
		s.rejectForms([]form{
			{"no push", "\x6a"},
			{"OP_0 twice", "\x6a\x00\x00"},
			{"OP_16 and OP_0", "\x6a\x60\x00"},
			{"two pushes", "\x6a\x01\x07\x01\x07"},
			{"a byte behind", "\x6a\x01\x07\x00"},
			{"a byte behind OP_PUSHDATA1", "\x6a\x4c\x50" + zeros(81)},
			{"a byte behind OP_PUSHDATA2", "\x6a\x4d\x01\x00\x07\x00"},
			{"push of 2, 1 there", "\x6a\x02\x07"},
			{"push of 75, 74 there", "\x6a\x4b" + zeros(74)},
			{"OP_PUSHDATA1 of 81, 80 there", "\x6a\x4c\x51" + zeros(80)},
			{"OP_PUSHDATA2 of 2, 1 there", "\x6a\x4d\x02\x00\x07"},
			{"OP_PUSHDATA4 of 2, 1 there", "\x6a\x4e\x02\x00\x00\x00\x07"},
			{"OP_PUSHDATA4 of 2^31 + 1, 1 there", "\x6a\x4e\x01\x00\x00\x80\x07"},
			{"OP_PUSHDATA1 of no length", "\x6a\x4c"},
			{"OP_PUSHDATA2 of half a length", "\x6a\x4d\x01"},
			{"OP_PUSHDATA4 of half a length", "\x6a\x4e\x01\x00\x00"},
			{"OP_RESERVED", "\x6a\x50"},
			{"OP_NOP", "\x6a\x61"},
		}, consensus.ErrOutputType)
		s.confirm(s.carrying(
			"\x6a\x00", "\x6a\x4f", "\x6a\x51", "\x6a\x60", // OP_0, OP_1NEGATE, OP_1, OP_16
			"\x6a\x01\x07", "\x6a\x4b"+zeros(75), // pushes of 1 and 75
			"\x6a\x4c\x00", "\x6a\x4c\x4b"+zeros(75), "\x6a\x4c\x50"+zeros(80), // OP_PUSHDATA1 of 0, 75, 80
		))
	}},
	{number: 85, name: "tx-out-opreturn-value", rules: "S3 B7", run: func(s *stage) {
		s.opening()
		for _, value := range []int64{1, 50_0000_0000} {
			s.rejectTx(s.altered(func(tx *consensus.Tx) {
				tx.Outputs[0].Value -= value
				tx.Outputs = append(tx.Outputs, consensus.TxOut{Value: value, Script: []byte("\x6a\x04seed")})
			}), consensus.ErrOpReturnValue)
		}
		s.Mine("a2", "b3", coinbaseOutput(1, "\x6a\x04seed"))
		s.reject("b3", consensus.ErrOpReturnValue)
		s.confirm(s.carrying("\x6a\x04seed"))
	}},
	{number: 86, name: "tx-out-opreturn-utxo", rules: "T10 B13", run: func(s *stage) {
		s.opening()
		carrier := s.carrying("\x6a\x04seed")
		seed := s.invented(0, 0)
		seed.OutPoint = consensus.OutPoint{TxID: carrier.TxID(), Index: 1}
		spend := s.Pay(chaintest.From(seed), chaintest.Data([]byte("again")))
		s.reject(s.mineWith(carrier, spend), consensus.ErrInputsMissingOrSpent)
		s.confirm(carrier)
		s.reject(s.mineWith(spend), consensus.ErrInputsMissingOrSpent)
		s.refuse(spend, mempool.ErrMissing, consensus.Policy)
	}},
}

// form is a way to write an output script.
type form struct{ name, script string }

// foreignScripts are what other chains pay to, and what pays to nobody.
var foreignScripts = []form{
	{"nothing", ""},
	{"OP_0", "\x00"},
	{"OP_1", "\x51"},
	{"bare key", "\x21\x02" + zeros(32) + "\xac"},
	{"1 of 1", "\x51\x21\x02" + zeros(32) + "\x51\xae"},
	{"P2PKH", "\x76\xa9\x14" + zeros(20) + "\x88\xac"},
	{"P2SH", "\xa9\x14" + zeros(20) + "\x87"},
	{"P2WPKH", "\x00\x14" + zeros(20)},
	{"P2WSH", "\x00\x20" + zeros(32)},
	{"P2A", "\x51\x02\x4e\x73"},
	{"witness version 2", "\x52\x20" + zeros(32)},
	{"witness version 16", "\x60\x20" + zeros(32)},
}

// rejectForms lets all nodes reject a payment to each of these.
func (s *stage) rejectForms(forms []form, code consensus.Code) {
	s.t.Helper()
	for _, f := range forms {
		before := s.t.Failed()
		s.rejectTx(s.carrying(f.script), code)
		if s.t.Failed() && !before {
			s.t.Errorf("first of the form %q", f.name)
		}
	}
}

// carrying is a payment of a1's coinbase to bob, with outputs of value 0 behind.
func (s *stage) carrying(scripts ...string) *consensus.Tx {
	s.t.Helper()
	return s.altered(func(tx *consensus.Tx) {
		for _, script := range scripts {
			tx.Outputs = append(tx.Outputs, consensus.TxOut{Script: []byte(script)})
		}
	})
}

func zeros(n int) string { return strings.Repeat("\x00", n) }
