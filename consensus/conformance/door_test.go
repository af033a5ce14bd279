package conformance

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/node"
	"github.com/kapok-chain/kapok/p2p"
	"github.com/kapok-chain/kapok/storage"
)

// seat is a node of the stage with the door that its blocks come through.
type seat struct {
	*node.Node
	s     *stage
	door  string
	enter func(*seat, *consensus.Block) *consensus.RuleError
	store storage.Store
	peers int // that have said hello so far
}

func newSeat(s *stage, door string, enter func(*seat, *consensus.Block) *consensus.RuleError) *seat {
	s.t.Helper()
	n := &seat{s: s, door: door, enter: enter}
	n.open(storage.OpenMemory(s.Params, true))
	return n
}

// open starts the node, or starts it again, on a store.
func (n *seat) open(store storage.Store) {
	n.s.t.Helper()
	started, err := node.New(node.Config{
		Params: n.s.Params, Store: store, Mempool: n.s.pool,
		P2P:  p2p.Config{Agent: "/conformance/", Params: n.s.Params},
		Rand: rand.New(rand.NewPCG(1, 2)),
	})
	n.s.check(err)
	n.Node, n.store = started, store
}

// used notes a door for the closing line of the case.
func (n *seat) used(door string) { n.s.doors[door] = true }

// verifier checks on several threads, as nodes do.
var verifier = consensus.Verifier{Workers: 4}

// take brings a block in, lets the node walk to its best branch, and returns why
// the block was refused, then or on the way.
func (n *seat) take(block *consensus.Block) *consensus.RuleError {
	n.s.t.Helper()
	if rule := n.enter(n, block); rule != nil {
		return rule
	}
	return n.advance(block.Hash())
}

// maxSteps is more than any case walks at once.
const maxSteps = 20_000

// advance walks to the best branch, and returns what was found wrong with a
// block. It does what Node.Advance does, but a node that goes round in circles
// fails the case, and does not hang it.
func (n *seat) advance(hash consensus.Hash) *consensus.RuleError {
	n.s.t.Helper()
	known := n.Failure(hash)
	for steps := 0; n.step(); steps++ {
		if steps == maxSteps {
			n.s.t.Fatalf("%s: %d steps, and the tip, %s, is not the best block", n.door, steps, n.s.Name(n.Tip().Hash))
		}
	}
	if rule := n.Failure(hash); rule != known {
		return rule
	}
	return nil
}

// step takes one step towards the best branch, and reports whether there was one.
func (n *seat) step() bool {
	n.s.t.Helper()
	job, err := n.Gather()
	n.s.check(err)
	if job == nil {
		return false
	}
	job.Verify(verifier)
	n.s.check(n.Commit(n.s.now, job))
	return true
}

// why says what the node holds against the blocks that it knows, for messages.
func (n *seat) why() string {
	var b strings.Builder
	for name := range n.s.told {
		if rule := n.Failure(n.s.Hash(name)); rule != nil {
			fmt.Fprintf(&b, "; %s failed: %v", name, rule)
		}
	}
	return b.String()
}

// propose judges a block on the tip without its proof of work, as
// getblocktemplate's proposals do.
func (n *seat) propose(block *consensus.Block) *consensus.RuleError {
	n.s.t.Helper()
	n.used("proposal")
	delta, err := n.Propose(n.s.now, block)
	if err == nil {
		err = verifier.Verify(delta.Checks)
	}
	return n.rule(err)
}

// rule returns the rule that err says was broken; any other error is a fault of
// ours and ends the test.
func (n *seat) rule(err error) *consensus.RuleError {
	n.s.t.Helper()
	rule := consensus.AsRuleError(err)
	if err != nil && rule == nil {
		n.s.t.Fatalf("%s: %v", n.door, err)
	}
	return rule
}

// submitBlock is the door of this machine's own miner and of RPC.
func submitBlock(n *seat, block *consensus.Block) *consensus.RuleError {
	n.s.t.Helper()
	n.used("submit")
	_, err := n.SubmitBlock(n.s.now, block)
	return n.rule(err)
}

// receiveBlock is the door of the network: a peer sends the header, and then the
// block, as bytes. What the node thinks of it shows in what becomes of the peer:
// at once dropped for what is invalid, after the second copy for what is mutated,
// and never for what may become valid.
func receiveBlock(n *seat, block *consensus.Block) *consensus.RuleError {
	n.s.t.Helper()
	n.used("p2p")
	peer := n.meet()
	defer n.Disconnected(n.s.now, peer)
	known := n.hasBody(block.Hash())
	n.hear(peer, &p2p.Headers{Headers: []consensus.Header{block.Header}})
	if rule := n.dropped(peer, consensus.Invalid); rule != nil {
		return rule
	}
	n.hear(peer, &p2p.Block{Block: block})
	if rule := n.dropped(peer, consensus.Invalid); rule != nil {
		return rule
	}
	if known || n.Lookup(block.Hash()) == nil {
		return n.silent(block)
	}
	if n.hasBody(block.Hash()) {
		return nil // Advance says the rest
	}
	n.hear(peer, &p2p.Block{Block: block})
	rule := n.dropped(peer, consensus.Mutated)
	if rule == nil {
		n.s.t.Errorf("%s: a block was not stored, and its sender not blamed for two copies", n.door)
	}
	return rule
}

// announceBlock is the door of gossip: a peer announces the block by its header
// and short ids, and answers with the transactions that the node asks for. Short
// ids prove nothing, so where the result is refused as mutated nobody is blamed,
// and the block comes by receiveBlock. What is refused for good or not at all
// must have come by the announcement.
func announceBlock(n *seat, block *consensus.Block) *consensus.RuleError {
	n.s.t.Helper()
	if !announceable(block) {
		return receiveBlock(n, block)
	}
	n.used(n.door)
	peer := n.meet()
	hash := block.Hash()
	known := n.hasBody(hash) || n.Failure(hash) != nil
	gap := !n.hasBody(block.Header.Prev) // bodies below are missing too: no news, comes whole
	for _, out := range n.hear(peer, p2p.NewAnnounce(block, uint64(n.peers))) {
		if ask, ok := out.Msg.(*p2p.GetBlockTxs); ok && ask.Block == hash {
			answer := &p2p.BlockTxs{Block: hash}
			for _, i := range ask.Indexes {
				answer.Txs = append(answer.Txs, block.Txs[i])
			}
			n.hear(peer, answer)
		}
	}
	rule := n.dropped(peer, consensus.Invalid)
	n.Disconnected(n.s.now, peer)
	switch {
	case rule != nil:
		return rule
	case !known && n.Failure(hash) != nil:
		return n.Failure(hash)
	case !known && n.hasBody(hash):
		return nil
	}
	rule = receiveBlock(n, block)
	// What is known to be bad, or stands on it, is not looked at when announced.
	refused := rule != nil && (rule.Kind != consensus.Invalid || errors.Is(rule, consensus.ErrPrevInvalid) || errors.Is(rule, consensus.ErrDuplicateInvalid))
	if !known && !gap && !refused {
		n.s.t.Errorf("%s: a block did not come in by its announcement, but as a whole (then: %v)", n.door, rule)
	}
	return rule
}

// announceable reports whether an announcement can carry a block: it holds the
// coinbase whole, and transactions whose short ids are the same cannot be told
// apart, which leaves case 32 (a transaction twice) to receiveBlock.
func announceable(block *consensus.Block) bool {
	seen := make(map[consensus.Hash]bool)
	for _, tx := range block.Txs {
		if seen[tx.WTxID()] {
			return false
		}
		seen[tx.WTxID()] = true
	}
	return len(block.Txs) > 0
}

func (n *seat) hasBody(hash consensus.Hash) bool {
	index := n.Lookup(hash)
	return index != nil && index.HasBody()
}

// silent is the refusal of a block that the network's door says nothing about:
// it must be a temporary one. Its code is what the other door would say, which
// must refuse the block as it comes in, since this door did.
func (n *seat) silent(block *consensus.Block) *consensus.RuleError {
	n.s.t.Helper()
	_, err := n.SubmitBlock(n.s.now, block)
	rule := n.rule(err)
	switch {
	case rule == nil:
		n.s.t.Errorf("%s: a block was ignored that is fine", n.door)
	case rule.Kind != consensus.Temporary:
		n.s.t.Errorf("%s: a block is ignored that breaks %v (%s)", n.door, rule, rule.Kind)
	}
	return rule
}

// meet connects one more peer, which says hello and claims nothing.
func (n *seat) meet() p2p.PeerID {
	n.s.t.Helper()
	n.peers++
	id := p2p.PeerID(fmt.Sprint("peer", n.peers))
	n.Connected(n.s.now, p2p.Peer{ID: id})
	n.hear(id, &p2p.Hello{Version: p2p.Version, Genesis: n.s.Params.GenesisHash(), Nonce: uint64(n.peers), Agent: "/peer/"})
	return id
}

// hear passes a message through the wire format to the node, and returns what the
// node has to say.
func (n *seat) hear(from p2p.PeerID, msg p2p.Msg) []p2p.Outgoing {
	n.s.t.Helper()
	decoded, err := p2p.Decode(p2p.Encode(msg))
	n.s.check(err)
	_, err = n.Receive(n.s.now, from, decoded, false)
	n.s.check(err)
	for more := true; more; {
		more, err = n.Rebuild(n.s.now)
		n.s.check(err)
	}
	return n.Outbox()
}

// dropped returns the rule for which the node wants to be rid of a peer, or nil.
// Its kind is what the moment of the drop tells.
func (n *seat) dropped(peer p2p.PeerID, kind consensus.Kind) *consensus.RuleError {
	n.s.t.Helper()
	for _, drop := range n.Drops() {
		if drop.ID == peer {
			code, detail, _ := strings.Cut(drop.Reason, ": ")
			return &consensus.RuleError{Code: consensus.Code(code), Kind: kind, Detail: detail}
		}
	}
	return nil
}

// takeTx brings a loose transaction in, by the node's door.
func (n *seat) takeTx(tx *consensus.Tx) *consensus.RuleError {
	n.s.t.Helper()
	n.used("loose transaction")
	if n.door == "submit" {
		_, err := n.SubmitTx(n.s.now, tx)
		return n.rule(err)
	}
	peer := n.meet()
	defer n.Disconnected(n.s.now, peer)
	known := n.InMempool(tx.TxID())
	n.hear(peer, &p2p.Tx{Tx: tx})
	if rule := n.dropped(peer, consensus.Invalid); rule != nil {
		return rule
	}
	if n.InMempool(tx.TxID()) && !known {
		return nil
	}
	// The network's door ignores, and says nothing about, what depends on where
	// this node stands. The code is what the other door would say.
	_, err := n.SubmitTx(n.s.now, tx)
	rule := n.rule(err)
	if rule == nil {
		n.s.t.Errorf("%s: a transaction was ignored that is fine", n.door)
	}
	return rule
}

// readers read a block from bytes: consensus itself, and the message of a peer.
var readers = []struct {
	door  string
	block func(raw []byte) error
}{
	{"DecodeBlock", func(raw []byte) error { return second(consensus.DecodeBlock(raw)) }},
	{"p2p", func(raw []byte) error { return second(p2p.Decode(append([]byte{byte(p2p.TypeBlock)}, raw...))) }},
}

func second[A any](_ A, err error) error { return err }
