package spec

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Limits of events.
const (
	maxChurn         = 600 // stops a minute: ten a second
	maxConfirmations = 100
	maxTries         = 10_000
	maxGiveUp        = 100
	defaultGiveUp    = 10
	defaultDown      = 20 * time.Second
	// maxOffset of a clock is a day, as far as a network's future limit goes: three
	// times that of any network in use, and no typing error of a year.
	maxOffset = 24 * time.Hour
)

// eventTables are the [[event]] of a file.
type eventTables []eventTable

// eventTable is one of them, with what can be seen in it alone.
type eventTable struct {
	t     *table
	event Event
	share float64 // of a partition that is drawn; 0: groups are given
}

// eventKeys are the keys of each kind of event, beside at and do.
var eventKeys = map[Kind][]string{
	Partition:   {"groups", "share"},
	Heal:        {},
	Kill:        {"nodes"},
	Stop:        {"nodes"},
	Restart:     {"nodes"},
	Churn:       {"rate", "down", "for", "nodes"},
	Clock:       {"nodes", "offset"},
	Selfish:     {"node", "for"},
	DoubleSpend: {"node", "confirmations", "tries", "give_up", "for"},
}

// eventNeeds are those of the keys without which an event means nothing.
var eventNeeds = map[Kind][]string{
	Kill: {"nodes"}, Stop: {"nodes"}, Restart: {"nodes"}, Churn: {"rate"}, Clock: {"nodes", "offset"}, Selfish: {"node"}, DoubleSpend: {"node"},
}

// kinds are all kinds of events, in the order in which they are told.
var kinds = []Kind{Partition, Heal, Kill, Stop, Restart, Churn, Clock, Selfish, DoubleSpend}

func readEvents(tables []*table) eventTables {
	var events eventTables
	for _, t := range tables {
		events = append(events, readEvent(t))
	}
	return events
}

func readEvent(t *table) eventTable {
	names := make([]string, len(kinds))
	for i, kind := range kinds {
		names[i] = string(kind)
	}
	e := Event{
		Kind:          Kind(t.choice("do", "", names...)),
		At:            t.duration("at", 0, 0, maxDuration),
		Nodes:         t.nodes("nodes"),
		Groups:        t.groups("groups"),
		For:           t.duration("for", 0, time.Second, maxDuration),
		Rate:          t.number("rate", 0, 0.01, maxChurn, "stops a minute"),
		Down:          t.duration("down", 0, time.Second, time.Hour),
		Offset:        t.duration("offset", 0, -maxOffset, maxOffset),
		Confirmations: uint32(t.whole("confirmations", 0, 1, maxConfirmations)),
		Tries:         int(t.whole("tries", 0, 1, maxTries)),
		GiveUp:        int(t.whole("give_up", 0, 1, maxGiveUp)),
	}
	if node := int(t.whole("node", 0, 1, maxNodes)); node > 0 {
		e.Nodes = []int{node - 1}
	}
	share := t.number("share", 0, 0, 1, "a part of the nodes")
	t.done()
	e.Line = t.doc.lines[t.path]
	if line := t.line("do"); e.Line == 0 || !t.has("do") {
		e.Line = line
	}
	if !t.has("at") {
		t.missing("at", `when it happens, such as "2m" after the warm-up`)
	}
	if !t.has("do") {
		t.missing("do", "what happens: one of %s", quoted(names))
	}
	if e.Kind == "" {
		return eventTable{t: t, event: e}
	}
	for _, key := range t.asked {
		t.only(key == "at" || key == "do" || slices.Contains(eventKeys[e.Kind], key), `with do = "`+string(e.Kind)+`"`, key)
	}
	for _, key := range eventNeeds[e.Kind] {
		if !t.has(key) {
			t.missing(key, `it with do = "%s"`, e.Kind)
		}
	}
	switch e.Kind {
	case Partition:
		if t.has("groups") == t.has("share") {
			t.missing("groups", `either groups = [[1, 2], [3, 4]] or share = 0.5`)
		}
	case Churn:
		e.Down = cmp.Or(e.Down, defaultDown)
	case DoubleSpend:
		e.Confirmations = cmp.Or(e.Confirmations, 1)
		e.GiveUp = cmp.Or(e.GiveUp, defaultGiveUp)
	}
	return eventTable{t: t, event: e, share: share}
}

// nodes is a list of nodes, each of them once; nil where there is none.
func (t *table) nodes(key string) []int {
	list := t.list(key, "a list of node numbers")
	if t.has(key) && len(list) == 0 && len(t.doc.errors) == 0 {
		t.wrong(key, "[]", "at least one node")
	}
	return t.nodeList(key, list)
}

func (t *table) nodeList(key string, list []any) []int {
	var nodes []int
	for _, v := range list {
		n, ok := v.(int64)
		if !ok || n < 1 || n > maxNodes || slices.Contains(nodes, int(n)-1) {
			t.wrong(key, v, "node numbers of 1 to %d, each once", maxNodes)
			return nil
		}
		nodes = append(nodes, int(n)-1)
	}
	return nodes
}

// groups is a list of lists of nodes, no node in two of them.
func (t *table) groups(key string) [][]int {
	var groups [][]int
	seen := make(map[int]bool)
	for _, v := range t.list(key, "a list of lists of node numbers") {
		list, ok := v.([]any)
		if !ok || len(list) == 0 || len(groups) == maxNodes {
			t.wrong(key, v, "lists of node numbers, such as [[1, 2], [3, 4]]")
			return nil
		}
		group := t.nodeList(key, list)
		for _, n := range group {
			if seen[n] {
				t.wrong(key, n+1, "each node in one group")
				return nil
			}
			seen[n] = true
		}
		groups = append(groups, group)
	}
	return groups
}

// resolve draws what is drawn, and goes through the events in the order of time.
func (events eventTables) resolve(s *Spec) {
	slices.SortStableFunc(events, func(a, b eventTable) int { return cmp.Compare(a.event.At, b.event.At) })
	tl := timeline{spec: s, down: make([]bool, len(s.Nodes)), attackers: make(map[int]int)}
	for i := range events {
		e := &events[i]
		for _, n := range slices.Concat(append([][]int{e.event.Nodes}, e.event.Groups...)...) {
			if n >= len(s.Nodes) {
				e.t.wrong(given(e.t, "nodes", "node", "groups"), n+1, "nodes of 1 to %d, as many as there are", len(s.Nodes))
				return
			}
		}
		if e.event.Kind == Partition {
			e.split(s, uint64(i))
		}
		if e.event.Kind == Selfish || e.event.Kind == DoubleSpend {
			tl.attackers[e.event.Nodes[0]] = e.event.Line
		}
	}
	for i := range events {
		if e := &events[i]; len(e.t.doc.errors) == 0 {
			tl.step(e)
			s.Events = append(s.Events, e.event)
		}
	}
	if len(events) > 0 && len(events[0].t.doc.errors) == 0 {
		tl.end()
	}
}

// split makes the groups of a partition: those of the file and all others, or two that
// are drawn.
func (e *eventTable) split(s *Spec, number uint64) {
	n := len(s.Nodes)
	if e.event.Groups == nil {
		first := int(math.Round(e.share * float64(n)))
		if first < 1 || first >= n {
			e.t.wrong("share", e.share, "a part of the %d nodes that leaves at least one on each side", n)
			return
		}
		drawn := s.rand(streamPartition + number).Perm(n)[:first]
		slices.Sort(drawn)
		e.event.Groups = [][]int{drawn}
	}
	var rest []int
	for i := range n {
		if !slices.ContainsFunc(e.event.Groups, func(g []int) bool { return slices.Contains(g, i) }) {
			rest = append(rest, i)
		}
	}
	if rest != nil {
		e.event.Groups = append(e.event.Groups, rest)
	}
	if len(e.event.Groups) < 2 {
		e.t.wrong("groups", "of all nodes", "at least two groups; nodes in none of them are one")
	}
}
