package host

import (
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kapok-chain/kapok/p2p"
)

// star is a network of real lanes in virtual time: node 0, whose uplink has a limit, is
// connected with each of the others, which it dialed or, the last one, was dialed by. near
// are its ends, far those of the others.
func star(t *testing.T, n int, rate int64, link Link, test func(m *Matrix, near, far []net.Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m, err := UniformMatrix(n, link)
		if err != nil {
			t.Fatal(err)
		}
		rates := make([]int64, n)
		rates[0] = rate
		if err := m.Uplinks(rates); err != nil {
			t.Fatal(err)
		}
		near, far := make([]net.Conn, n), make([]net.Conn, n)
		for i := 1; i < n; i++ {
			if i == n-1 {
				var below net.Conn
				far[i], below = joined(m, i, 0)
				out, in := m.accept(0)
				near[i] = newShaped(pipeEnd{below}, m, out, in)
			} else {
				near[i], far[i] = joined(m, 0, i)
			}
		}
		test(m, near, far)
		for i := 1; i < n; i++ {
			_ = near[i].Close()
			_ = far[i].Close()
		}
	})
}

// TestUplinkShared: all that leaves a node shares its rate, whoever dialed, about evenly:
// turns are of parcels, and not all of these are full. What comes to the node has nothing
// to do with that.
func TestUplinkShared(t *testing.T) {
	const rate, delay, size = 100_000, 20 * time.Millisecond, 200_000
	star(t, 5, rate, Link{Delay: delay}, func(m *Matrix, near, far []net.Conn) {
		for round := range 2 {
			begin := time.Now()
			var took []<-chan time.Duration
			for i := 1; i < 5; i++ {
				took = append(took, arrived(t, far[i], size, begin))
				go func() { mustWrite(t, near[i], make([]byte, size)) }()
			}
			var last time.Duration
			const all = 4 * size * time.Second / rate
			for i, took := range took {
				took := <-took
				if took < all*85/100 {
					t.Errorf("round %d: node %d had all after %v, of %v for everybody", round, i+1, took, all)
				}
				last = max(last, took)
			}
			if last != all+delay {
				t.Errorf("round %d: %d bytes took %v, expected %v", round, 4*size, last, all+delay)
			}
			time.Sleep(time.Second) // an idle line saves nothing up
		}
		begin := time.Now()
		in := arrived(t, near[1], size, begin)
		mustWrite(t, far[1], make([]byte, size))
		if took := <-in; took != delay {
			t.Errorf("what came to the node took %v", took)
		}
	})
}

// TestUplinkTurns: a few bytes to one node do not wait for the many to another, but for
// what is leaving and for the other's next turn.
func TestUplinkTurns(t *testing.T) {
	const rate, size = 100_000, 1_000_000
	star(t, 4, rate, Link{}, func(m *Matrix, near, far []net.Conn) {
		begin := time.Now()
		large := arrived(t, far[1], size, begin)
		mustWrite(t, near[1], make([]byte, size))
		time.Sleep(time.Second)
		for i := 2; i < 4; i++ {
			small := arrived(t, far[i], 100, time.Now())
			mustWrite(t, near[i], make([]byte, 100))
			if took := <-small; took > (2*maxTurn+100)*time.Second/rate {
				t.Errorf("100 bytes to node %d took %v", i, took)
			}
		}
		if took := <-large; took != (size+200)*time.Second/rate {
			t.Errorf("the large write took %v", took)
		}
	})
}

// TestUplinkUnread: when what leaves does not depend on when it is looked at.
func TestUplinkUnread(t *testing.T) {
	const rate = 100_000
	star(t, 3, rate, Link{}, func(m *Matrix, near, far []net.Conn) {
		mustWrite(t, near[2], make([]byte, 3*maxTurn)) // to the end that dialed, of which nobody reads yet
		time.Sleep(10 * time.Second)
		mustWrite(t, near[2], make([]byte, maxTurn))
		took := arrived(t, far[2], 4*maxTurn, time.Now())
		if took, want := <-took, lineTime(maxTurn, rate); took != want {
			t.Errorf("the last bytes took %v, expected %v", took, want)
		}
	})
}

// TestUplinkBandwidth: a link that is slower than its node's uplink keeps its own rate, and
// others have what it leaves.
func TestUplinkBandwidth(t *testing.T) {
	star(t, 3, 1_000_000, Link{Bandwidth: 100_000}, func(m *Matrix, near, far []net.Conn) {
		begin := time.Now()
		var took []<-chan time.Duration
		for i := 1; i < 3; i++ {
			took = append(took, arrived(t, far[i], 100_000, begin))
			mustWrite(t, near[i], make([]byte, 100_000))
		}
		for i, took := range took {
			if took := <-took; took < time.Second || took > time.Second+3*maxTurn*time.Second/1_000_000 {
				t.Errorf("node %d: %v", i+1, took)
			}
		}
	})
}

// TestUplinkWithoutLinks: what is held by a partition, or was closed, takes no turn.
func TestUplinkWithoutLinks(t *testing.T) {
	const rate, size = 100_000, 100_000
	star(t, 4, rate, Link{}, func(m *Matrix, near, far []net.Conn) {
		for i := 1; i < 4; i++ {
			mustWrite(t, near[i], make([]byte, size))
		}
		begin := time.Now()
		cut, other := arrived(t, far[1], size, begin), arrived(t, far[3], size, begin)
		mustPart(t, m, []int{1})
		_ = near[2].Close()
		if took := <-other; took < size*time.Second/rate || took > (size+3*maxTurn)*time.Second/rate {
			t.Errorf("the only one that is left took %v", took)
		}
		time.Sleep(time.Hour)
		healed := time.Since(begin)
		m.Heal()
		if took := <-cut - healed; took != size*time.Second/rate {
			t.Errorf("what was held took %v", took)
		}
	})
}

// TestUplinkOfHosts: over real connections a node's uplink holds for what it sends to who
// dialed it, too, though every process has a matrix of its own.
func TestUplinkOfHosts(t *testing.T) {
	const rate, size = 400_000, 80_000
	var hosts []*node
	var all []*Matrix
	for i := range 2 {
		m, err := UniformMatrix(2, Link{})
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Uplinks([]int64{0, rate}); err != nil {
			t.Fatal(err)
		}
		c := lean()
		c.Shape = &Shape{Matrix: m, Node: i}
		hosts, all = append(hosts, start(t, c)), append(all, m)
	}
	a, b := hosts[0], hosts[1]
	place(t, all[0], 1, b)
	a.connect(t, b)
	b.waitFor(t, "connected", a.ID(), 1)
	for _, way := range []struct {
		from, to *node
		least    time.Duration
	}{{a, b, 0}, {b, a, size * time.Second / rate}} {
		began := time.Now()
		way.from.Send(p2p.Outgoing{To: way.to.ID(), Msg: payment(1, size)})
		way.to.waitFor(t, "message", way.from.ID(), 1)
		if took := time.Since(began); took < way.least {
			t.Errorf("%d bytes at %d a second took %v", size, rate, took)
		}
	}
}

func TestUplinksRefused(t *testing.T) {
	m, err := UniformMatrix(2, Link{})
	if err != nil {
		t.Fatal(err)
	}
	for _, rates := range [][]int64{nil, {1}, {1, 1, 1}, {0, -1}} {
		if err := m.Uplinks(rates); err == nil {
			t.Errorf("uplinks %v are taken", rates)
		}
	}
}
