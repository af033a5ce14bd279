package conformance

import (
	"slices"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/p2p"
)

// Witnesses and the commitment to them.
var commitmentCases = []conformanceCase{
	{number: 40, name: "blk-wit-no-commitment", rules: "B8", run: func(s *stage) {
		pay := s.opening()
		// Whatever the witnesses are, the header is that of a block without commitment.
		s.Mine("a2", "b3", chaintest.NoCommitment(), chaintest.Txs(pay))
		s.mutatedAlone("b3", consensus.ErrUnexpectedWitness)
		unsigned := s.Unsigned(chaintest.From(s.Coinbase("a1")), chaintest.To("bob", 1))
		s.Mine("a2", "c3", chaintest.NoCommitment(), chaintest.Txs(unsigned))
		s.mutatedAlone("c3", consensus.ErrUnexpectedWitness)
		// With nothing to spend there is nothing to commit to.
		s.Mine("a2", "d3", chaintest.NoCommitment())
		s.mutated("d3", consensus.ErrUnexpectedWitness, reserved(make([]byte, consensus.ReservedSize)))
		s.accept("d3")
	}},
	{number: 41, name: "blk-wit-bad-commitment", rules: "B10", run: func(s *stage) {
		pay := s.opening()
		s.Mine("a2", "b3", chaintest.Txs(pay), chaintest.Seal(func(b *consensus.Block) {
			b.Txs[0].Outputs[1].Script[6] ^= 1
			reroot(b)
		}))
		s.mutatedAlone("b3", consensus.ErrWitnessMerkle) // nobody knows what it commits to
		s.Mine("a2", "c3", chaintest.Txs(pay))
		s.mutated("c3", consensus.ErrWitnessMerkle, reserved(slices.Repeat([]byte{1}, consensus.ReservedSize)))
		s.accept("c3")
	}},
	// The RPC's submitblock adds the reserved value where it is missing, as
	// TestSubmitBlock of package rpc shows. The node itself does not.
	{number: 42, name: "blk-wit-nonce-missing", rules: "B9", run: func(s *stage) {
		s.Mine("a2", "b3", chaintest.Txs(s.opening()))
		s.mutated("b3", consensus.ErrWitnessNonceSize, reserved())
		s.accept("b3")
		s.Mine("b3", "b4") // nothing to spend
		s.mutated("b4", consensus.ErrWitnessNonceSize, reserved())
		s.accept("b4")
	}},
	{number: 43, name: "blk-wit-nonce-33", rules: "B9", run: func(s *stage) {
		pay := s.opening()
		s.Mine("a2", "b3", chaintest.Txs(pay))
		s.mutated("b3", consensus.ErrWitnessNonceSize, reserved(make([]byte, 31)))
		s.mutated("b3", consensus.ErrWitnessNonceSize, reserved(make([]byte, 33)))
		s.mutated("b3", consensus.ErrWitnessNonceSize, reserved(make([]byte, 32), make([]byte, 32)))
		s.mutated("b3", consensus.ErrWitnessNonceSize, reserved(make([]byte, 32), nil))
		s.mutated("b3", consensus.ErrWitnessNonceSize, reserved(nil))
		s.accept("b3")
	}},
	{number: 44, name: "blk-wit-two-commitments", rules: "B10", run: func(s *stage) {
		pay := s.opening()
		wrong := consensus.TxOut{Script: append([]byte("\x6a\x24\xaa\x21\xa9\xed"), make([]byte, 32)...)}
		also := func(b *consensus.Block) { b.Txs[0].Outputs = append(b.Txs[0].Outputs, wrong) }
		s.Mine("a2", "b3", chaintest.Txs(pay), chaintest.Seal(func(b *consensus.Block) {
			also(b)
			reroot(b)
		}))
		s.mutatedAlone("b3", consensus.ErrWitnessMerkle) // the last one counts, and no witness fits it
		s.Mine("a2", "c3", chaintest.Txs(pay), chaintest.Edit(also))
		s.accept("c3")
	}},
	{number: 45, name: "blk-wit-malleated", rules: "B10", run: func(s *stage) {
		s.Mine("a2", "b3", chaintest.Txs(s.opening()))
		s.mutated("b3", consensus.ErrWitnessMerkle, malleated)
		s.accept("b3")
		s.malleatedByOne()
	}},
	{number: 46, name: "blk-wit-superfluous", rules: "E6", run: func(s *stage) {
		block := s.Mine(chaintest.Genesis, "a1", chaintest.NoCommitment())
		w := &onWire{marked: true}
		s.malformed(w.block(block).raw, consensus.ErrDecodeSuperfluous)
		w = &onWire{marked: true}
		s.malformedTx(w.tx(block.Txs[0]).raw, consensus.ErrDecodeSuperfluous)
		s.reads(s.wireOf("a1").raw)
		s.accept("a1")
	}},
	{number: 47, name: "blk-wit-flag-02", rules: "E5", run: func(s *stage) {
		pay := s.opening()
		s.Mine("a2", "b3", chaintest.Txs(pay))
		block, loose := s.wireOf("b3"), new(onWire).tx(pay)
		for _, flag := range []byte{0x02, 0x03, 0x80, 0x81, 0xff} {
			for _, at := range block.flags {
				s.malformed(block.with(at, at+1, []byte{flag}), consensus.ErrDecodeFlag)
			}
			s.malformedTx(loose.with(loose.flags[0], loose.flags[0]+1, []byte{flag}), consensus.ErrDecodeFlag)
		}
		s.reads(block.raw)
		s.accept("b3")
	}},
}

// reserved puts other items in place of the reserved value.
func reserved(items ...[]byte) func(*consensus.Block) {
	return func(b *consensus.Block) { b.Txs[0].Inputs[0].Witness = items }
}

// malleated changes one byte of the first payment's signature.
func malleated(b *consensus.Block) { b.Txs[1].Inputs[0].Witness[0][5] ^= 1 }

// malleatedByOne is CVE-2024-52921: two peers were asked for the same bodies, and
// one of them sends a malleated copy. What the other was asked for remains so.
// That shows in two things: nobody is asked again, and the other's copy is taken
// although its branch, so far down, is not one that comes unasked.
//
//	genesis - a1..a12
//	          a1 - c2..c13, with the payment in c3
func (s *stage) malleatedByOne() {
	s.t.Helper()
	s.network(nil)
	s.Grow("genesis - a1..a12")
	s.accept("a12")
	s.Grow("a1 - c2")
	s.Mine("c2", "c3", chaintest.Txs(s.pay(s.Coinbase("a1"), nil)))
	s.Grow("c3 - c4..c13")
	headers := &p2p.Headers{}
	for _, block := range s.Path("c13")[1:] {
		headers.Headers = append(headers.Headers, block.Header)
	}
	n, hash := s.nodes[1], s.Hash("c3") // the one whose blocks come from peers
	mallory, honest, stranger := n.meet(), n.meet(), n.meet()
	for _, peer := range []p2p.PeerID{mallory, honest} { // the second is asked when the first has stalled
		if !asks(n.hear(peer, headers), peer, hash) {
			s.now = s.now.Add(3 * time.Second)
			s.check(n.Tick(s.now))
			if !asks(n.Outbox(), peer, hash) {
				s.t.Fatalf("%s is not asked for c3", peer)
			}
		}
	}
	copied := s.copied(s.Block("c3"))
	malleated(copied)
	if out := n.hear(mallory, &p2p.Block{Block: copied}); asks(out, mallory, hash) || asks(out, honest, hash) {
		s.t.Error("somebody is asked for c3 again")
	}
	if n.hasBody(hash) || n.Lookup(hash).Failed() {
		s.t.Error("the malleated copy of c3 is stored, or held against it")
	}
	n.hear(stranger, &p2p.Block{Block: s.Block("c3")})
	if n.hasBody(hash) {
		s.t.Error("c3 is taken from a peer that was not asked for it")
	}
	n.hear(honest, &p2p.Block{Block: s.Block("c3")})
	if !n.hasBody(hash) {
		s.t.Error("c3 is not taken from the peer that was asked for it too")
	}
}

// asks reports whether a peer is asked for this body.
func asks(out []p2p.Outgoing, peer p2p.PeerID, hash consensus.Hash) bool {
	return slices.ContainsFunc(out, func(o p2p.Outgoing) bool {
		ask, ok := o.Msg.(*p2p.GetBlocks)
		return ok && o.To == peer && slices.Contains(ask.Hashes, hash)
	})
}
