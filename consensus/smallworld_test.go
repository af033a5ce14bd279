package consensus

import (
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// All trees of a few blocks, of works 1 to 3 and with at most one block that
// turns out invalid when it is connected, in the orders in which headers and
// bodies can arrive (all of them in the smaller trees): after every arrival the Tree, driven as its owner does it,
// says the same as a model that keeps what happened and works out everything
// from that, and it took the same steps.

// smallWorldEnv says how many blocks the trees have beside genesis. All of six:
//
//	KAPOK_SMALL_WORLD=6 go test ./consensus -run SmallWorld -v -timeout 0
const smallWorldEnv = "KAPOK_SMALL_WORLD"

const mostBlocks = 6

// Headers and bodies come in any order that has parents' headers before their
// children's and a block's header before its body. In the largest trees, where
// that would take too long, the headers come first, or no earlier than they must.
const (
	anyOrderUpTo     = 4 // blocks, in go test
	anyOrderInLong   = 5 // with smallWorldEnv
	smallWorldBlocks = 5 // in go test
)

// small is a tree of n blocks beside genesis, which is block 0. Parents have
// lower numbers.
type small struct {
	n      int
	parent [mostBlocks + 1]int
	work   [mostBlocks + 1]int
	bad    int // the invalid block, 0 for none

	line  [mostBlocks + 1]blockSet // the block and its ancestors
	total [mostBlocks + 1]int      // their work
}

// blockSet has bit i set for block i.
type blockSet uint8

func (s blockSet) has(block int) bool { return s>>block&1 == 1 }

func (s *blockSet) add(block int) { *s |= 1 << block }

// treeCount is how many trees there are, by Pólya's count: with T(x) the series of
// rooted trees in three colours and F(x) that of their forests, the coefficients
// of F/(1-T), in which the 1/(1-T) marks one block or none.
var treeCount = [mostBlocks + 1]int{1, 6, 42, 307, 2310, 17_688, 137_218}

// smallWorlds lists all trees of n blocks but for those that another one is
// equal to, siblings having no order.
func smallWorlds(n int) (worlds []*small) {
	var shapes []*small
	grown := make(map[string]bool)
	var grow func(w small, block int)
	grow = func(w small, block int) {
		if block > n {
			if name := w.name(0); !grown[name] {
				grown[name] = true
				shapes = append(shapes, &w)
			}
			return
		}
		for w.parent[block] = range block {
			grow(w, block+1)
		}
	}
	grow(small{n: n}, 1)

	seen := make(map[string]bool)
	var label func(w small, block int)
	label = func(w small, block int) {
		if block <= n {
			for work := 1; work <= 3; work++ {
				w.work[block] = work
				label(w, block+1)
			}
			return
		}
		for w.bad = range n + 1 {
			if name := w.name(0); !seen[name] {
				seen[name] = true
				worlds = append(worlds, w.summed())
			}
		}
	}
	for _, shape := range shapes {
		label(*shape, 1)
	}
	return worlds
}

// name is the same for trees that differ only in the order of siblings.
func (w *small) name(block int) string {
	var children []string
	for c := block + 1; c <= w.n; c++ {
		if w.parent[c] == block {
			children = append(children, w.name(c))
		}
	}
	slices.Sort(children)
	return fmt.Sprint("(", w.work[block], block > 0 && block == w.bad, strings.Join(children, ""), ")")
}

func (w small) summed() *small {
	w.line[0].add(0)
	for block := 1; block <= w.n; block++ {
		w.line[block] = w.line[w.parent[block]]
		w.line[block].add(block)
		w.total[block] = w.total[w.parent[block]] + w.work[block]
	}
	return &w
}

// arrival is a header or a body that comes.
type arrival struct {
	block int
	body  bool
}

// answers are what the model says after a history of arrivals.
type answers struct {
	tip, bestHeader int
	known           blockSet // headers
	bodies          []int    // as they came
	found           bool     // the bad block is known to be bad
	steps           []int    // of the last arrival: block on, -block off, refusal+block
}

const (
	refusal  = 100
	maxSteps = 4 * mostBlocks // down and up, twice; a tree that takes more goes in circles
)

// model answers from nothing but the history. Headers below a block that is
// known to be bad are not let in, nor are bodies without a header.
func (w *small) model(history []arrival, a *answers) {
	*a = answers{known: 1, bodies: a.bodies[:0], steps: a.steps[:0]}
	var headers [mostBlocks]int
	count := 0
	for _, event := range history {
		a.steps = a.steps[:0]
		switch {
		case event.body && a.known.has(event.block):
			a.bodies = append(a.bodies, event.block)
			w.follow(a)
		case !event.body && !w.failed(event.block, a.found):
			a.known.add(event.block)
			headers[count] = event.block
			count++
		}
	}
	for _, h := range headers[:count] {
		if !w.failed(h, a.found) && w.total[h] > w.total[a.bestHeader] {
			a.bestHeader = h
		}
	}
}

func (w *small) failed(block int, found bool) bool { return found && w.line[block].has(w.bad) }

// follow goes to the best block. On the way to one above the bad block it comes
// as far as its parent, and looks again.
func (w *small) follow(a *answers) {
	to := w.best(a.bodies, a.found)
	if w.bad != 0 && w.line[to].has(w.bad) {
		w.walk(a, w.parent[w.bad])
		a.steps = append(a.steps, refusal+w.bad)
		a.found = true
		to = w.best(a.bodies, true)
	}
	w.walk(a, to)
}

func (w *small) walk(a *answers, to int) {
	from := a.tip
	for b := from; !w.line[to].has(b); b = w.parent[b] {
		a.steps = append(a.steps, -b)
	}
	for b := 1; b <= to; b++ { // parents have lower numbers
		if w.line[to].has(b) && !w.line[from].has(b) {
			a.steps = append(a.steps, b)
		}
	}
	a.tip = to
}

// best compares all blocks without a gap below them: the most work, then the
// least of the moments at which no gap was left, then the block's own moment.
func (w *small) best(bodies []int, found bool) (best int) {
	stored := blockSet(1)
	var moment [mostBlocks + 1]int
	for i, b := range bodies {
		stored.add(b)
		moment[b] = i + 1
	}
	bestWhole := 0
	for b := 1; b <= w.n; b++ {
		if w.line[b]&^stored != 0 || w.failed(b, found) {
			continue
		}
		whole := 0
		for a := b; a != 0; a = w.parent[a] {
			whole = max(whole, moment[a])
		}
		if d := w.total[b] - w.total[best]; d > 0 || d == 0 &&
			(whole < bestWhole || whole == bestWhole && moment[b] < moment[best]) {
			best, bestWhole = b, whole
		}
	}
	return best
}

// owned is the Tree under test with what happened to it.
type owned struct {
	*small
	tree    *Tree
	blocks  [mostBlocks + 1]*BlockIndex
	steps   []int
	history []arrival
	moments [2*mostBlocks + 1]moment // to go back to, by length of the history
	said    answers

	orders, compared int
}

// workBits are bits of which the work is twice 1, 2 and 3.
var workBits = [...]uint32{1: 0x207fffff, 2: 0x203fffff, 3: 0x202aaaaa}

func (w *small) own(p *Params) *owned {
	o := &owned{small: w, tree: NewTree(p)}
	o.blocks[0] = o.tree.Genesis()
	for b := 1; b <= w.n; b++ {
		h := Header{Prev: o.blocks[w.parent[b]].Hash, Bits: workBits[w.work[b]], Nonce: uint32(b)}
		o.blocks[b] = newIndex(o.blocks[w.parent[b]], &h, Hash{byte(b)})
	}
	return o
}

// arrive tells the tree and follows its steps.
func (o *owned) arrive(event arrival) {
	o.history = append(o.history, event)
	o.steps = o.steps[:0]
	b := o.blocks[event.block]
	switch {
	case event.body && o.inTree(event.block):
		o.tree.SetBody(b)
	case !event.body && o.inTree(o.parent[event.block]) && !b.Parent.Failed():
		o.tree.insert(b)
	default: // AddHeader refuses it
		return
	}
	for step, ok := o.tree.Next(); ok && len(o.steps) <= maxSteps; step, ok = o.tree.Next() {
		number := int(step.Block.Header.Nonce)
		switch {
		case step.Detach:
			o.steps = append(o.steps, -number)
			o.tree.SetTip(step.Block.Parent)
		case number == o.bad:
			o.steps = append(o.steps, refusal+number)
			o.tree.SetFailed(step.Block)
		default:
			o.steps = append(o.steps, number)
			o.tree.SetConnected(step.Block)
			o.tree.SetTip(step.Block)
		}
	}
}

// compare returns what is wrong, or "".
func (o *owned) compare() string {
	o.compared++
	o.model(o.history, &o.said)
	want, t := &o.said, o.tree
	switch {
	case t.Tip() != o.blocks[want.tip] || t.Best() != o.blocks[want.tip]:
		return fmt.Sprintf("tip %d, best %d, want %d", t.Tip().Header.Nonce, t.Best().Header.Nonce, want.tip)
	case t.BestHeader() != o.blocks[want.bestHeader]:
		return fmt.Sprintf("best header %d, want %d", t.BestHeader().Header.Nonce, want.bestHeader)
	case !slices.Equal(o.steps, want.steps):
		return fmt.Sprintf("steps %d, want %d", o.steps, want.steps)
	}
	stored := blockSet(1)
	for _, b := range want.bodies {
		stored.add(b)
	}
	for i, b := range o.blocks[:o.n+1] {
		if !want.known.has(i) {
			continue
		}
		failed, whole, active := o.failed(i, want.found), o.line[i]&^stored == 0, o.line[want.tip].has(i)
		if b.Failed() != failed || b.HasBody() != stored.has(i) || b.Complete() != whole || t.InActiveChain(b) != active {
			return fmt.Sprintf("block %d: failed %v, body %v, complete %v, active %v", i, b.Failed(), b.HasBody(), b.Complete(), t.InActiveChain(b))
		}
	}
	return ""
}

// moment is what explore goes back to: all that arrive changes.
type moment struct {
	tree    Tree
	active  [mostBlocks + 1]*BlockIndex
	blocks  [mostBlocks + 1]BlockIndex
	history int
}

func (o *owned) save(m *moment) {
	m.tree, m.history = *o.tree, len(o.history)
	copy(m.active[:], o.tree.active)
	for i, b := range o.blocks[:o.n+1] {
		m.blocks[i] = *b
	}
}

// restore leaves the headers that came since in the tree's map, where nothing
// here looks them up.
func (o *owned) restore(m *moment) {
	*o.tree = m.tree
	o.history = o.history[:m.history]
	copy(o.tree.active, m.active[:])
	for i := range o.blocks[:o.n+1] {
		*o.blocks[i] = m.blocks[i]
	}
}

// explore tries all orders of what has not arrived yet. Orders that begin alike
// share their beginning.
func (o *owned) explore(next func(o *owned, try func(...arrival))) (wrong string) {
	now := &o.moments[len(o.history)]
	o.save(now)
	last := true
	next(o, func(events ...arrival) {
		if last = false; wrong != "" {
			return
		}
		for _, event := range events {
			o.arrive(event)
		}
		if wrong = o.compare(); wrong != "" {
			wrong = fmt.Sprintf("parents %d, works %d, bad %d, %v: %s", o.parent[1:o.n+1], o.work[1:o.n+1], o.bad, o.history, wrong)
			return
		}
		wrong = o.explore(next)
		o.restore(now)
	})
	if last {
		o.orders++
	}
	return wrong
}

func (o *owned) knows(block int) bool {
	return block == 0 || slices.Contains(o.history, arrival{block, false})
}

func (o *owned) has(block int) bool { return slices.Contains(o.history, arrival{block, true}) }

// anyOrder has each header after its parent's, and each body after its header.
func anyOrder(o *owned, try func(...arrival)) {
	for b := 1; b <= o.n; b++ {
		switch {
		case !o.knows(b) && o.knows(o.parent[b]):
			try(arrival{b, false})
		case o.knows(b) && !o.has(b) && o.inTree(b):
			try(arrival{b, true})
		}
	}
}

// inTree reports whether a block's header came and was let in.
func (o *owned) inTree(block int) bool { return slices.Contains(o.tree.ordered, o.blocks[block]) }

// headersFirst has all headers before the first body.
func headersFirst(o *owned, try func(...arrival)) {
	for b := 1; b <= o.n; b++ {
		if !o.knows(b) {
			try(arrival{b, false})
			return
		}
	}
	for b := 1; b <= o.n; b++ {
		if !o.has(b) {
			try(arrival{b, true})
		}
	}
}

// headersLate has each header when its body, or one above, comes.
func headersLate(o *owned, try func(...arrival)) {
	for b := 1; b <= o.n; b++ {
		if o.has(b) || o.knows(b) && !o.inTree(b) {
			continue
		}
		var events []arrival
		for a := 1; a <= b; a++ {
			if o.line[b].has(a) && !o.knows(a) {
				events = append(events, arrival{a, false})
			}
		}
		try(append(events, arrival{b, true})...)
	}
}

func TestTreeInASmallWorld(t *testing.T) {
	for work := 1; work <= 3; work++ {
		if got := WorkOf(workBits[work]); got != (Uint256{uint64(2 * work)}) {
			t.Fatalf("bits %08x are worth %s", workBits[work], got)
		}
	}
	size, anyOrderTo := smallWorldBlocks, anyOrderUpTo
	if testing.Short() {
		size, anyOrderTo = size-1, anyOrderTo-1
	}
	value := os.Getenv(smallWorldEnv)
	long := value != ""
	if long {
		var err error
		if size, err = strconv.Atoi(value); err != nil || size < 1 || size > mostBlocks {
			t.Fatalf("%s is %q, want 1 to %d", smallWorldEnv, value, mostBlocks)
		}
		anyOrderTo = anyOrderInLong
	}
	// There is next to nothing on the heap, and it would be collected all the time.
	defer debug.SetGCPercent(debug.SetGCPercent(1000))
	p := Regtest()
	for n := 1; n <= size; n++ {
		worlds := smallWorlds(n)
		if len(worlds) != treeCount[n] {
			t.Fatalf("%d trees of %d blocks, want %d", len(worlds), n, treeCount[n])
		}
		for _, how := range []struct {
			name string
			next func(*owned, func(...arrival))
			on   bool
		}{
			{"headers and bodies in any order", anyOrder, n <= anyOrderTo},
			{"headers first", headersFirst, n > anyOrderTo && long},
			{"headers late", headersLate, n > anyOrderTo},
		} {
			if !how.on {
				continue
			}
			began := time.Now()
			orders, compared := 0, 0
			for _, w := range worlds {
				o := w.own(p)
				if wrong := o.explore(how.next); wrong != "" {
					t.Fatal(wrong)
				}
				orders, compared = orders+o.orders, compared+o.compared
			}
			t.Logf("%d blocks, %s: %d trees, %d orders, %d comparisons in %.1f s", n, how.name, len(worlds), orders, compared, time.Since(began).Seconds())
		}
	}
}
