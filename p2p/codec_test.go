package p2p

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strconv"
	"testing"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/frugal"
	"github.com/kapok-chain/kapok/internal/vectors"
)

var corpus = flag.Bool("corpus", false, "write the seeds of FuzzDecode under testdata/fuzz anew")

func sampleTx(n byte) *consensus.Tx {
	return &consensus.Tx{
		Version: 2,
		Inputs:  []consensus.TxIn{{PrevOut: consensus.OutPoint{TxID: consensus.Hash{n}, Index: 1}, Sequence: 5, Witness: [][]byte{make([]byte, 64)}}},
		Outputs: []consensus.TxOut{{Value: 7, Script: consensus.PayToKey([32]byte{n})}},
	}
}

func sampleBlock(txs int) *consensus.Block {
	b := &consensus.Block{Header: consensus.Header{Version: 0x20000000, Time: 9, Bits: 0x207fffff}}
	for i := range txs {
		b.Txs = append(b.Txs, sampleTx(byte(i+1)))
	}
	return b
}

// samples has one message of each type, in two sizes where that matters.
func samples() []Msg {
	h := []consensus.Hash{{1}, {2}, {3}}
	block := sampleBlock(3)
	return []Msg{
		&Hello{Version: 1, Genesis: h[0], Nonce: 7, Tip: h[1], Height: 8, Work: consensus.Uint256{1, 2, 3, 4}, Time: 9, Agent: "/kapok/", Addr: "/ip4/1.2.3.4/tcp/9420"},
		&Hello{Agent: "", Extra: []byte{1, 2, 3}},
		&Ping{1}, &Pong{2},
		&GetHeaders{Locator: h, Stop: h[2]}, &GetHeaders{Locator: []consensus.Hash{}},
		&Headers{[]consensus.Header{block.Header, block.Header}}, &Headers{[]consensus.Header{}},
		&GetBlocks{h}, &Block{block}, &NotFound{h}, &Tx{sampleTx(1)},
		NewAnnounce(block, 5), NewAnnounce(sampleBlock(1), 6),
		&GetBlockTxs{Block: h[0], Indexes: []uint32{0, 1, 5, 300, 65534}},
		&BlockTxs{Block: h[0], Txs: block.Txs}, &BlockTxs{Txs: []*consensus.Tx{}},
		&MempoolIDs{Salt: 3, IDs: []uint64{1, 2}}, &Offer{h},
		&GetTxs{Salt: 4, IDs: []uint64{5}, Hashes: h}, &TxsDone{},
		&Peers{[]string{"/ip4/1.2.3.4/tcp/1", "x"}},
		&Unknown{200},
	}
}

func TestRoundTrip(t *testing.T) {
	types := make(map[Type]bool)
	for _, m := range samples() {
		types[m.Type()] = true
		wire := Encode(m)
		buffer := bytes.Clone(wire)
		got, err := Decode(buffer)
		if err != nil {
			t.Errorf("%T: %v", m, err)
			continue
		}
		clear(buffer) // which is another message's now
		if !bytes.Equal(Encode(got), wire) {
			t.Errorf("%T: encoded again it is another message", m)
		}
		if before := []byte("before"); !bytes.Equal(Append(before, m), append(before, wire...)) {
			t.Errorf("%T: appended it is another message", m)
		}
	}
	for typ := TypeHello; typ <= TypePeers; typ++ {
		if !types[typ] {
			t.Errorf("no sample of type %d", typ)
		}
	}
}

// TestPrefixes: a message that ends too early, or has one byte too many, is
// malformed, and nothing panics.
func TestPrefixes(t *testing.T) {
	for _, m := range samples() {
		wire := Encode(m)
		open := m.Type() == TypeHello || m.Type() == 200 // may have bytes of a later version
		for n := range wire {
			if n > 0 && open && m.Type() == 200 {
				continue
			}
			checkMalformed(t, m, wire[:n], open)
		}
		if !open {
			checkMalformed(t, m, append(bytes.Clone(wire), 0), false)
		}
	}
}

func checkMalformed(t *testing.T, m Msg, wire []byte, open bool) {
	t.Helper()
	got, err := Decode(wire)
	if err == nil && open {
		return
	}
	if rule := consensus.AsRuleError(err); rule == nil || rule.Kind != consensus.Malformed || got != nil {
		t.Errorf("%T cut to %d bytes: %v, %v", m, len(wire), got, err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	many := func(typ Type, before int, count uint64, each, after int) []byte {
		b := append([]byte{byte(typ)}, make([]byte, before)...)
		b = consensus.AppendCompactSize(b, count)
		return append(b, make([]byte, int(count)*each+after)...)
	}
	huge := consensus.AppendCompactSize([]byte{byte(TypeHeaders)}, 1<<32)
	announce := Encode(NewAnnounce(sampleBlock(1), 1))
	prefilled := bytes.Clone(announce)
	prefilled[1+80+8+1] = 2
	index := bytes.Clone(announce)
	index[1+80+8+2] = 1
	for _, c := range []struct {
		name string
		wire []byte
		code consensus.Code
	}{
		{"nothing", nil, ErrDecodeLength},
		{"too long", make([]byte, MaxMessage+1), ErrDecodeLength},
		{"locator", many(TypeGetHeaders, 0, MaxLocator+1, 32, 32), ErrDecodeLimit},
		{"headers", many(TypeHeaders, 0, MaxHeaders+1, 80, 0), ErrDecodeLimit},
		{"getblocks", many(TypeGetBlocks, 0, MaxGetBlocks+1, 32, 0), ErrDecodeLimit},
		{"notfound", many(TypeNotFound, 0, MaxGetBlocks+1, 32, 0), ErrDecodeLimit},
		{"mempool ids", many(TypeMempoolIDs, 8, MaxMempoolIDs+1, 8, 0), ErrDecodeLimit},
		{"offer", many(TypeOffer, 0, MaxOffer+1, 32, 0), ErrDecodeLimit},
		{"gettxs", many(TypeGetTxs, 8, MaxGetTxs+1, 8, 1), ErrDecodeLimit},
		{"peers", many(TypePeers, 0, MaxPeers+1, 1, 0), ErrDecodeLimit},
		{"short ids", many(TypeAnnounce, 88, MaxShortIDs+1, 6, 0), ErrDecodeLimit},
		{"hello's end", append(Encode(&Hello{}), make([]byte, MaxHelloExtra+1)...), ErrDecodeLimit},
		{"huge count", huge, ErrDecodeLimit},
		{"count without bytes", []byte{byte(TypeHeaders), 9}, consensus.ErrDecodeCount},
		{"long count", []byte{byte(TypeHeaders), 0xfd, 1, 0}, consensus.ErrDecodeCompactSize},
		{"two prefilled", prefilled, ErrDecodeLimit},
		{"not the coinbase", index, ErrDecodeIndex},
	} {
		got, err := Decode(c.wire)
		if !errors.Is(err, c.code) || got != nil {
			t.Errorf("%s: %v, %v; want %v", c.name, got, err, c.code)
		}
	}
}

// TestDecodeAllocates: a count alone buys no memory.
func TestDecodeAllocates(t *testing.T) {
	for typ := range 20 {
		for before := range 96 {
			wire := append([]byte{byte(typ)}, make([]byte, before)...)
			wire = append(wire, 0xfe, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0)
			var a, b runtime.MemStats
			runtime.ReadMemStats(&a)
			_, _ = Decode(wire)
			runtime.ReadMemStats(&b)
			if n := b.TotalAlloc - a.TotalAlloc; n > 16<<10 {
				t.Fatalf("type %d: %d bytes allocated for a message of %d", typ, n, len(wire))
			}
		}
	}
}

// TestMessagesCostMemoryInProportion: the largest message of each type, of the
// smallest parts.
func TestMessagesCostMemoryInProportion(t *testing.T) {
	hashes := func(n int) []consensus.Hash { return make([]consensus.Hash, n) }
	txs := make([]*consensus.Tx, MaxShortIDs)
	indexes := make([]uint32, MaxShortIDs)
	announce := &Announce{Coinbase: sampleTx(1), ShortIDs: make([]ShortID, 1<<16*7/8+1)} // where a map has just doubled
	for i := range txs {
		txs[i] = &consensus.Tx{}
		indexes[i] = uint32(i)
	}
	for i := range announce.ShortIDs {
		announce.ShortIDs[i] = ShortID{byte(i), byte(i >> 8)}
	}
	for _, m := range []Msg{
		&Hello{Extra: make([]byte, MaxHelloExtra)}, &GetHeaders{Locator: hashes(MaxLocator)},
		&Headers{make([]consensus.Header, MaxHeaders)}, &GetBlocks{hashes(MaxGetBlocks)}, announce,
		&GetBlockTxs{Indexes: indexes}, &BlockTxs{Txs: txs}, &MempoolIDs{IDs: make([]uint64, MaxMempoolIDs)},
		&Offer{hashes(MaxOffer)}, &GetTxs{IDs: make([]uint64, MaxGetTxs), Hashes: hashes(MaxGetTxs)},
		&Peers{make([]string, MaxPeers)}, &Block{&consensus.Block{Txs: append(txs, txs...)}},
	} {
		wire := Encode(m)
		frugal.Call(t, fmt.Sprintf("Decode %T", m), len(wire), func() {
			if _, err := Decode(wire); err != nil {
				t.Errorf("%T: %v", m, err)
			}
		})
	}
	frugal.Call(t, "NewPartialBlock", len(Encode(announce)), func() {
		if p, err := NewPartialBlock(announce, nil, nil); err != nil || len(p.Missing()) != len(announce.ShortIDs) {
			t.Error(err)
		}
	})
}

func FuzzDecode(f *testing.F) {
	for i, m := range samples() {
		f.Add(Encode(m))
		if *corpus {
			dir := filepath.Join("testdata", "fuzz", "FuzzDecode")
			if err := os.MkdirAll(dir, 0o755); err != nil {
				f.Fatal(err)
			}
			text := fmt.Sprintf("go test fuzz v1\n[]byte(%s)\n", strconv.Quote(string(Encode(m))))
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%02d-type%d", i, m.Type())), []byte(text), 0o644); err != nil {
				f.Fatal(err)
			}
		}
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		var m Msg
		var err error
		frugal.Call(t, "Decode", len(wire), func() { m, err = Decode(wire) })
		if err != nil {
			if rule := consensus.AsRuleError(err); rule == nil || rule.Kind != consensus.Malformed || m != nil {
				t.Fatalf("%v with error %v", m, err)
			}
			return
		}
		if _, unknown := m.(*Unknown); !unknown && !bytes.Equal(Encode(m), wire) {
			t.Fatalf("%T has two encodings", m)
		}
	})
}

func TestSipHashVectors(t *testing.T) {
	var cases []struct {
		Key      [2]string
		Input    []string
		Expected struct{ Siphash24 string }
	}
	vectors.JSON(t, "bip152/siphash.json", &cases)
	for i, c := range cases {
		var key sipKey
		var msg []byte
		for j := range key {
			word, err := strconv.ParseUint(c.Key[j], 16, 64)
			if err != nil {
				t.Fatal(err)
			}
			key[j] = word
		}
		for _, part := range c.Input {
			b, err := hex.DecodeString(part)
			if err != nil {
				t.Fatal(err)
			}
			msg = append(msg, b...)
		}
		if got := fmt.Sprintf("%016x", key.sum(msg)); got != c.Expected.Siphash24 {
			t.Errorf("case %d: %s, want %s", i, got, c.Expected.Siphash24)
		}
	}
	vectors.Ran(t, "bip152/siphash", len(cases))
}

func TestCompactBlockVectors(t *testing.T) {
	var v struct {
		Block    string
		Expected string `json:"expected_compact"`
		Nonce    uint64
		Diff     [][2][]uint32 `json:"getblocktxn_diff_encoding"`
		Bad      [][]int       `json:"getblocktxn_must_fail"`
	}
	vectors.JSON(t, "bip152/compact_block.json", &v)
	raw, err := hex.DecodeString(v.Block)
	if err != nil {
		t.Fatal(err)
	}
	block, err := consensus.DecodeBlock(raw)
	if err != nil {
		t.Fatal(err)
	}
	wire := Encode(NewAnnounce(block, v.Nonce))
	if got := hex.EncodeToString(wire[1:]); got != v.Expected {
		t.Errorf("compact block\n got %s\nwant %s", got, v.Expected)
	}
	if m, err := Decode(wire); err != nil || !bytes.Equal(Encode(m), wire) {
		t.Errorf("the compact block does not decode: %v", err)
	}
	for _, c := range v.Diff {
		want := Encode(&GetBlockTxs{Indexes: c[1]})
		got := append([]byte{byte(TypeGetBlockTxs)}, make([]byte, 32)...)
		for _, b := range c[0] {
			got = append(got, byte(b))
		}
		if !bytes.Equal(got, want) {
			t.Errorf("indexes %v are encoded as %v, not %v", c[1], want[33:], c[0])
		}
		if m, err := Decode(got); err != nil || !reflect.DeepEqual(m.(*GetBlockTxs).Indexes, c[1]) {
			t.Errorf("%v decodes to %v, %v", c[0], m, err)
		}
	}
	for _, c := range v.Bad {
		wire := append([]byte{byte(TypeGetBlockTxs)}, make([]byte, 32)...)
		for _, b := range c {
			wire = append(wire, byte(b))
		}
		if m, err := Decode(wire); err == nil {
			t.Errorf("%v decodes to %v", c, m)
		}
	}
	vectors.Ran(t, "bip152/compact_block", 1+len(v.Diff)+len(v.Bad))
}
