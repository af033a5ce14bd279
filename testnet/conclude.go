package testnet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kapok-chain/kapok/rpc"
	"github.com/kapok-chain/kapok/testnet/record"
	"github.com/kapok-chain/kapok/testnet/stats"
)

// running lists the nodes that are up, counted from 0.
func (n *network) running() (nodes []int) {
	for _, s := range n.seats {
		if m, _ := s.current(); m != nil {
			nodes = append(nodes, s.node)
		}
	}
	return nodes
}

// conclude notes how the network ends, as far as the nodes say so in time: what they
// stand at, what became of the payments, and what the measured part has cost. Each of
// these steps has its own patience, and a node that does not answer the first one is left
// out of the others: it takes no time of theirs.
func (r *run) conclude(ctx context.Context, patience time.Duration) {
	within := func(step func(context.Context) error) error {
		ctx, cancel := context.WithTimeoutCause(ctx, patience, errSilent)
		defer cancel()
		return step(ctx)
	}
	mute := r.rest(ctx, patience)
	talking := func(node int) *rpc.Client {
		if mute[node] != nil {
			return nil
		}
		return r.net.client(node)
	}
	// The nodes' payments first: what a block takes in between is in the best chain then.
	err := cmp.Or(mute...) // what such a node has of them nobody knows
	if err == nil {
		err = within(func(ctx context.Context) error { return r.ledger.look(ctx, talking) })
	}
	err = errors.Join(err, within(func(ctx context.Context) error { return r.learn(ctx, talking, learnTime) }))
	if err != nil && r.Spec.Coins > 0 {
		r.manifest.PaymentsUnknown = strings.ReplaceAll(err.Error(), "\n", "; ")
		r.Log.Warn("what became of the payments is not known", "err", err)
	}
	r.net.usage.look()
	if r.from.at.IsZero() {
		return // it did not come to the measured part
	}
	if r.to.at.IsZero() {
		r.to = r.mark(ctx, patience)
		r.manifest.MeasuredToS = r.recorder.since(r.to.at)
	}
	end := r.cost()
	end.Nodes = r.ends(ctx, patience, mute)
	end.PeakRSSBytes = r.net.usage.peakBytes()
	r.manifest.End = end
}

// rest has the miners rest, and returns by node which of them did not answer, and why: nil
// for one that did, and for one that has ended, or ends just now.
func (r *run) rest(ctx context.Context, patience time.Duration) (mute []error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errSilent)
	defer cancel()
	mute = make([]error, len(r.net.seats))
	_ = r.net.each(len(mute), func(s *seat) error {
		mute[s.node] = s.mine(ctx, false)
		return nil
	})
	return mute
}

// ends asks the nodes that run what they stand at, but for those that are mute.
func (r *run) ends(ctx context.Context, patience time.Duration, mute []error) []record.NodeEnd {
	var mu sync.Mutex
	ends := make(map[int]record.NodeEnd)
	_ = r.net.each(len(r.net.seats), func(s *seat) error {
		if mute[s.node] != nil {
			return nil
		}
		got, err := s.get(ctx, &command{Op: opState}, patience)
		if err != nil || got.State == nil {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		ends[s.node] = record.NodeEnd{Node: s.node + 1, Height: got.State.Height, Tip: got.State.Tip.String(), CoinSum: got.State.CoinSum}
		return nil
	})
	var list []record.NodeEnd
	for node := range r.net.seats {
		if e, ok := ends[node]; ok {
			list = append(list, e)
		}
	}
	return list
}

// cost is what the measured part has cost.
func (r *run) cost() *record.End {
	end := &record.End{Joules: max(0, r.to.joules-r.from.joules), EnergyMethod: r.to.method, Measured: r.to.direct}
	for node := range r.net.seats {
		hashes, due := r.to.hashes[node]-r.from.hashes[node], r.to.due[node]-r.from.due[node]
		end.Hashes += hashes
		end.HashesDue += due
		if due > 0 {
			end.WorstLag = max(end.WorstLag, 1-hashes/due)
		}
	}
	end.LoadLate = latenessOf(r.ledger.lateness(r.from.at, r.to.at))
	var late []time.Duration
	for _, l := range r.looks {
		if !l.due.Before(r.from.at) && l.due.Before(r.to.at) {
			late = append(late, l.by)
		}
	}
	end.LookLate = latenessOf(late)
	return end
}

// lateLook is a look at the nodes, and how late it was.
type lateLook struct {
	due time.Time
	by  time.Duration
}

// latenessOf sums up how late something was each time; nil where it never was due.
func latenessOf(late []time.Duration) *record.Lateness {
	if len(late) == 0 {
		return nil
	}
	seconds := make([]float64, len(late))
	for i, by := range late {
		seconds[i] = by.Seconds()
	}
	slices.Sort(seconds)
	return &record.Lateness{P50S: stats.Quantile(seconds, 0.5), P99S: stats.Quantile(seconds, 0.99), MaxS: seconds[len(seconds)-1]}
}

const (
	// sampleEvery is how often the nodes are looked at, while there is room for all
	// samples: maxSampled rows at most, for record.Open reads no more.
	sampleEvery = time.Second
	maxSampled  = 3_000_000
	// tablesEvery is how often the tables are written at most, and tablesShare of the time
	// may go into that.
	tablesEvery = 5 * time.Second
	tablesShare = 50
)

// sample looks at all nodes from time to time, and writes down how they are, and by how
// much the timer was late. A look that takes so long that others are due meanwhile stands
// for these, too: a node that answers slowly says nothing of the machine.
func (r *run) sample(ctx context.Context) error {
	every, rows, room := sampleEvery, 0, maxSampled/2
	due := time.Now().Add(every)
	timer := time.NewTimer(every)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		r.looks = append(r.looks, lateLook{due, time.Since(due)})
		samples := r.look(ctx)
		if err := r.writer.Samples(samples); err != nil {
			return err
		}
		if rows += len(samples); rows > room { // half as often, in half of what is left
			every, rows, room = 2*every, 0, room/2
		}
		for now := time.Now(); !due.After(now); {
			due = due.Add(every)
		}
		timer.Reset(time.Until(due))
		r.show(samples)
	}
}

// show says how far the run is.
func (r *run) show(samples []record.Sample) {
	height := uint32(0)
	for _, s := range samples {
		height = max(height, s.Height)
	}
	r.Progress(fmt.Sprintf("%s · height %d · %d of %d nodes run", *r.stage.Load(), height, len(samples), len(r.net.seats)))
}

// keepTables writes the tables from time to time. The looks at the nodes do not wait for
// that: a node may take long to say what is in a block.
func (r *run) keepTables(ctx context.Context) error {
	timer := time.NewTimer(tablesEvery)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		_ = r.learn(ctx, r.net.client, learnTime) // it is tried again in a few seconds
		began := time.Now()                       // of the work: a node that answers late is none
		if err := r.tables(); err != nil {
			return err
		}
		timer.Reset(max(tablesEvery, tablesShare*time.Since(began)))
	}
}

// tables writes down the blocks and payments until now.
func (r *run) tables() error {
	if err := r.recorder.fault(); err != nil {
		return err
	}
	return r.writer.Tables(r.recorder.rows(), r.ledger.rows())
}

// look looks at all nodes.
func (r *run) look(ctx context.Context) []record.Sample {
	at := time.Now()
	found := make([]*record.Sample, len(r.net.seats))
	sums := make([]float64, len(r.net.seats))
	_ = r.net.each(len(r.net.seats), func(s *seat) error {
		p, up := s.probe(ctx)
		sums[s.node] = p.Hashes
		if up {
			found[s.node] = &record.Sample{
				TimeS: r.recorder.since(at), Node: s.node + 1, Height: p.Height, Tip: p.Tip.String(),
				MempoolTxs: p.MempoolTxs, MempoolBytes: p.MempoolBytes, Peers: p.Peers, Hashes: p.Hashes, HashesDue: p.HashesDue,
			}
		}
		return nil
	})
	hashes := 0.0
	var samples []record.Sample
	for node, s := range found {
		hashes += sums[node]
		if s != nil {
			samples = append(samples, *s)
		}
	}
	r.net.usage.look()
	r.net.usage.energy(hashes) // so that little is missed of processes that end
	return samples
}
