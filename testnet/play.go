package testnet

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/kapok-chain/kapok/consensus"
)

// How a run ends.
const (
	// drainBlocks and drainTime bound how long the last payments are waited for: twice the
	// six blocks that they need, in spacings, for blocks come at random, and at least so
	// long.
	drainBlocks = 12
	drainTime   = 30 * time.Second
	// agreeTime is how long the nodes have at least to come to one tip once nobody mines: a
	// dial of a connection that was lost takes up to 15 s, and what it missed has to come.
	// agreeBlocks is the same in blocks of one miner, of which one or two may be needed.
	agreeTime   = 60 * time.Second
	agreeBlocks = 10
	// settleTime, and so many times as long as it takes to the last node, is how long a
	// block may be on its way before branches are thought to be of equal work.
	settleTime  = 3 * time.Second
	settleReach = 10
	// learnTime is how long one node has to say what is in the blocks that came since the
	// last time: milliseconds on an idle machine. What it has said by then need not be
	// asked for again.
	learnTime = 10 * time.Second
	// endTime bounds how long the nodes are asked each of the things that they ended with,
	// and hurriedTime the same where somebody waits for the end.
	endTime     = commandTime
	hurriedTime = 5 * time.Second
)

// mark is the meters at one moment.
type mark struct {
	at     time.Time
	hashes []float64 // by node, since the run's start
	due    []float64 // likewise
	joules float64
	method string
	direct bool // measured, not modelled
	height uint32
}

// mark reads the meters. Of a node that does not answer in time they are what it said
// last.
func (r *run) mark(ctx context.Context, patience time.Duration) mark {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	n := len(r.net.seats)
	m := mark{at: time.Now(), hashes: make([]float64, n), due: make([]float64, n)}
	_ = r.net.each(n, func(s *seat) error {
		p, _ := s.probe(ctx)
		m.hashes[s.node], m.due[s.node] = p.Hashes, p.HashesDue
		return nil
	})
	sum := 0.0
	for _, hashes := range m.hashes {
		sum += hashes
	}
	reading := r.net.usage.energy(sum)
	m.joules, m.method, m.direct = reading.Joules, reading.Method, reading.Measured
	r.recorder.look(func() { m.height = r.recorder.best().Height })
	return m
}

// play is the run's time line, up to where nobody mines any more.
func (r *run) play(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var lives sync.WaitGroup
	defer lives.Wait()
	defer cancel(nil)
	defer context.AfterFunc(r.net.failed, func() { cancel(context.Cause(r.net.failed)) })()
	beside := func(f func(context.Context) error) {
		lives.Go(func() {
			if err := f(ctx); err != nil && ctx.Err() == nil {
				cancel(err)
			}
		})
	}
	err := r.stages(ctx, beside)
	if cause := context.Cause(ctx); cause != nil { // of what went on beside, too, in the last moment
		return cause
	}
	return err
}

// stages goes through a run; beside starts what goes on until its end.
func (r *run) stages(ctx context.Context, beside func(func(context.Context) error)) error {
	if err := r.start(ctx); err != nil {
		return err
	}
	beside(r.sample)
	beside(r.keepTables)
	paid := make(chan struct{})
	beside(func(ctx context.Context) error {
		defer close(paid)
		if r.Spec.Coins == 0 {
			return nil
		}
		return r.pay(ctx)
	})
	if err := r.mine(ctx, true); err != nil {
		return err
	}
	r.enter("warming up")
	if err := wait(ctx, r.Spec.WarmUp); err != nil {
		return err
	}
	if err := r.measure(ctx); err != nil {
		return err
	}
	r.load.stop(r.to.at)
	r.enter("waiting for the last confirmations")
	if err := r.drain(ctx, paid); err != nil {
		return err
	}
	if err := r.mine(ctx, false); err != nil {
		return err
	}
	r.enter("waiting until all nodes are at one tip")
	return r.agree(ctx)
}

// pay sends the payments. A network for people outlives the coins, which were made for
// the file's duration.
func (r *run) pay(ctx context.Context) error {
	err := r.load.run(ctx, r.net.client, time.Now())
	if r.Interactive && errors.Is(err, errOutOfCoins) {
		return r.say("out-of-coins", nil, fmt.Sprintf("All %d coins that were prepared are spent: nobody pays any more.", r.Spec.Coins), nil)
	}
	return err
}

// start mines the prelude, and starts and connects the nodes.
func (r *run) start(ctx context.Context) error {
	if err := r.net.usage.rest(ctx); err != nil {
		return err
	}
	r.enter("mining the first blocks")
	blocks, err := r.load.prelude(ctx, func(done, total uint32) {
		r.enter(fmt.Sprintf("mined %d of the %d first blocks", done, total))
	})
	if err != nil {
		return err
	}
	if err := r.signDoubleSpends(ctx); err != nil {
		return err
	}
	if err := r.net.writePrelude(blocks); err != nil {
		return err
	}
	if err := r.net.start(ctx, r.Progress); err != nil {
		return err
	}
	r.manifest.StartedInS = r.recorder.since(time.Now())
	if err := r.writer.Manifest(r.manifest); err != nil {
		return err
	}
	if r.Ready != nil {
		r.Ready(r.info())
	}
	return r.say("ready", nil, fmt.Sprintf("All %d nodes run and are connected, %.1f s after the start.", len(r.net.seats), r.manifest.StartedInS), nil)
}

// info says where the nodes are.
func (r *run) info() Info {
	info := Info{Dir: r.Dir}
	for _, s := range r.net.seats {
		m, _ := s.current()
		if m == nil {
			continue
		}
		at := m.where()
		n := NodeInfo{Node: s.node + 1, Name: r.Spec.Nodes[s.node].Name, Address: at.Addr, RPC: "http://" + at.RPC, Cookie: at.Cookie, PID: at.PID}
		if at.Pages != "" {
			n.Pages = "http://" + at.Pages
		}
		if at.Metrics != "" {
			n.Metrics = "http://" + at.Metrics + "/metrics"
		}
		info.Nodes = append(info.Nodes, n)
	}
	return info
}

// mine has the miners work, or rest.
func (r *run) mine(ctx context.Context, on bool) error {
	return r.net.each(len(r.net.seats), func(s *seat) error { return s.mine(ctx, on) })
}

// measure is the measured part, with the file's events.
func (r *run) measure(ctx context.Context) error {
	r.from = r.mark(ctx, commandTime)
	r.manifest.MeasuredFromS = r.recorder.since(r.from.at)
	if err := r.writer.Manifest(r.manifest); err != nil {
		return err
	}
	if err := r.say("measuring", nil, "The measured part of the run begins.", nil); err != nil {
		return err
	}
	r.enter("measuring")
	events, end := context.WithCancel(ctx)
	defer end()
	played := make(chan error, 1)
	go func() { played <- r.events(events, ctx, r.from.at) }()
	waited := r.untilMeasured(ctx, played)
	end()
	err := errors.Join(waited, <-played)
	patience := commandTime
	if ctx.Err() != nil {
		patience = hurriedTime
	}
	r.to = r.mark(context.WithoutCancel(ctx), patience)
	r.manifest.MeasuredToS = r.recorder.since(r.to.at)
	return err
}

// untilMeasured waits until the measured part is as long as the file says.
func (r *run) untilMeasured(ctx context.Context, played chan error) error {
	var timeout <-chan time.Time
	if !r.Interactive && r.Spec.Duration > 0 {
		timer := time.NewTimer(time.Until(r.from.at.Add(r.Spec.Duration)))
		defer timer.Stop()
		timeout = timer.C
	}
	for {
		var height uint32
		news := r.recorder.look(func() { height = r.recorder.best().Height })
		if !r.Interactive && r.Spec.Duration == 0 && height >= r.from.height+r.Spec.Blocks {
			return nil
		}
		select {
		case <-news:
		case <-timeout:
			return nil
		case err := <-played:
			played <- nil
			if err != nil {
				return err
			}
			played = nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// wait waits for a time.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// until waits, for so long at most, until something holds, which is looked at whenever
// there is news. The error is that of the context alone.
func (r *run) until(ctx context.Context, patience time.Duration, holds func() bool) error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		news := r.recorder.look(func() {})
		if holds() {
			return nil
		}
		select {
		case <-news:
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// drain waits until all payments were answered and have the confirmations that matter,
// or will have no more in time.
func (r *run) drain(ctx context.Context, paid <-chan struct{}) error {
	if r.Spec.Coins == 0 {
		return nil
	}
	select {
	case <-paid:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	patience := max(drainTime, time.Duration(2*drainBlocks*r.Spec.SpacingS*float64(time.Second)))
	var from, best tipSighting
	r.recorder.look(func() { from = r.recorder.best() })
	var last consensus.Hash
	return r.until(ctx, patience, func() bool {
		r.recorder.look(func() { best = r.recorder.best() })
		if best.Height >= from.Height+drainBlocks {
			return true
		}
		if best.Hash != last && r.learn(ctx, r.net.client, learnTime) == nil {
			last = best.Hash
		}
		return r.ledger.settled()
	})
}

// learn tells the ledger of the best chain. It fails where no node can be asked what is
// in it; each has so much time for its answer, so that one that hangs leaves the next one
// some.
func (r *run) learn(ctx context.Context, nodes clients, patience time.Duration) error {
	var best tipSighting
	var at []int
	r.recorder.look(func() {
		best = r.recorder.best()
		for node, tip := range r.recorder.tips {
			if tip == best {
				at = append(at, node)
			}
		}
	})
	if best.Height <= r.ledger.base {
		return nil // there are no payments in it
	}
	err := fmt.Errorf("no node runs that has block %s", best.Hash)
	for _, node := range at {
		client := nodes(node)
		if client == nil {
			continue
		}
		asking, cancel := context.WithTimeoutCause(ctx, patience, errSilent)
		err = r.ledger.learn(asking, client, best.Hash)
		cancel()
		if err == nil {
			return nil
		}
	}
	return err
}

// agree waits, while nobody mines, until all nodes that run are at one tip, unless a
// partition is between them. Where that takes long they may be at branches of equal work,
// and would stay there: then the fastest miner, which has no rival, finds one more block.
func (r *run) agree(ctx context.Context) error {
	if r.net.parted() {
		return nil
	}
	fastest, share := r.fastest()
	patience := max(agreeTime, time.Duration(agreeBlocks*r.Spec.SpacingS/share*float64(time.Second)))
	deadline := time.Now().Add(patience)
	settle := settleTime + settleReach*reach(r.Spec)
	for {
		if err := r.until(ctx, min(settle, time.Until(deadline)), func() bool { return r.agreed(ctx) }); err != nil {
			return err
		}
		if fastest == nil || r.agreed(ctx) || time.Now().After(deadline) {
			return nil
		}
		if err := r.oneMore(ctx, fastest, time.Until(deadline)); err != nil {
			return err
		}
	}
}

// fastest is the running node that mines at the highest rate, nil where there is none, and
// its share of the hash rate.
func (r *run) fastest() (fastest *seat, share float64) {
	whole, most := 0.0, 0.0
	for _, node := range r.net.running() {
		rate := r.Spec.Nodes[node].HashesPerS
		whole += rate
		if rate > most {
			fastest, most = r.net.seats[node], rate
		}
	}
	if fastest == nil {
		return nil, 1
	}
	return fastest, most / whole
}

// oneMore has one node mine until its tip is another one.
func (r *run) oneMore(ctx context.Context, s *seat, patience time.Duration) error {
	var from tipSighting
	r.recorder.look(func() { from = r.recorder.tips[s.node] })
	if err := s.mine(ctx, true); err != nil {
		return err
	}
	err := r.until(ctx, patience, func() (moved bool) {
		r.recorder.look(func() { moved = r.recorder.tips[s.node] != from })
		return moved
	})
	return errors.Join(err, s.mine(context.WithoutCancel(ctx), false))
}

// agreed reports whether all nodes that run are at one tip.
func (r *run) agreed(ctx context.Context) bool {
	tips := make(map[string]bool)
	r.recorder.look(func() {
		for node, tip := range r.recorder.tips {
			if r.recorder.up[node] {
				tips[tip.Hash.String()] = true
			}
		}
	})
	if len(tips) > 1 {
		return false
	}
	for _, sample := range r.look(ctx) { // the nodes may be ahead of what they have told
		tips[sample.Tip] = true
	}
	return len(tips) <= 1
}
