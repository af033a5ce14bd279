package testnet

import (
	"cmp"
	"errors"
	"math"
	"slices"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/rpc"
	"github.com/kapok-chain/kapok/testnet/record"
)

// confirmationDepths are the confirmations that the record has a column for.
var confirmationDepths = [...]int{1, 3, 6}

// rows returns what became of the payments, as far as is known, in the order of the
// schedule. Confirmations are counted on the best chain that learn was told last; what
// is lost is told apart from what waits only after a look.
func (g *ledger) rows() []record.Payment {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.follow()
	rows := make([]record.Payment, len(g.payments))
	for i, f := range g.payments {
		rows[i] = g.row(i, f, c)
	}
	return rows
}

// settled reports whether nothing more is to come for the payments: none waits, and each in
// the best chain has all its confirmations at all nodes.
func (g *ledger) settled() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.follow()
	return !slices.ContainsFunc(g.payments, func(f *followed) bool {
		if h := c.places[f.tx]; h > 0 {
			last := h + confirmationDepths[len(confirmationDepths)-1] - 1
			return last >= len(c.everywhere) || math.IsNaN(c.everywhere[last])
		}
		status, _ := g.judge(f, c)
		return status == record.Pending
	})
}

// chain is the best chain above the prelude, and when it was where.
type chain struct {
	hashes     []consensus.Hash // by height above the base, from 1
	places     map[consensus.Hash]int
	first      []float64 // by the same: when the first node had that block or one above it
	everywhere []float64 // when all nodes that ran then had it
}

// follow looks at the best chain.
func (g *ledger) follow() *chain {
	c := &chain{places: make(map[consensus.Hash]int)}
	b := g.blocks[g.best]
	if b == nil {
		return c
	}
	n := int(b.height - g.base)
	c.hashes = make([]consensus.Hash, n+1)
	c.first, c.everywhere = make([]float64, n+1), make([]float64, n+1)
	reached := slices.Repeat([]float64{math.NaN()}, len(g.nodes)) // by node: the earliest from this height on
	hash := g.best
	for h := n; h > 0 && b != nil; h-- {
		c.hashes[h] = hash
		for _, tx := range b.txs {
			c.places[tx] = h
		}
		for node, at := range b.seen {
			reached[node] = earlier(reached[node], at)
		}
		c.first[h] = math.NaN()
		var arrivals []acceptance
		for node, at := range reached {
			if !math.IsNaN(at) {
				c.first[h] = earlier(c.first[h], at)
				arrivals = append(arrivals, acceptance{node, at})
			}
		}
		c.everywhere[h] = g.everywhere(arrivals, math.Inf(1), true)
		hash = b.parent
		b = g.blocks[hash]
	}
	return c
}

// earlier is the earlier one of two moments, each of which may never have come.
func earlier(a, b float64) float64 {
	if math.IsNaN(a) || b < a {
		return b
	}
	return a
}

// everywhere is the first moment, up to a last one, at which all nodes that ran then had
// something, and at least one of them did: NaN where there was none. Something that is
// kept survives the end of its node, as blocks do, and payments in mempools do not.
func (g *ledger) everywhere(arrivals []acceptance, until float64, kept bool) float64 {
	slices.SortStableFunc(arrivals, func(a, b acceptance) int { return cmp.Compare(a.at, b.at) })
	running, has := make([]bool, len(g.nodes)), make([]bool, len(g.nodes))
	run, lacking := 0, 0 // nodes that run, and of these: that do not have it
	turns := g.turns
	for len(arrivals) > 0 || len(turns) > 0 {
		var at float64
		if len(turns) > 0 && (len(arrivals) == 0 || turns[0].at <= arrivals[0].at) {
			t := turns[0]
			turns, at = turns[1:], t.at
			change := 1
			if !t.start {
				change = -1
			}
			running[t.node] = t.start
			run += change
			if !has[t.node] {
				lacking += change
			}
			if !t.start && !kept {
				has[t.node] = false
			}
		} else {
			a := arrivals[0]
			arrivals, at = arrivals[1:], a.at
			if !has[a.node] && running[a.node] {
				lacking--
			}
			has[a.node] = kept || running[a.node]
		}
		switch {
		case at > until:
			return math.NaN()
		case run > lacking && lacking == 0:
			return at
		}
	}
	return math.NaN()
}

// row says what became of one payment.
func (g *ledger) row(i int, f *followed, c *chain) record.Payment {
	nan := math.NaN()
	p := record.Payment{
		ID: i + 1, Node: f.node + 1, DueS: g.seconds(f.due), SubmittedS: g.seconds(f.sent), AnsweredS: g.seconds(f.answered),
		FeeRate: f.perVB, VSizeBytes: f.vsize, Role: f.role,
		AcceptedS: nan, EveryPoolS: nan, InBlockS: nan, Confirmed1S: nan, Confirmed3S: nan, Confirmed6S: nan,
	}
	if !f.tx.IsZero() {
		p.TxID = f.tx.String()
	}
	for _, a := range f.accepted {
		if a.node == f.node {
			p.AcceptedS = earlier(p.AcceptedS, a.at)
		}
	}
	until := math.Inf(1) // mempools cannot have it for the first time once all nodes have it in a block
	if h := c.places[f.tx]; h > 0 {
		p.Block, p.Height, p.InBlockS = c.hashes[h].String(), g.base+uint32(h), c.first[h]
		for j, at := range []*float64{&p.Confirmed1S, &p.Confirmed3S, &p.Confirmed6S} {
			if k := h + confirmationDepths[j] - 1; k < len(c.everywhere) {
				*at = c.everywhere[k]
			}
		}
		if !math.IsNaN(p.Confirmed1S) {
			until = p.Confirmed1S
		}
	}
	p.EveryPoolS = g.everywhere(slices.Clone(f.accepted), until, false)
	p.Status, p.Detail = g.judge(f, c)
	return p
}

// judge says what became of a payment, and why.
func (g *ledger) judge(f *followed, c *chain) (record.PaymentStatus, string) {
	var refusal *rpc.Error
	taken := len(f.accepted) > 0 || !f.answered.IsZero() && f.err == nil
	switch {
	case c.places[f.tx] > 0:
		return record.Confirmed, ""
	case c.places[f.rival] > 0:
		return record.Conflicted, "taken back by " + f.rival.String()
	case !taken && errors.As(f.err, &refusal):
		return record.Refused, refusal.Error()
	case !taken && f.err != nil:
		return record.Unanswered, f.err.Error()
	case !taken:
		return record.Unanswered, "no answer yet"
	case g.pools == nil || g.pools[f.tx]:
		return record.Pending, ""
	case g.mined[f.tx]:
		return record.Pending, "in a block beside the best chain"
	case g.mined[f.rival]:
		return record.Pending, "taken back beside the best chain, by " + f.rival.String()
	case g.diedWithNode(f):
		return record.Died, "its node ended before another one had it"
	}
	return record.Lost, ""
}

// diedWithNode reports whether the payment's node was the only one that had it, and has
// ended since it was sent there. When the node took it says nothing: it may tell of that
// after it was asked to end.
func (g *ledger) diedWithNode(f *followed) bool {
	if slices.ContainsFunc(f.accepted, func(a acceptance) bool { return a.node != f.node }) {
		return false
	}
	sent := g.seconds(f.sent)
	return slices.ContainsFunc(g.turns, func(t turn) bool { return t.node == f.node && !t.start && t.at >= sent })
}
