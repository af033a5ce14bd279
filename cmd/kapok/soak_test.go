package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/consensus"
)

// soakEnv says for how long TestSoak measures 24 nodes:
//
//	KAPOK_SOAK=10m go test ./cmd/kapok -run Soak -v -timeout 30m
//
// Otherwise it is six nodes for ten seconds.
const soakEnv = "KAPOK_SOAK"

// soakSize is what is measured, for how long, and what is let pass.
type soakSize struct {
	nodes   int
	rate    float64 // payments a second
	spacing int64   // seconds
	// warmUp is longer than gossip remembers: two minutes, and one more until it looks for
	// what it may forget. Before that its memory fills, by 20 MB.
	warmUp time.Duration
	period time.Duration // from the end of a sample to the next one: it collects garbage, and the nodes wait
	length time.Duration
	// share of the level by which a quantity may rise in a minute, beyond what the chain
	// takes: where caches have only begun to fill, more.
	goroutines, heap float64
}

// soakCoinCache is small, so that it is flushed to disk every few seconds: the caches of all
// nodes fill at one pace, and what they take together would go up and down for minutes.
const soakCoinCache = 128 << 10

func soakSizeOf(t *testing.T) soakSize {
	text := os.Getenv(soakEnv)
	if text == "" {
		return soakSize{nodes: 6, rate: 20, spacing: 1, warmUp: 3 * time.Second, period: 500 * time.Millisecond, length: 10 * time.Second, goroutines: 0.5, heap: 2}
	}
	length, err := time.ParseDuration(text)
	if err != nil || length < time.Minute || length > 24*time.Hour {
		t.Fatalf("%s is %q, want a time from 1m to 24h", soakEnv, text)
	}
	return soakSize{nodes: 24, rate: 20, spacing: 2, warmUp: 4 * time.Minute, period: max(5*time.Second, length/30), length: length, goroutines: 0.001, heap: 0.0025}
}

// TestSoak: real nodes in one process, each with its store, its host, eight of the
// others dialed over TCP, an RPC server and a log; a miner; and payments of real
// wallets over RPC all the time. Passed where neither goroutines nor open files nor the
// heap, after a garbage collection, grow: where the slope of a line through them, less
// its 95 % interval and what the headers of the new blocks take, is no more than a small
// share of the level in a minute; and where every payment that was taken is in the chain
// at the end, all nodes are at one tip with equal coins, no connection was lost, and all
// is given back when the nodes stop.
func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("half a minute")
	}
	size := soakSizeOf(t)
	header := headerCost(t) // while nothing else is at work
	before := runtime.NumGoroutine()
	s := startSoak(t, size)
	t.Logf("%d nodes; %d payments prepared after %.0f s", size.nodes, s.coins, time.Since(s.began).Seconds())
	s.pass(size.warmUp)
	peers := s.connections()
	s.profile("heap-begin")
	s.measure(size)
	s.profile("heap-end")
	s.drain()
	s.judge(size, header)
	s.agree()
	if now := s.connections(); !slices.Equal(now, peers) {
		t.Errorf("the connections were %v, and are %v", peers, now)
	}
	s.stop()
	patience := time.Now().Add(10 * time.Second) // for connections of HTTP clients that idle
	for runtime.NumGoroutine() > before && time.Now().Before(patience) {
		time.Sleep(20 * time.Millisecond)
	}
	if n := runtime.NumGoroutine(); n > before {
		s.profile("goroutine")
		t.Errorf("%d goroutines, %d before the nodes started", n, before)
	}
}

// soak is the nodes at work, and what was seen of them.
type soak struct {
	t      *testing.T
	ctx    context.Context
	cancel context.CancelFunc
	plan   *plan
	fleet  *fleet
	load   *load
	coins  int // prepared
	began  time.Time
	from   uint32 // no payment is in a block up to this height

	tips     []uint32 // heights, by node
	halfway  map[consensus.Hash]*halfway
	accepted map[consensus.Hash]struct{} // payments that a node took
	delays   []float64                   // seconds from the first mempool to the last
	refused  []error
	samples  []soakSample
}

// halfway is a payment that is not in all mempools yet.
type halfway struct {
	nodes uint64 // a bit for each that has it
	first time.Time
}

// startSoak brings the nodes to where payments are under way.
func startSoak(t *testing.T, size soakSize) *soak {
	t.Helper()
	params := *consensus.Dev() // at a difficulty that leaves the processor to the nodes
	params.Name, params.GenesisNonce, params.StartBits, params.Spacing = "soak", 0, 0x1f00ffff, size.spacing
	hashes := float64(1 << 16)
	soakOK(t, params.Init())
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
	p, err := newPlan(size.nodes, t.TempDir(), "127.0.0.1:0", hashes/float64(size.spacing), log)
	soakOK(t, err)
	p.params, p.text, p.dials, p.coinCache = &params, "/kapok soak/", 8, soakCoinCache
	s := &soak{t: t, plan: p, began: time.Now(), tips: make([]uint32, size.nodes), halfway: make(map[consensus.Hash]*halfway)}
	s.ctx, s.cancel = context.WithCancel(t.Context())
	s.fleet, err = startInProcess(s.ctx, p)
	t.Cleanup(s.stop) // a second time does nothing
	soakOK(t, err)

	fans := 1 + int(size.rate*(size.warmUp+size.length+20*time.Second).Seconds())/coinsPerFan
	s.until(3*time.Minute, "coins to mature", func() bool { return s.lowest() >= params.Maturity+uint32(fans)-1 })
	purses, err := fanOut(s.ctx, p, s.fleet.nodes[0].client, fans)
	soakOK(t, err)
	s.until(2*time.Minute, "the coins in blocks", s.confirmed)
	s.from = s.lowest()
	s.until(time.Minute, "all nodes there", func() bool { return s.lowest() > s.from })
	for _, purse := range purses {
		s.coins += len(purse.coins)
	}
	clear(s.halfway)
	s.accepted, s.delays = make(map[consensus.Hash]struct{}, s.coins), make([]float64, 0, s.coins)
	s.load = startLoad(s.ctx, p, s.fleet, purses, &poisson{rate: size.rate, random: mathrand.New(mathrand.NewPCG(6, 0))})
	return s
}

// stop ends the nodes, and waits until they have.
func (s *soak) stop() {
	s.cancel()
	if s.fleet == nil {
		return
	}
	if s.load != nil {
		s.load.wait()
	}
	soakOK(s.t, s.fleet.wait())
	for _, m := range s.fleet.nodes {
		m.client.Close()
	}
	s.fleet = nil
}

func soakOK(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// next takes in what happens, until the channel says that it is time, or for a second.
func (s *soak) next(at <-chan time.Time) (due bool) {
	s.t.Helper()
	select {
	case <-at:
		return true
	case o := <-s.load.outcomes():
		if o.err != nil {
			s.refused = append(s.refused, o.err)
			return false
		}
		txid, err := consensus.ParseHash(o.txid)
		soakOK(s.t, err)
		s.accepted[txid] = struct{}{}
	case seen := <-s.fleet.seen:
		i := seen.node - 1
		switch e := seen.event; {
		case e == nil:
			s.t.Fatalf("node %d: %v", seen.node, seen.err)
		case e.Tip != nil:
			s.tips[i] = e.Tip.Height
		case e.Tx != nil:
			txid, err := consensus.ParseHash(e.Tx.TxID)
			soakOK(s.t, err)
			s.note(txid, i, e.Time())
		}
	}
	return false
}

// note writes down that a payment is in a node's mempool.
func (s *soak) note(txid consensus.Hash, node int, at time.Time) {
	h := s.halfway[txid]
	if h == nil {
		h = &halfway{first: at}
		s.halfway[txid] = h
	}
	h.nodes |= 1 << node
	if h.nodes == 1<<len(s.tips)-1 {
		s.delays = append(s.delays, at.Sub(h.first).Seconds())
		delete(s.halfway, txid)
	}
}

// pass takes in what happens for a time.
func (s *soak) pass(d time.Duration) {
	for timer := time.After(d); !s.next(timer); {
	}
}

// until takes in what happens until the condition, looked at once in a while, holds.
func (s *soak) until(d time.Duration, what string, done func() bool) {
	s.t.Helper()
	patience := time.Now().Add(d)
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		if s.next(ticker.C) {
			switch {
			case done():
				return
			case time.Now().After(patience):
				s.t.Fatalf("not within %v: %s; heights are %v", d, what, s.tips)
			}
		}
	}
}

// lowest is the height that every node has reached.
func (s *soak) lowest() uint32 { return slices.Min(s.tips) }

// confirmed reports whether nothing waits in any mempool.
func (s *soak) confirmed() bool {
	var pool struct{ Size int }
	for i := range s.fleet.nodes {
		s.call(i, "getmempoolinfo", &pool)
		if pool.Size > 0 {
			return false
		}
	}
	return true
}

func (s *soak) call(node int, method string, result any, params ...any) {
	s.t.Helper()
	if err := s.fleet.nodes[node].client.Call(s.ctx, method, result, params...); err != nil {
		s.t.Fatalf("node %d: %s: %v", node+1, method, err)
	}
}

// connections are all connections of all nodes: node and the number that it counts
// connections by. A peer that is blamed is an error.
func (s *soak) connections() (list []string) {
	for i := range s.fleet.nodes {
		var peers []struct {
			ID    int64
			Score float64
		}
		s.call(i, "getpeerinfo", &peers)
		for _, p := range peers {
			list = append(list, fmt.Sprint(i+1, "/", p.ID))
			if p.Score != 0 {
				s.t.Errorf("node %d counts %g points against its peer %d", i+1, p.Score, p.ID)
			}
		}
	}
	slices.Sort(list)
	return list
}

// drain ends the payments and waits until all of them are confirmed.
func (s *soak) drain() {
	s.load.stopAfter(time.Now())
	s.until(5*time.Minute, "the last answers", s.load.ended)
	soakOK(s.t, s.load.wait())
	s.until(5*time.Minute, "the last payments in blocks", s.confirmed)
	tip := slices.Max(s.tips)
	s.until(time.Minute, "all nodes there", func() bool { return s.lowest() >= tip })
}

// agree makes sure that all nodes have one tip and the same coins, and every payment
// that was taken.
func (s *soak) agree() {
	type coins struct {
		Height int    `json:"height"`
		Block  string `json:"bestblock"`
		Sum    string `json:"coin_sum"`
	}
	var all []coins
	s.until(time.Minute, "one tip and one sum of coins", func() bool {
		all = make([]coins, len(s.fleet.nodes))
		for i := range all {
			s.call(i, "gettxoutsetinfo", &all[i])
		}
		return len(slices.Compact(slices.Clone(all))) == 1
	})
	left := len(s.accepted)
	for hash := all[0].Block; ; {
		var block struct {
			Height   uint32   `json:"height"`
			Previous string   `json:"previousblockhash"`
			TxIDs    []string `json:"tx"`
		}
		s.call(0, "getblock", &block, hash, 1)
		if block.Height <= s.from {
			break
		}
		for _, text := range block.TxIDs {
			txid, err := consensus.ParseHash(text)
			soakOK(s.t, err)
			if _, ours := s.accepted[txid]; ours {
				left--
			}
		}
		hash = block.Previous
	}
	if left != 0 || len(s.refused) > 0 {
		s.t.Errorf("%d payments are lost, %d were refused: %v", left, len(s.refused), slices.Compact(s.refused))
	}
	direct := len(s.delays) // the others were confirmed before they came
	slices.Sort(s.delays)
	s.t.Logf("%d payments taken, %d of them in every mempool after %.3f s (median), %.3f s (p99), %.3f s at the most; all in the chain; one tip at height %d, one sum of coins",
		len(s.accepted), direct, percentile(s.delays, 0.5), percentile(s.delays, 0.99), percentile(s.delays, 1), all[0].Height)
}

// profile writes a profile of this moment, for whoever looks for a leak (-artifacts).
func (s *soak) profile(name string) {
	f, err := os.Create(filepath.Join(s.t.ArtifactDir(), name+".pprof"))
	soakOK(s.t, err)
	kind, _, _ := strings.Cut(name, "-")
	soakOK(s.t, cmp.Or(pprof.Lookup(kind).WriteTo(f, 0), f.Close()))
}

// measure takes samples.
func (s *soak) measure(size soakSize) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	begin, told := time.Now(), 0
	for time.Since(begin) < size.length {
		if s.next(timer.C) {
			x := takeSoakSample()
			x.minutes, x.blocks = time.Since(begin).Minutes(), float64(s.lowest())
			s.samples = append(s.samples, x)
			timer.Reset(size.period)
			if minute := int(x.minutes); minute > told {
				told = minute
				s.t.Logf("%3d min: %.0f goroutines, %.0f files and %.0f tables, heap %.1f MB and %.1f MB of database buffers, resident %.1f + %.1f MB, height %.0f, %d payments", minute,
					x.goroutines, x.files, x.tables, x.heap/1e6, x.buffers/1e6, x.anonymous/1e6, x.mapped/1e6, x.blocks, len(s.accepted))
			}
		}
	}
}

// judge draws the lines.
func (s *soak) judge(size soakSize, header float64) {
	line := func(value func(*soakSample) float64) trend {
		var minutes, values []float64
		for i := range s.samples {
			minutes, values = append(minutes, s.samples[i].minutes), append(values, value(&s.samples[i]))
		}
		return fitTrend(minutes, values)
	}
	if got := line(func(x *soakSample) float64 { return x.buffers }); got.level < float64(size.nodes<<20) {
		s.t.Errorf("the buffers of %d databases are %v bytes: they have other names in the profile now", size.nodes, got)
	}
	blocks := line(func(x *soakSample) float64 { return x.blocks })
	chain := blocks.perMinute * float64(size.nodes) * header
	s.t.Logf("%d samples in %v after %v of warm-up; %.1f blocks a minute, each %.0f bytes in each node: %.3f MB a minute", len(s.samples), size.length, size.warmUp, blocks.perMinute, header, chain/1e6)
	for _, q := range []struct {
		name           string
		value          func(*soakSample) float64
		allowed, share float64
	}{
		{"goroutines", func(x *soakSample) float64 { return x.goroutines }, 0, size.goroutines},
		{"open files", func(x *soakSample) float64 { return x.files }, 0, size.goroutines},
		{"tables", func(x *soakSample) float64 { return x.tables }, 0, math.Inf(1)},
		{"heap, bytes", func(x *soakSample) float64 { return x.heap }, chain, size.heap},
		{"database buffers", func(x *soakSample) float64 { return x.buffers }, 0, math.Inf(1)},
		{"resident, bytes", func(x *soakSample) float64 { return x.anonymous }, 0, math.Inf(1)},
		{"mapped files, bytes", func(x *soakSample) float64 { return x.mapped }, 0, math.Inf(1)},
	} {
		got := line(q.value)
		s.t.Logf("%-20s %v", q.name, got)
		if got.rises(q.allowed, q.share) {
			s.t.Errorf("%s grow: %v, of which %.4g a minute are the chain's", q.name, got, q.allowed)
		}
	}
}
