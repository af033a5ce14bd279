package sha256d

import "sync"

// AVX2 searches with the vector arithmetic of amd64, eight nonces at a time, where
// a CPU has no SHA instructions.
type AVX2 struct{}

// Name implements Kernel.
func (AVX2) Name() string { return "avx2" }

// Batch implements Kernel: a fifth of a millisecond at 13 million hashes a second.
func (AVX2) Batch() uint32 { return 2_600 }

// Versions implements Kernel.
func (AVX2) Versions() int { return 1 }

// Search implements Kernel.
func (AVX2) Search(w *Work, start, n uint32, hits []Hit) (found int, tried uint32) {
	p := wides.Get().(*wide)
	defer wides.Put(p)
	return searchLanes(w, start, n, hits, func(lane int, start, n uint32) ([]uint32, bool) {
		p.begin(w, &w.lanes[lane], start)
		scanAVX2(p, (uint64(n)+7)/8)
		return p.hits[:p.found], p.found == maxFound
	})
}

// eight is a word of eight hashes.
type eight [8]uint32

func all(word uint32) (e eight) {
	for i := range e {
		e[i] = word
	}
	return e
}

// wide is the memory of a scan. Its fields have names in the assembly (go_asm.h).
type wide struct {
	//lint:ignore U1000 the assembly alone uses them
	words      [64]eight // of the message
	mid, third [8]eight  // see lane
	words16    [4]eight  // words 16–19 of the tail without the nonce
	nonces     eight     // of the next group
	top        eight     // what the top word of a candidate is at most
	found      uint32    // hits
	hits       [maxFound]uint32
}

// wides are kept: a search allocates nothing.
var wides = sync.Pool{New: func() any { return new(wide) }}

func (p *wide) begin(w *Work, l *lane, start uint32) {
	for i := range l.mid {
		p.mid[i], p.third[i] = all(l.mid[i]), all(l.third[i])
	}
	for i := range p.words16 {
		p.words16[i] = all(w.words16[i])
	}
	p.words16[3] = all(w.words16[3] + sigma0(padding))
	for i := range p.nonces {
		p.nonces[i] = start + uint32(i)
	}
	p.top = all(w.top)
}

// scanAVX2 tries so many groups of eight nonces, and writes found and hits.
//
//go:noescape
func scanAVX2(p *wide, groups uint64)
