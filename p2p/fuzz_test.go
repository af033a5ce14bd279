package p2p_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/frugal"
	"github.com/kapok-chain/kapok/p2p"
)

// Headers and announcements are what a stranger gets judged for free. These
// targets decode the body of one, encode it again, and hand it to a node; where
// told so, the headers' links and proof of work are repaired first, so that more
// than the first of them counts.

// decodeOnly decodes a message that must have one encoding, and nil where it is
// refused.
func decodeOnly(t *testing.T, typ p2p.Type, body []byte) p2p.Msg {
	t.Helper()
	wire := append([]byte{byte(typ)}, body...)
	var m p2p.Msg
	var err error
	frugal.Call(t, "Decode", len(wire), func() { m, err = p2p.Decode(wire) })
	if err != nil {
		if rule := consensus.AsRuleError(err); rule == nil || rule.Kind != consensus.Malformed || m != nil {
			t.Fatalf("%v with %v", err, m)
		}
		return nil
	}
	if again := p2p.Encode(m); !bytes.Equal(again, wire) {
		t.Fatalf("%x is encoded as %x", wire, again)
	}
	for _, other := range [][]byte{wire[:len(wire)-1], wire[:len(wire)/2], append(bytes.Clone(wire), 0)} {
		if _, err := p2p.Decode(other); err == nil {
			t.Fatalf("%x decodes, and %x too", wire, other)
		}
	}
	return m
}

// repair makes headers a chain on top of prev; where a header's other fields
// forbid it any proof of work, it stays bad.
func repair(p *consensus.Params, prev consensus.Hash, headers []consensus.Header) {
	for i := range headers {
		h := &headers[i]
		h.Prev = prev
		for tries := 0; tries < 64 && consensus.CheckPow(p, h) != nil; tries++ {
			h.Nonce++
		}
		prev = h.Hash()
	}
}

// listen checks whatever the node says, and counts it.
func listen(t *testing.T, n *node) *int {
	said := new(int)
	n.mute = func(out p2p.Outgoing) bool {
		*said++
		wire := p2p.Encode(out.Msg)
		if m, err := p2p.Decode(wire); err != nil || m.Type() != out.Msg.Type() {
			t.Fatalf("the node says %x: %v", wire, err)
		}
		return false
	}
	return said
}

func FuzzDecodeHeaders(f *testing.F) {
	f.Fuzz(func(t *testing.T, body []byte, mend bool) {
		m, ok := decodeOnly(t, p2p.TypeHeaders, body).(*p2p.Headers)
		if !ok {
			return
		}
		w := newWorld(t, 1)
		if mend && len(m.Headers) <= 16 {
			repair(w.params, w.params.GenesisHash(), m.Headers)
		}
		// What the tree alone makes of them, one by one.
		model, kind := consensus.NewTree(w.params), consensus.Kind(0)
		for i := range m.Headers {
			_, err := model.AddHeader(&m.Headers[i], w.Now)
			if rule := consensus.AsRuleError(err); err != nil && !errors.Is(err, consensus.ErrDuplicate) {
				kind = rule.Kind
				break
			}
		}
		victim := w.add("victim")
		said := listen(t, victim)
		w.attacker(victim, "mallory", true)(m)
		if victim.tree.Len() != model.Len() || victim.tree.BestHeader().Hash != model.BestHeader().Hash {
			t.Fatalf("%d headers, best %s; the tree alone has %d, best %s",
				victim.tree.Len(), victim.tree.BestHeader().Hash, model.Len(), model.BestHeader().Hash)
		}
		if dropped := len(victim.Dropped) > 0; dropped != (kind == consensus.Invalid) {
			t.Fatalf("dropped %v for headers that are %s", dropped, kind)
		}
		if most := 8 + len(m.Headers)/p2p.MaxGetBlocks; *said > most {
			t.Fatalf("%d messages after %d headers", *said, len(m.Headers))
		}
	})
}

// poolSize is how many transactions the mempool of FuzzDecodeAnnounce has.
const poolSize = 8

// fuzzPool is that mempool; the last one stands in it twice, as two of one
// short id would.
func fuzzPool() (refs []p2p.TxRef, txs map[consensus.Hash]*consensus.Tx) {
	txs = make(map[consensus.Hash]*consensus.Tx)
	for i := range poolSize {
		tx := loose(i, 0)
		refs = append(refs, p2p.TxRef{TxID: tx.TxID(), WTxID: tx.WTxID()})
		txs[tx.WTxID()] = tx
	}
	return append(refs, refs[poolSize-1]), txs
}

// shortIDs are those that an announcement's header and nonce give the mempool.
func shortIDs(m *p2p.Announce, refs []p2p.TxRef, pool map[consensus.Hash]*consensus.Tx) []p2p.ShortID {
	b := &consensus.Block{Header: m.Header, Txs: []*consensus.Tx{m.Coinbase}}
	for _, ref := range refs {
		b.Txs = append(b.Txs, pool[ref.WTxID])
	}
	return p2p.NewAnnounce(b, m.Nonce).ShortIDs
}

// FuzzDecodeAnnounce: the dice say which short ids are those of transactions of
// the mempool, and with what the rest is filled.
func FuzzDecodeAnnounce(f *testing.F) {
	params := consensus.Regtest()
	refs, pool := fuzzPool()
	f.Fuzz(func(t *testing.T, body, steer []byte) {
		m, ok := decodeOnly(t, p2p.TypeAnnounce, body).(*p2p.Announce)
		if !ok {
			return
		}
		roll := func(n int) int {
			if len(steer) == 0 {
				return 0
			}
			b := steer[0]
			steer = steer[1:]
			return int(b) % n
		}
		if roll(2) == 1 {
			headers := []consensus.Header{m.Header}
			repair(params, params.GenesisHash(), headers)
			m.Header = headers[0]
		}
		ids := shortIDs(m, refs, pool)
		for i := range m.ShortIDs {
			if n := roll(len(ids) + 1); n > 0 {
				m.ShortIDs[i] = ids[n-1]
			}
		}
		fillPartial(t, m, refs, pool)
		announceTo(t, m, refs, pool, roll)
	})
}

// fillPartial puts the block together outside of any engine, against a search
// through the mempool for each short id.
func fillPartial(t *testing.T, m *p2p.Announce, refs []p2p.TxRef, pool map[consensus.Hash]*consensus.Tx) {
	find := func(wtxid consensus.Hash) *consensus.Tx { return pool[wtxid] }
	var p *p2p.PartialBlock
	var err error
	frugal.Call(t, "NewPartialBlock", len(p2p.Encode(m)), func() { p, err = p2p.NewPartialBlock(m, refs, find) })
	sorted := slices.Clone(m.ShortIDs)
	slices.SortFunc(sorted, func(a, b p2p.ShortID) int { return bytes.Compare(a[:], b[:]) })
	if unique := len(slices.Compact(sorted)) == len(m.ShortIDs); unique != (err == nil) || !unique && !errors.Is(err, p2p.ErrShortIDTwice) {
		t.Fatalf("unique %v, and %v", unique, err)
	}
	if err != nil {
		return
	}
	want, missing := []*consensus.Tx{m.Coinbase}, []uint32(nil)
	ids := shortIDs(m, refs, pool)
	for i, id := range m.ShortIDs {
		if at := slices.Index(ids, id); at >= 0 && !slices.Contains(ids[at+1:], id) {
			want = append(want, pool[refs[at].WTxID])
		} else {
			want = append(want, loose(50+i, 0))
			missing = append(missing, uint32(i+1))
		}
	}
	if !slices.Equal(p.Missing(), missing) {
		t.Fatalf("missing %v, not %v", p.Missing(), missing)
	}
	var rest []*consensus.Tx
	for _, i := range missing {
		rest = append(rest, want[i])
	}
	if b, err := p.Fill(append(slices.Clone(rest), m.Coinbase)); !errors.Is(err, p2p.ErrFillCount) || b != nil {
		t.Fatalf("one too many: %v", err)
	}
	if b, err := p.Fill(rest); err != nil || b.Header != m.Header || !slices.Equal(b.Txs, want) {
		t.Fatalf("%d of %d transactions filled: %v", len(rest), len(want), err)
	}
	if b, err := p.Fill(rest); !errors.Is(err, p2p.ErrFilled) || b != nil {
		t.Fatalf("filled twice: %v", err)
	}
}

// announceTo hands the announcement to a node, and what is asked for then with
// as many transactions as the dice say.
func announceTo(t *testing.T, m *p2p.Announce, refs []p2p.TxRef, pool map[consensus.Hash]*consensus.Tx, roll func(int) int) {
	w := newWorld(t, 1)
	victim := w.add("victim")
	victim.order, victim.pool = slices.Clone(refs), maps.Clone(pool)
	said := listen(t, victim)
	say := w.attacker(victim, "mallory", true)
	victim.scans = 0
	say(m, m)
	if victim.scans > 1 {
		t.Fatalf("one announcement made it look through its mempool %d times", victim.scans)
	}
	_, err := consensus.NewTree(w.params).AddHeader(&m.Header, w.Now)
	known := err == nil || m.Header.Hash() == w.params.GenesisHash()
	if b := victim.tree.Lookup(m.Header.Hash()); (b != nil) != known {
		t.Fatalf("in the tree %v, and %v", b != nil, err)
	}
	rule := consensus.AsRuleError(err)
	if dropped := len(victim.Dropped) > 0; dropped != (rule != nil && rule.Kind == consensus.Invalid) {
		t.Fatalf("dropped %v, and %v", dropped, err)
	}
	answer := &p2p.BlockTxs{Block: m.Header.Hash()}
	for i := range roll(len(m.ShortIDs) + 2) {
		answer.Txs = append(answer.Txs, loose(50+i, 0))
	}
	say(answer, answer)
	if b := victim.tree.Lookup(m.Header.Hash()); known && b.Failed() {
		t.Fatal("short ids that mean nothing marked the block")
	}
	if body := victim.bodies[m.Header.Hash()]; body != nil {
		if root, _ := body.MerkleRoot(); root != m.Header.MerkleRoot {
			t.Fatalf("a body of root %s for %s", root, m.Header.MerkleRoot)
		}
	}
	if *said > 12 {
		t.Fatalf("%d messages after an announcement and its answer, each twice", *said)
	}
	if s := fmt.Sprint(victim.Dropped); known && s != "[]" {
		t.Fatalf("dropped for a good header: %s", s)
	}
}
