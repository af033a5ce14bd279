package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// attack is one line of the table: what some peers do to a node, and what must come of
// it beside the criteria of all attacks.
type attack struct {
	number, name string
	apart        bool           // runs in a network of its own
	peers        int            // attackers, of which each has a session with the victim at the start
	crowd        int            // attackers in a long run; 0: as many
	run          func(*assault) // all that they do; returns when the context ends
	check        func(*assault) // after the attack; the attackers are still there
	within       time.Duration  // in which each attacker is shut out; 0: none need be
	cpu          float64        // cores that the victim may use on average; 0: all
	block        time.Duration  // for the slowest block; 0: blockLimit for 95 %
	heap         int64          // bytes by which the live heap may grow; 0: no less than all criteria say
	least        time.Duration  // that it takes, however short the run
	prepare      func(*assault) // before the clock starts, connected
}

// The criteria of all attacks.
const (
	goroutineSlack = 0.10 // of those at the start
	rssLimit       = 256 << 20
	blockLimit     = 2 * time.Second        // for 95 % of the honest blocks to the victim
	paymentLimit   = 5 * time.Second        // for 95 % of the honest payments to the victim
	rpcLimit       = 500 * time.Millisecond // for 99 % of the calls
	recoveryLimit  = 30 * time.Second
	slowBlocks     = 10 * time.Second // between honest blocks, in a long attack
	longRun        = time.Minute      // from which on an attack is long, and what is late is a failure
)

// attackEnv is how long each attack lasts.
const attackEnv = "KAPOK_ATTACK"

// assault is an attack in progress, and what was measured of it.
type assault struct {
	*testing.T
	*attack
	net       *attackNet
	attackers []*attacker
	burden    burden // what an attack adds to the honest load
	ctx       context.Context
	lasts     time.Duration
	hurried   bool // a slice, on a machine that may have other work: what is slow is no failure
	lives     sync.WaitGroup

	began, ended time.Time
	before       condition
	honest       []peerState     // before
	mostHeap     int64           // bytes
	cores        float64         // that the victim used
	rpcs         []float64       // ms that each call took
	out          []time.Duration // in which each attacker was shut out; 0: it was not

	headers atomic.Int64 // that attackers sent
	rounds  atomic.Int64 // what else they did
	mu      sync.Mutex   // of the rest
	notes   []string
	ends    []float64 // s that the victim took to end a stream
	spam    int       // payments that the victim relayed, and no honest node made
}

// notef adds to the line that is printed.
func (a *assault) notef(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.notes = append(a.notes, fmt.Sprintf(format, args...))
}

// TestAttacks is the base set-up of attacks with real hosts: a victim in a process of
// its own, four honest nodes, and peers that mean harm, while honest payments and blocks
// go on. KAPOK_ATTACK=2m is how long each attack lasts.
func TestAttacks(t *testing.T) {
	text := os.Getenv(attackEnv)
	if text == "" {
		t.Skipf("takes a minute or more: %s=2s runs a short slice of each attack", attackEnv)
	}
	lasts, err := time.ParseDuration(text)
	if err != nil || lasts < time.Second || lasts > 10*time.Minute {
		t.Fatalf("%s=%q: want how long each attack lasts, 1s to 10m", attackEnv, text)
	}
	var net *attackNet
	for _, c := range attacks {
		t.Run(strings.ReplaceAll(c.number+" "+c.name, " ", "_"), func(sub *testing.T) {
			address := func(int) string { return "127.0.0.1" }
			if c.apart {
				if os.Getenv(apartEnv) == "" {
					apart(sub)
					return
				}
				address = publicNet(sub)
			}
			if net != nil && (net.fault() != nil || net.spoiled) {
				net.end()
				net = nil
			}
			if net == nil {
				net = startAttackNet(t, sub, address)
			}
			net.spoiled = !assail(sub, net, &c, max(lasts, c.least))
		})
	}
}

// assail runs one attack and judges what came of it. It reports whether the nodes are as
// good as before.
func assail(t *testing.T, n *attackNet, c *attack, lasts time.Duration) bool {
	a := &assault{T: t, attack: c, net: n, lasts: lasts, hurried: lasts < longRun}
	n.t = t
	peers := c.peers
	if lasts >= longRun {
		peers = max(peers, c.crowd)
	}
	for range peers {
		m, err := n.newAttacker()
		n.ok(err)
		defer m.close()
		a.attackers = append(a.attackers, m)
	}
	var err error
	a.honest, err = n.honestPeers()
	n.ok(err)
	a.before, err = n.victim.condition()
	n.ok(errors.Join(err, n.victim.forgetPeak()))
	a.mostHeap = a.before.heap
	ctx, cancel := context.WithCancel(n.life)
	defer cancel()
	a.ctx = ctx
	if c.prepare != nil {
		c.prepare(a)
	}
	var joining sync.WaitGroup
	for _, m := range a.attackers {
		joining.Go(func() {
			if err := m.join(ctx); err != nil {
				t.Errorf("an attacker got no session: %v", err)
			}
		})
	}
	joining.Wait()
	if t.Failed() {
		return false
	}

	if a.burden.every = slowBlocks; lasts < 12*slowBlocks {
		a.burden.every = max(lasts/12, 500*time.Millisecond)
	}
	loading, unload := context.WithCancel(ctx)
	defer unload()
	loaded := make(chan struct{})
	go func() { defer close(loaded); n.load.run(loading, a.burden) }()
	a.began = time.Now()
	cpu := n.victim.cpu()
	a.lives.Go(func() { c.run(a) })
	a.lives.Go(a.callRPC)
	a.lives.Go(a.watchHeap)
	a.out = make([]time.Duration, len(a.attackers))
	if c.within > 0 {
		for i, m := range a.attackers {
			a.lives.Go(func() { a.out[i] = a.awaitOut(m) })
		}
	}
	select {
	case <-time.After(lasts):
	case <-n.victim.dead:
	}
	unload()
	<-loaded
	n.ok(n.fault())
	a.cores = (n.victim.cpu() - cpu).Seconds() / time.Since(a.began).Seconds()
	a.ended = time.Now()
	if err := n.eventually(recoveryLimit, n.load.arrived); err != nil {
		t.Errorf("%v after the attack: %v", recoveryLimit, err)
	}
	if c.check != nil {
		c.check(a)
	}
	cancel()
	a.lives.Wait()
	for _, m := range a.attackers {
		m.close()
	}
	a.judge()
	return !t.Failed()
}

// judge holds what was measured against the criteria, and prints it.
func (a *assault) judge() {
	n, before := a.net, a.before
	peak, err := n.victim.memory("VmHWM")
	n.ok(err)
	var after condition
	if err := n.eventually(recoveryLimit, func() (err error) {
		if after, err = n.victim.condition(); err == nil && float64(after.goroutines) > float64(before.goroutines)*(1+goroutineSlack) {
			err = fmt.Errorf("%d goroutines, %d before", after.goroutines, before.goroutines)
		}
		return err
	}); err != nil {
		a.Errorf("(a) %v after the attack: %v", recoveryLimit, err)
	}
	if a.cpu > 0 && a.cores > a.cpu {
		a.Errorf("the victim used %.2f cores", a.cores)
	}
	if peak-before.rss > rssLimit {
		a.Errorf("(b) %d MB of memory, %d MB before", peak>>20, before.rss>>20)
	}
	if a.heap > 0 && a.mostHeap-before.heap > a.heap {
		a.Errorf("the live heap grew by %d kB, more than %d kB", (a.mostHeap-before.heap)>>10, a.heap>>10)
	}
	got := n.load.result()
	if got.err != nil {
		a.Error(got.err)
	}
	blocks, payments, rpcs := sortedCopy(got.blocks), sortedCopy(got.payments), sortedCopy(a.rpcs)
	p95 := func(s []float64) float64 { return percentile(s, 0.95) }
	late := p95(blocks) > ms(blockLimit)
	if a.block > 0 {
		late = percentile(blocks, 1) > ms(a.block)
	}
	if got.missed > 0 || len(blocks) == 0 || late && !a.hurried {
		a.Errorf("(c) of %d blocks %d did not arrive; 95 %% after %.0f ms, all after %.0f", len(blocks), got.missed, p95(blocks), percentile(blocks, 1))
	}
	if got.lost > 0 || len(payments) == 0 || p95(payments) > ms(paymentLimit) && !a.hurried {
		a.Errorf("(d) of %d payments %d did not arrive; 95 %% after %.0f ms", len(payments), got.lost, p95(payments))
	}
	if got.waited > 0 {
		a.Errorf("%d honest payments were not in the next block", got.waited)
	}
	if p := percentile(rpcs, 0.99); len(rpcs) == 0 || p > ms(rpcLimit) && !a.hurried {
		a.Errorf("(e) of %d RPC calls 99 %% took %.0f ms", len(rpcs), p)
	}
	a.sameHonestPeers() // (f)
	shut := ""
	if a.within > 0 {
		for i, d := range a.out {
			if d == 0 || d > a.within {
				a.Errorf("(f) attacker %d was not shut out within %v (%v)", i, a.within, d)
			}
		}
		shut = fmt.Sprintf(", shut out after %.2f s", slices.Max(a.out).Seconds())
	}
	if err := n.eventually(recoveryLimit, n.agree); err != nil {
		a.Errorf("(g) %v", err)
	}
	a.Logf("attack %s, %v: block p95 %.0f max %.0f ms of %d, payment p95 %.0f ms of %d (all nodes %.0f), RPC p99 %.0f ms, CPU %.2f cores, RSS %d+%d MB, live heap %+d kB (after it %+d), goroutines %d→%d, fds %d→%d%s, recovered in %.1f s%s",
		a.number, a.lasts, p95(blocks), percentile(blocks, 1), len(blocks), p95(payments), len(payments), got.slowest,
		percentile(rpcs, 0.99), a.cores, before.rss>>20, (peak-before.rss)>>20, (a.mostHeap-before.heap)>>10, (after.heap-before.heap)>>10,
		before.goroutines, after.goroutines, before.files, after.files, shut,
		time.Since(a.ended).Seconds(), strings.Join(append([]string{""}, a.notes...), "; "))
}

// sameHonestPeers checks that no honest peer was disconnected, or blamed.
func (a *assault) sameHonestPeers() {
	now, err := a.net.honestPeers()
	if err != nil {
		a.Errorf("(f) %v", err)
		return
	}
	for i := range now {
		if now[i].Number != a.honest[i].Number {
			a.Errorf("(f) honest node %d was disconnected", i)
		}
		if now[i].Score > 0 {
			a.Errorf("(f) honest node %d is blamed: %v points", i, now[i].Score)
		}
	}
}

// awaitOut waits until an attacker is shut out, and returns how long that took; 0: it
// is not.
func (a *assault) awaitOut(m *attacker) time.Duration {
	for a.ctx.Err() == nil {
		m.mu.Lock()
		out := m.out
		m.mu.Unlock()
		if !out.IsZero() {
			return max(out.Sub(a.began), time.Millisecond)
		}
		if time.Since(a.began) > 300*time.Millisecond {
			m.shutOut()
		}
		time.Sleep(50 * time.Millisecond)
	}
	return 0
}

// callRPC calls the victim until the attack ends.
func (a *assault) callRPC() {
	for i := 0; a.ctx.Err() == nil; i++ {
		method := []string{"getblockchaininfo", "getpeerinfo", "getmempoolinfo"}[i%3]
		began := time.Now()
		if err := a.net.victim.client.Call(a.net.life, method, nil); err != nil {
			a.Errorf("(e) %s: %v", method, err)
			return
		}
		a.rpcs = append(a.rpcs, ms(time.Since(began)))
		time.Sleep(50 * time.Millisecond)
	}
}

// watchHeap notes the most that the live heap is.
func (a *assault) watchHeap() {
	for a.ctx.Err() == nil {
		_, heap, err := a.net.victim.look()
		if err != nil {
			return // the end of the process is found elsewhere
		}
		a.mostHeap = max(a.mostHeap, heap)
		select {
		case <-a.ctx.Done():
		case <-time.After(max(500*time.Millisecond, a.lasts/60)):
		}
	}
}
