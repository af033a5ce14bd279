package host

import (
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"
)

// turns counts what of each peer is being judged, so that none takes all the room.
type turns struct {
	plenty int // that may be taken by anybody
	most   int // of one peer, once so many are taken

	mu    sync.Mutex
	taken int
	of    map[peer.ID]int // above 0
}

func newTurns(plenty, most int) *turns {
	return &turns{plenty: plenty, most: most, of: make(map[peer.ID]int)}
}

// take reports whether the peer may have one more; then the caller gives it back.
func (t *turns) take(id peer.ID) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.taken >= t.plenty && t.of[id] >= t.most {
		return false
	}
	t.taken++
	t.of[id]++
	return true
}

func (t *turns) give(id peer.ID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.taken--
	if t.of[id]--; t.of[id] == 0 {
		delete(t.of, id)
	}
}
