package peers

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestHonestPeersStay: strangers arrive by the hundred, nearer, busier and first
// with every block, but from a few net groups and later than the honest peers;
// none of these has to leave.
func TestHonestPeersStay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rng := testRand(rapid.Uint64().Draw(t, "seed"))
		slots := rapid.IntRange(60, 120).Draw(t, "slots")
		honest := rapid.IntRange(1, 20).Draw(t, "honest") // the oldest half is out of reach
		groups := rapid.IntRange(1, 10).Draw(t, "groups")
		secret := rng.Uint64()
		var in []Candidate
		for i := range honest {
			in = append(in, Candidate{ID: fmt.Sprint("honest", i), IP: v4(100+i, 1).Addr(), Since: start.Add(time.Duration(i) * time.Second), MinPing: 100 * time.Millisecond})
		}
		for n := range slots + 40 {
			now := start.Add(time.Duration(n+honest) * time.Second)
			if len(in) >= slots {
				id, ok := Evict(in, secret)
				if !ok {
					t.Fatalf("nobody of %d leaves", len(in))
				}
				if strings.HasPrefix(id, "honest") {
					t.Fatalf("%s leaves after %d arrivals", id, n)
				}
				for i, c := range in {
					if c.ID == id {
						in = append(in[:i], in[i+1:]...)
						break
					}
				}
			}
			in = append(in, Candidate{
				ID: fmt.Sprint("sybil", n), IP: v4(rng.IntN(groups), n).Addr(), Since: now, MinPing: time.Millisecond, LastTx: now, LastBlock: now, BlockOnly: n%2 == 0,
			})
		}
	})
}

// TestWhoIsProtected: each reason by itself. The candidate would otherwise be the
// one to leave: the youngest of the largest crowd.
func TestWhoIsProtected(t *testing.T) {
	now := start.Add(time.Hour)
	crowd := func() (in []Candidate) {
		for i := range 60 {
			in = append(in, Candidate{ID: fmt.Sprint("c", i), IP: v4(i%5, i).Addr(), Since: now.Add(-time.Duration(60-i) * time.Second), MinPing: time.Second})
		}
		return in
	}
	evicted := func(c Candidate) bool {
		c.ID, c.IP, c.Since = "us", v4(0, 99).Addr(), now
		for secret := range uint64(20) { // for some secret our group is protected
			if id, _ := Evict(append(crowd(), c), secret); id == "us" {
				return true
			}
		}
		return false
	}
	for name, c := range map[string]struct {
		c      Candidate
		leaves bool
	}{
		"nothing":             {Candidate{MinPing: time.Second}, true},
		"no ping":             {Candidate{}, true},
		"near":                {Candidate{MinPing: time.Millisecond}, false},
		"payment":             {Candidate{LastTx: now}, false},
		"block":               {Candidate{LastBlock: now}, false},
		"block, block-only":   {Candidate{LastBlock: now, BlockOnly: true}, false},
		"block-only, nothing": {Candidate{BlockOnly: true}, true},
	} {
		if evicted(c.c) != c.leaves {
			t.Errorf("%s: leaves %v, expected %v", name, !c.leaves, c.leaves)
		}
	}
	if id, ok := Evict(crowd()[:12], 1); ok {
		t.Errorf("%s leaves, and all are protected", id)
	}
	groups := make(map[string]bool) // of those that are out of reach for their group
	for secret := range uint64(50) {
		in := crowd()
		for i := range in {
			in[i].IP = v4(i, 1).Addr()
		}
		id, _ := Evict(in, secret)
		groups[id] = true
	}
	if len(groups) < 2 {
		t.Error("the secret changes nothing")
	}
}

// TestOldFriendsOfOneGroup: a group is no crowd to be thinned while its members are
// older than half of the others; and it is the crowd that is thinned, not whoever
// came last.
func TestOldFriendsOfOneGroup(t *testing.T) {
	var in []Candidate
	for i := range 80 {
		in = append(in, Candidate{ID: fmt.Sprint("young", i), IP: v4(i, 1).Addr(), Since: start.Add(time.Hour + time.Duration(i)*time.Second)})
	}
	for i := range 20 {
		in = append(in, Candidate{ID: fmt.Sprint("old", i), IP: v4(90, i).Addr(), Since: start})
	}
	if id, _ := Evict(in, 1); !strings.HasPrefix(id, "young") {
		t.Errorf("%s leaves, and was here before most", id)
	}
	for i := range 10 {
		in = append(in, Candidate{ID: fmt.Sprint("crowd", i), IP: v4(91, i).Addr(), Since: start.Add(2 * time.Hour)})
	}
	in = append(in, Candidate{ID: "last", IP: v4(92, 1).Addr(), Since: start.Add(3 * time.Hour)})
	if id, _ := Evict(in, 1); !strings.HasPrefix(id, "crowd") {
		t.Errorf("%s leaves, expected one of the crowd", id)
	}
}
