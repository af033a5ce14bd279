package sha256d

import "sync"

// SHA2 searches with the SHA instructions of arm64, two nonces at a time.
type SHA2 struct{}

// Name implements Kernel.
func (SHA2) Name() string { return "sha2" }

// Batch implements Kernel: a fifth of a millisecond at 20 million hashes a second.
func (SHA2) Batch() uint32 { return 4_000 }

// Versions implements Kernel.
func (SHA2) Versions() int { return 1 }

// Search implements Kernel.
func (SHA2) Search(w *Work, start, n uint32, hits []Hit) (found int, tried uint32) {
	p := narrows.Get().(*narrow)
	defer narrows.Put(p)
	return searchLanes(w, start, n, hits, func(lane int, start, n uint32) ([]uint32, bool) {
		l := &w.lanes[lane]
		p.third, p.mid, p.nonce, p.top = l.third, l.mid, start, w.top
		copy(p.tail[:], w.tail[:])
		scanSHA2(p, (uint64(n)+1)/2)
		return p.hits[:p.found], p.found == maxFound
	})
}

// narrow is the memory of a scan. Its fields have names in the assembly (go_asm.h).
type narrow struct {
	third, mid state     // see lane
	tail       [4]uint32 // words 0–2 of the tail
	nonce      uint32    // the first one
	top        uint32    // what the top word of a candidate is at most
	found      uint32    // hits
	hits       [maxFound]uint32
}

// narrows are kept: a search allocates nothing.
var narrows = sync.Pool{New: func() any { return new(narrow) }}

// scanSHA2 tries so many groups of two nonces, and writes found and hits.
//
//go:noescape
func scanSHA2(p *narrow, groups uint64)
