package conformance

import (
	"context"
	"encoding/hex"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/node"
	"github.com/kapok-chain/kapok/rpc"
)

// rpcDoor is the door of outside miners: a whole node, with files and an RPC
// server, and a client of it. The stage's nodes know nothing of it.
type rpcDoor struct {
	s      *stage
	client *rpc.Client
}

// openRPC starts the node, which ends with the case. Its clock is the stage's.
func (s *stage) openRPC() *rpcDoor {
	s.t.Helper()
	service, err := node.Open(node.ServiceConfig{
		Params: s.Params, DataDir: s.t.TempDir(), Agent: "/conformance/", Version: "0.0.0",
		RPCListen: "127.0.0.1:0", Lean: true, DisableQUIC: true,
	})
	s.check(err)
	service.Runner.SetMockTime(s.now)
	client := rpc.NewClient(rpc.Dial{URL: "http://" + service.RPCAddr(), CookieFile: service.CookieFile()})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- service.Run(ctx) }()
	s.t.Cleanup(func() {
		client.Close()
		stop()
		if err := <-ended; err != nil {
			s.t.Errorf("the node ends with %v", err)
		}
	})
	return &rpcDoor{s, client}
}

// submit hands a block in and wants this answer; "" is null, which says that the
// block is the tip.
func (d *rpcDoor) submit(block *consensus.Block, want consensus.Code) {
	d.s.t.Helper()
	d.ask(want, "submitblock", block, hex.EncodeToString(block.Bytes()))
}

// propose wants this answer to a block as a proposal; "" is null, which says
// that nothing is wrong with it.
func (d *rpcDoor) propose(block *consensus.Block, want consensus.Code) {
	d.s.t.Helper()
	d.ask(want, "getblocktemplate", block, map[string]string{"mode": "proposal", "data": hex.EncodeToString(block.Bytes())})
}

func (d *rpcDoor) ask(want consensus.Code, method string, block *consensus.Block, param any) {
	d.s.t.Helper()
	var answer *consensus.Code
	d.s.check(d.client.Call(d.s.t.Context(), method, &answer, param))
	var got consensus.Code
	if answer != nil {
		got = *answer
	}
	if got != want || answer != nil && want == "" {
		d.s.t.Errorf("%s of %s: the answer is %q, want %q", method, d.s.Name(block.Hash()), got, want)
	}
}

// follow hands in the blocks up to the named one.
func (d *rpcDoor) follow(name string) {
	d.s.t.Helper()
	for _, block := range d.s.Path(name) {
		d.submit(block, "")
	}
}

// submitAnswers is case 155.
func submitAnswers(s *stage) {
	s.Grow(`
		genesis - a1 - a2 - a3 - a4
		          a1 - b2 - b3 - b4 - b5
	`)
	door := s.openRPC()
	door.follow("a4")
	door.submit(s.Block("a4"), consensus.ErrDuplicate)
	door.submit(s.Block("a1"), consensus.ErrDuplicate) // below the tip
	door.submit(s.Block("b5"), consensus.ErrPrevNotFound)
	for _, stale := range []string{"b2", "b3", "b4"} { // the last as good as the tip, and later
		door.submit(s.Block(stale), "inconclusive")
		door.submit(s.Block(stale), consensus.ErrDuplicate)
	}
	door.submit(s.Block("b5"), "") // the parent has come, and so does a reorganisation

	greedy := s.Mine("b5", "c6", chaintest.Claim(1)) // judged when it is connected
	door.submit(greedy, consensus.ErrCoinbaseAmount)
	door.submit(greedy, consensus.ErrDuplicateInvalid)
	door.submit(s.Mine("c6", "c7"), consensus.ErrPrevInvalid)
	empty := s.Mine("b5", "d6", chaintest.Edit(func(b *consensus.Block) { b.Txs = nil })) // and when it comes in
	door.submit(empty, consensus.ErrBlockLength)
	door.submit(empty, consensus.ErrDuplicateInvalid)

	good := s.Mine("b5", "b6", chaintest.Txs(s.spend(s.Coinbase("a1"), 10_000)))
	damaged := s.copied(good)
	damaged.Txs[1].Inputs[0].Witness[0][0] ^= 1
	for range 2 { // it is not remembered
		door.submit(damaged, consensus.ErrWitnessMerkle)
	}
	door.submit(good, "")
	early := s.Mine("b6", "b7", chaintest.At(uint32(s.now.Unix()+s.Params.FutureLimit+1)))
	for range 2 {
		door.submit(early, consensus.ErrTimeTooNew)
	}
}

// proposals is case 156: a block for each step of judgement, over HTTP and at
// the doors of the stage. None is remembered.
func proposals(s *stage) {
	s.Grow("genesis - a1 - a2 - a3 - a4")
	s.accept("a4")
	door := s.openRPC()
	door.follow("a4")
	pay := s.spend(s.Coinbase("a1"), 10_000)
	coinbase := func(edit func(*consensus.Tx)) chaintest.Option {
		return chaintest.Edit(func(b *consensus.Block) { edit(b.Txs[0]) })
	}
	for _, bad := range []struct {
		code   consensus.Code
		kind   consensus.Kind
		option chaintest.Option
	}{
		// The header in its place.
		{consensus.ErrBadDiffBits, consensus.Invalid, withBits(0x207ffffe)},
		{consensus.ErrTimeTooOld, consensus.Invalid, chaintest.At(s.Block("a2").Header.Time)},
		{consensus.ErrTimeTooNew, consensus.Temporary, chaintest.At(uint32(s.now.Unix() + s.Params.FutureLimit + 1))},
		{consensus.ErrBadVersion, consensus.Invalid, withVersion(3)},
		// The block by itself.
		{consensus.ErrMerkleRoot, consensus.Mutated, sealHeader(func(h *consensus.Header) { h.MerkleRoot[0] ^= 1 })},
		{consensus.ErrCoinbaseMissing, consensus.Invalid, chaintest.Edit(func(b *consensus.Block) { b.Txs[0] = s.copiedTx(pay) })},
		{consensus.ErrOutputNegative, consensus.Invalid, chaintest.Claim(-51 * chaintest.Coins)},
		// The block in its place.
		{consensus.ErrNonFinal, consensus.Invalid, chaintest.Txs(s.locked(s.Coinbase("a1"), 5))},
		{consensus.ErrCoinbaseHeight, consensus.Invalid, coinbase(func(tx *consensus.Tx) { tx.Inputs[0].ScriptSig[0]++ })},
		{consensus.ErrWitnessMerkle, consensus.Mutated, chaintest.Seal(func(b *consensus.Block) { b.Txs[0].Inputs[0].Witness[0][0] ^= 1 })},
		// The block among the coins.
		{consensus.ErrInputsMissingOrSpent, consensus.Invalid, chaintest.Txs(pay, s.spend(s.Coinbase("a1"), 20_000))},
		{consensus.ErrCoinbaseAmount, consensus.Invalid, chaintest.Claim(1)},
		// And the signatures.
		{consensus.ErrSig, consensus.Invalid, chaintest.Txs(s.resigned(pay, func(sig []byte) { sig[0] ^= 1 }))},
	} {
		block := s.Mine("a4", string(bad.code), bad.option)
		for range 2 {
			door.propose(block, bad.code)
		}
		s.refused(block, bad.code, bad.kind)
	}
	good := s.Mine("a4", "a5", chaintest.Txs(pay))
	for range 2 {
		door.propose(good, "")
	}
	unsolved := s.copied(good)
	for unsolved.Hash() == good.Hash() || consensus.CheckPow(s.Params, &unsolved.Header) == nil {
		unsolved.Header.Nonce++
	}
	door.propose(unsolved, "")
	door.submit(unsolved, consensus.ErrHighHash)
	door.submit(good, "")
	door.propose(good, consensus.ErrDuplicate)
	door.propose(s.Mine("a3", "b4"), "inconclusive-not-best-prevblk")
	s.accept("a5")
}
