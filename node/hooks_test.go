package node_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/kapok-chain/kapok/address"
	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/p2p"
	"github.com/kapok-chain/kapok/rpc"
)

// hooks drives a real service by the methods that Bitcoin Core has for tests.
// Its tests hold them against Core's rpc_invalidateblock, rpc_preciousblock,
// rpc_getchaintips and rpc_generate.
type hooks struct {
	*house
	t      *testing.T
	dir    string
	chain  *chaintest.Chain
	client *rpc.Client
}

func openHooks(t *testing.T, drawing string) *hooks {
	t.Helper()
	h := &hooks{t: t, dir: t.TempDir(), chain: chaintest.New(t, consensus.Regtest())}
	h.chain.Grow(drawing)
	h.open()
	t.Cleanup(func() { h.shut() })
	return h
}

func (h *hooks) open() {
	h.t.Helper()
	h.house = openHouse(h.t, h.chain.Params, h.dir)
	h.client = rpc.NewClient(rpc.Dial{URL: "http://" + h.RPCAddr(), CookieFile: h.CookieFile()})
}

func (h *hooks) shut() {
	h.t.Helper()
	h.client.Close()
	h.house.close(h.t)
}

// restart is an ordinary stop and start.
func (h *hooks) restart() {
	h.t.Helper()
	h.shut()
	h.open()
}

// submit hands in the named blocks; they may stay on a side branch.
func (h *hooks) submit(names ...string) {
	h.t.Helper()
	for _, name := range names {
		if _, err := h.Runner.SubmitBlock(h.t.Context(), h.chain.Block(name)); err != nil {
			h.t.Fatalf("%s: %v", name, err)
		}
	}
}

// ask calls a method that must succeed.
func (h *hooks) ask(result any, method string, params ...any) {
	h.t.Helper()
	if err := h.client.Call(h.t.Context(), method, result, params...); err != nil {
		h.t.Fatalf("%s: %v", method, err)
	}
}

// on calls a method on each of the named blocks.
func (h *hooks) on(method string, names ...string) {
	h.t.Helper()
	for _, name := range names {
		h.ask(nil, method, h.chain.Hash(name))
	}
}

// denied calls a method that must fail with a code and a text that begins so.
func (h *hooks) denied(code int, text, method string, params ...any) {
	h.t.Helper()
	err := h.client.Call(h.t.Context(), method, nil, params...)
	var answer *rpc.Error
	if !errors.As(err, &answer) || answer.Code != code || !strings.HasPrefix(answer.Message, text) {
		h.t.Errorf("%s %v: got %v, want %q (code %d)", method, params, err, text, code)
	}
}

func (h *hooks) standsAt(name string) {
	h.t.Helper()
	var tip consensus.Hash
	if h.ask(&tip, "getbestblockhash"); tip != h.chain.Hash(name) {
		h.t.Fatalf("the tip is %s, want %s", h.chain.Name(tip), name)
	}
}

// tips holds getchaintips against a line such as "a4 active, b3 +2 invalid"; the
// highest come first, in whatever order those of equal height.
func (h *hooks) tips(want string) {
	h.t.Helper()
	var tips []struct {
		Height uint32
		Hash   consensus.Hash
		Length int `json:"branchlen"`
		Status string
	}
	h.ask(&tips, "getchaintips")
	var got []string
	for i, tip := range tips {
		if i > 0 && tip.Height > tips[i-1].Height {
			h.t.Errorf("height %d comes after %d", tip.Height, tips[i-1].Height)
		}
		text := h.chain.Name(tip.Hash)
		if tip.Length > 0 {
			text += fmt.Sprint(" +", tip.Length)
		}
		got = append(got, text+" "+tip.Status)
		if height := h.chain.Index(h.chain.Name(tip.Hash)).Height; tip.Height != height {
			h.t.Errorf("%s is said to have height %d, not %d", h.chain.Name(tip.Hash), tip.Height, height)
		}
	}
	wanted := strings.Split(want, ", ")
	slices.Sort(got)
	if slices.Sort(wanted); !slices.Equal(got, wanted) {
		h.t.Errorf("the tips are %q, want %q", got, wanted)
	}
}

func (h *hooks) address(name string) string {
	return address.Encode(h.chain.Params.HRP, h.chain.Key(name))
}

// mine generates a block on the tip and gives it a name.
func (h *hooks) mine(name string) {
	h.t.Helper()
	var hashes []consensus.Hash
	h.ask(&hashes, "generatetoaddress", 1, h.address("miner"))
	h.learn(name, hashes[0])
}

// learn names a block that the node made.
func (h *hooks) learn(name string, hash consensus.Hash) *consensus.Block {
	h.t.Helper()
	var text string
	h.ask(&text, "getblock", hash, 0)
	return h.add(name, text)
}

func (h *hooks) add(name, text string) *consensus.Block {
	h.t.Helper()
	raw, err := hex.DecodeString(text)
	if err != nil {
		h.t.Fatal(err)
	}
	block, err := consensus.DecodeBlock(raw)
	if err != nil {
		h.t.Fatal(err)
	}
	h.chain.Add(name, block)
	return block
}

func TestInvalidateBlock(t *testing.T) {
	h := openHooks(t, `
		genesis - a1 - a2 - a3 - a4 - a5 - a6
		          a1 - b2 - b3 - b4
	`)
	h.submit("a1", "b2", "b3", "b4", "a2", "a3", "a4", "a5", "a6")
	h.standsAt("a6")

	h.on("invalidateblock", "a2") // in the middle: back to what there was
	h.standsAt("b4")
	h.tips("a6 +5 invalid, b4 active")
	h.on("invalidateblock", "b4") // the tip: a step back, never to less work for nothing
	h.standsAt("b3")
	h.tips("a6 +5 invalid, b4 +1 invalid, b3 active")
	h.ask(nil, "setmocktime", h.chain.Now().Unix()+600)
	h.mine("c4") // and on from there
	h.standsAt("c4")
	h.on("invalidateblock", "b4", "c4") // the first one again: nothing more happens
	h.mine("d4")                        // at the same time, to the same address: another block nevertheless
	h.standsAt("d4")

	h.restart() // marks are kept
	h.standsAt("d4")
	h.on("reconsiderblock", "c4")
	h.on("reconsiderblock", "a5") // its ancestors and descendants too
	h.standsAt("a6")
	h.tips("a6 active, b4 +3 invalid, c4 +3 valid-fork, d4 +3 valid-fork")

	h.on("invalidateblock", "a6", "a5") // the two at the tip, of which the upper one is reconsidered
	h.standsAt("a4")
	h.on("reconsiderblock", "a6")
	h.standsAt("a6")
	h.on("invalidateblock", "a5", "a3") // and two, of which the lower one is
	h.on("reconsiderblock", "a3")
	h.standsAt("a6")

	h.denied(rpc.CodeAddressOrKey, "Block not found", "invalidateblock", strings.Repeat("0", 64))
	h.denied(rpc.CodeAddressOrKey, "Block not found", "reconsiderblock", strings.Repeat("0", 64))
	h.denied(rpc.CodeInvalidParameter, "blockhash must be of length 64 (not 4, for 'beef')", "invalidateblock", "beef")
	h.denied(rpc.CodeInvalidParameter, "The genesis block cannot be invalidated", "invalidateblock", h.chain.Params.GenesisHash())
	h.standsAt("a6")
}

// A block that breaks a rule is judged again, and found wanting again.
func TestReconsiderJudgesAgain(t *testing.T) {
	h := openHooks(t, "genesis - a1 - a2")
	h.submit("a1", "a2")
	h.chain.Mine("a2", "greedy", chaintest.Claim(1))
	if _, err := h.Runner.SubmitBlock(t.Context(), h.chain.Block("greedy")); !errors.Is(err, consensus.ErrCoinbaseAmount) {
		t.Fatalf("got %v", err)
	}
	h.on("reconsiderblock", "greedy")
	h.standsAt("a2")
	h.tips("greedy +1 invalid, a2 active")
	h.on("reconsiderblock", "a2") // nothing to take back
	h.standsAt("a2")
}

// What a block confirmed waits again when the block is invalidated, and is
// confirmed again when it is reconsidered.
func TestInvalidatedPaymentsWaitAgain(t *testing.T) {
	h := openHooks(t, "genesis - a1..a101")
	pay := h.chain.Pay(chaintest.From(h.chain.Coinbase("a1")), chaintest.To("bob", 49*chaintest.Coins))
	h.chain.Mine("a101", "a102", chaintest.Txs(pay))
	submitAll(t, t.Context(), h.house, h.chain.Path("a102")...)
	waiting := func() (txids []consensus.Hash) {
		h.ask(&txids, "getrawmempool")
		return txids
	}
	h.on("invalidateblock", "a102")
	if got := waiting(); len(got) != 1 || got[0] != pay.TxID() {
		t.Errorf("in the mempool: %v, want %v", got, pay.TxID())
	}
	h.on("reconsiderblock", "a102")
	if got := waiting(); len(got) != 0 {
		t.Errorf("in the mempool: %v, want nothing", got)
	}
}

func TestPreciousBlock(t *testing.T) {
	h := openHooks(t, `
		genesis - a1 - a2 - a3
		          a1 - b2 - b3
		          a1 - c2 - c3 - c4
	`)
	h.submit("a1", "a2", "a3", "b2", "b3")
	h.standsAt("a3")
	h.on("preciousblock", "a3") // the tip itself
	h.standsAt("a3")
	for _, name := range []string{"b3", "a3", "b3", "b3"} { // the last call wins, also twice
		h.on("preciousblock", name)
		h.standsAt(name)
	}
	h.on("preciousblock", "a2") // less work than the tip
	h.standsAt("b3")
	h.submit("c2", "c3", "c4") // more work beats preference
	h.on("preciousblock", "b3")
	h.standsAt("c4")
	h.tips("c4 active, a3 +2 valid-fork, b3 +2 valid-fork")
	h.denied(rpc.CodeAddressOrKey, "Block not found", "preciousblock", strings.Repeat("0", 64))

	h.on("invalidateblock", "c4") // c3 has as much work as a3 and b3, and no preference
	h.standsAt("b3")
	h.on("preciousblock", "c4") // one that is invalid is no candidate
	h.standsAt("b3")
}

// The five statuses, and the tip, which has followers here that it cannot have.
func TestChainTips(t *testing.T) {
	h := openHooks(t, `
		genesis - a1 - a2 - a3
		          a1 - b2
		          a1 - c2
		genesis - d1 - d2
		          a3 - e4 - e5
	`)
	h.tips("genesis active")
	h.submit("a1", "c2")
	h.standsAt("c2")
	h.submit("a2", "a3", "b2")
	h.tips("a3 active, c2 +1 valid-fork, b2 +1 valid-headers")

	h.Runner.Connected(p2p.Peer{ID: "peer"})
	h.Runner.Receive("peer", &p2p.Hello{Version: p2p.Version, Genesis: h.chain.Params.GenesisHash(), Nonce: 7, Agent: "/peer/"}, false)
	for _, branch := range [][]string{{"d1", "d2"}, {"e4", "e5"}} {
		var headers []consensus.Header
		for _, name := range branch {
			headers = append(headers, h.chain.Block(name).Header)
		}
		h.Runner.Receive("peer", &p2p.Headers{Headers: headers}, false)
	}
	h.submit("d2") // without d1, nothing can be made of it
	h.tips("e5 +2 headers-only, a3 active, c2 +1 valid-fork, b2 +1 valid-headers, d2 +2 headers-only")

	h.on("invalidateblock", "e4")
	h.tips("e5 +2 invalid, a3 active, c2 +1 valid-fork, b2 +1 valid-headers, d2 +2 headers-only")
	h.on("invalidateblock", "b2", "d1")
	h.tips("e5 +2 invalid, a3 active, c2 +1 valid-fork, b2 +1 invalid, d2 +2 invalid")
}

func TestGenerateBlock(t *testing.T) {
	h := openHooks(t, "genesis - a1..a102")
	c := h.chain
	submitAll(t, t.Context(), h.house, c.Path("a102")...)
	to := h.address("carol")
	var made struct {
		Hash consensus.Hash
		Hex  string
	}

	// Not submitted: the block comes back, and is good.
	h.ask(&made, "generateblock", to, []string{}, false)
	h.standsAt("a102")
	block := h.add("a103", made.Hex)
	if block.Hash() != made.Hash || len(block.Txs) != 1 || block.Txs[0].Outputs[0].Value != c.Params.Subsidy(103) {
		t.Errorf("got %+v", made)
	}
	var reason *string
	if h.ask(&reason, "submitblock", made.Hex); reason != nil {
		t.Errorf("it is refused: %s", *reason)
	}
	h.standsAt("a103")

	// With a txid, a raw transaction that spends it, and nothing else that waits.
	pay := c.Pay(chaintest.From(c.Coinbase("a1")), chaintest.To("bob", 49*chaintest.Coins))
	other := c.Pay(chaintest.From(c.Coinbase("a2")), chaintest.To("bob", 49*chaintest.Coins))
	child := c.Pay(chaintest.From(c.Out(pay, 0)), chaintest.To("bob", 47*chaintest.Coins))
	for _, tx := range []*consensus.Tx{pay, other} {
		h.ask(nil, "sendrawtransaction", hex.EncodeToString(tx.Bytes()), 0)
	}
	raw := func(tx *consensus.Tx) string { return hex.EncodeToString(tx.Bytes()) }
	made.Hex = ""
	h.ask(&made, "generateblock", "addr("+to+")", []string{pay.TxID().String(), raw(child)})
	block = h.learn("a104", made.Hash)
	h.standsAt("a104")
	if made.Hex != "" || len(block.Txs) != 3 || block.Txs[2].TxID() != child.TxID() {
		t.Errorf("the block holds %d transactions, the answer %+v", len(block.Txs), made)
	}
	if got := block.Txs[0].Outputs[0]; got.Value != c.Params.Subsidy(104)+3*chaintest.Coins || string(got.Script) != string(consensus.PayToKey(c.Key("carol"))) {
		t.Errorf("the coinbase pays %d", got.Value)
	}

	// What makes no valid block is refused before any work is done, submit or not.
	unsigned := *other
	unsigned.Inputs = []consensus.TxIn{other.Inputs[0]}
	unsigned.Inputs[0].Witness = [][]byte{make([]byte, 64)}
	grandchild := c.Pay(chaintest.From(c.Out(other, 0)), chaintest.To("bob", 1))
	for _, submit := range []bool{true, false} {
		for _, test := range []struct {
			code int
			text string
			txs  []string
		}{
			{rpc.CodeVerify, "TestBlockValidity failed: bad-txns-inputs-missingorspent, ", []string{raw(grandchild), raw(other)}},
			{rpc.CodeVerify, "TestBlockValidity failed: bad-txns-inputs-missingorspent, ", []string{raw(pay)}},
			{rpc.CodeVerify, "TestBlockValidity failed: bad-sig, ", []string{raw(&unsigned)}},
			{rpc.CodeVerify, "TestBlockValidity failed: bad-cb-multiple, ", []string{raw(c.Block("a3").Txs[0])}},
			{rpc.CodeVerify, "TestBlockValidity failed: bad-txns-premature-spend-of-coinbase, ",
				[]string{raw(c.Pay(chaintest.From(c.Coinbase("a102")), chaintest.To("bob", 1)))}},
			{rpc.CodeAddressOrKey, "Transaction " + strings.Repeat("0", 64) + " not in mempool.", []string{strings.Repeat("0", 64)}},
			{rpc.CodeDeserialization, "Transaction decode failed for 0000", []string{"0000"}},
		} {
			h.denied(test.code, test.text, "generateblock", to, test.txs, submit)
		}
	}
	h.denied(rpc.CodeAddressOrKey, "Error: Invalid address or descriptor", "generateblock", "1234", []string{})
	h.standsAt("a104")
}

// Callers who mine at the same time mine one chain, of all their blocks.
func TestGenerateInParallel(t *testing.T) {
	h := openHooks(t, "genesis - a1")
	h.submit("a1")
	const callers, blocks = 6, 10
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			for range blocks {
				var err error
				if i%2 == 0 {
					err = h.client.Call(t.Context(), "generateblock", nil, h.address("miner"), []string{})
				} else {
					err = h.client.Call(t.Context(), "generatetoaddress", nil, 1, h.address("miner"))
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	var height uint32
	h.ask(&height, "getblockcount")
	if want := uint32(1 + callers*blocks); height != want {
		t.Errorf("height %d after %d blocks on height 1, want %d", height, callers*blocks, want)
	}
}

// All is well at every level, also while blocks come and a reorganisation takes
// some of those that are looked at.
func TestVerifyChain(t *testing.T) {
	h := openHooks(t, "genesis - a1..a100")
	pay := h.chain.Pay(chaintest.From(h.chain.Coinbase("a1")), chaintest.To("bob", 49*chaintest.Coins))
	h.chain.Mine("a100", "a101", chaintest.Txs(pay))
	h.chain.Grow("a101 - a102 - a103\n a100 - b101..b120")
	submitAll(t, t.Context(), h.house, h.chain.Path("a103")...)
	verify := func(params ...any) {
		var ok bool
		if err := h.client.Call(t.Context(), "verifychain", &ok, params...); err != nil || !ok {
			t.Errorf("%v: %v, %v", params, ok, err)
		}
	}
	verify()
	for level := -1; level <= 5; level++ {
		for _, depth := range []int{0, 1, 6, 1000} {
			verify(level, depth)
		}
	}
	var all sync.WaitGroup
	all.Go(func() {
		for i := range 20 {
			h.submit(fmt.Sprint("b", 101+i))
		}
	})
	for range 5 {
		verify(4, 0)
	}
	all.Wait()
	h.standsAt("b120")
	verify(4, 0)
}
