package host

import (
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
)

func TestTurns(t *testing.T) {
	turns := newTurns(5, 2)
	take := func(id peer.ID, want int) {
		t.Helper()
		got := 0
		for range 10 {
			if turns.take(id) {
				got++
			}
		}
		if got != want {
			t.Errorf("%s has %d turns more, expected %d", id, got, want)
		}
	}
	take("crowd", 5) // while there are plenty
	take("other", 2)
	take("third", 2)
	for range 4 {
		turns.give("crowd") // and has one
	}
	take("crowd", 1)
	for id, n := range turns.of {
		for range n {
			turns.give(id)
		}
	}
	if len(turns.of) != 0 || turns.taken != 0 {
		t.Errorf("%d turns of %d peers are left", turns.taken, len(turns.of))
	}
}
