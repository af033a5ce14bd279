package sha256d

import (
	"sync"
	"unsafe"
)

// SHANI searches with the SHA instructions of amd64, two nonces at a time.
type SHANI struct{}

// Name implements Kernel.
func (SHANI) Name() string { return "sha-ni" }

// Batch implements Kernel: a fifth of a millisecond at 36 million hashes a second.
func (SHANI) Batch() uint32 { return 7_200 }

// Versions implements Kernel.
func (SHANI) Versions() int { return 1 }

// Search implements Kernel.
func (SHANI) Search(w *Work, start, n uint32, hits []Hit) (found int, tried uint32) {
	p := pipelines.Get().(*pipeline)
	defer pipelines.Put(p)
	return searchLanes(w, start, n, hits, func(lane int, start, n uint32) ([]uint32, bool) { return p.plain(w, lane, start, n) })
}

// plain tries some nonces of one version.
func (p *pipeline) plain(w *Work, lane int, start, n uint32) (hits []uint32, full bool) {
	p.beginPlain(w, start)
	scanPlain(p, &w.sha[lane], (uint64(n)+1)/plainGroup)
	if p.found < maxFound {
		p.drainPlain(w, lane)
	}
	return p.out()
}

const plainGroup, plainStages = 2, 4

func (p *pipeline) beginPlain(w *Work, start uint32) {
	p.begin(w, start, plainGroup, (plainStages-1)*plainGroup)
}

// drainPlain brings out those that are still on their way.
func (p *pipeline) drainPlain(w *Work, lane int) { scanPlain(p, &w.sha[lane], plainStages-1) }

// SHANIRolled searches with the SHA instructions of amd64, two versions of a nonce
// at a time. All versions share the message schedule of the second chunk, a quarter
// of the work.
type SHANIRolled struct{}

// Name implements Kernel.
func (SHANIRolled) Name() string { return "sha-ni-rolled" }

// Batch implements Kernel: a fifth of a millisecond at 50 million hashes a second.
func (SHANIRolled) Batch() uint32 { return 10_000 }

// Versions implements Kernel: more gain nothing.
func (SHANIRolled) Versions() int { return 240 }

// Search implements Kernel.
func (SHANIRolled) Search(w *Work, start, n uint32, hits []Hit) (found int, tried uint32) {
	if len(w.lanes) == 1 {
		return SHANI{}.Search(w, start, n, hits)
	}
	p := pipelines.Get().(*pipeline)
	defer pipelines.Put(p)
	return searchVersions(w, start, n, hits, uint32(len(w.sha)), func(start, n uint32) ([]uint32, bool) { return p.rolled(w, start, n) })
}

// rolled tries all versions of some nonces.
func (p *pipeline) rolled(w *Work, start, n uint32) (hits []uint32, full bool) {
	p.beginRolled(w, start)
	scanRolled(p, &w.sha[0], uint64(n), uint64(len(w.sha)))
	if p.found < maxFound {
		p.drainRolled(w)
	}
	return p.out()
}

const rolledGroup, rolledStages = 2, 3

func (p *pipeline) beginRolled(w *Work, start uint32) {
	p.begin(w, start, 1, (rolledStages-1)*rolledGroup)
}

// drainRolled brings out those that are still on their way.
func (p *pipeline) drainRolled(w *Work) { scanRolled(p, &w.sha[0], rolledStages-1, rolledGroup) }

// shaLane is a lane as the SHA instructions take it: f, e, b, a and h, g, d, c.
type shaLane struct {
	thirdABEF, thirdCDGH [4]uint32
	midABEF, midCDGH     [4]uint32
}

// shaLanes are as many as the lanes, and one more that is the last again where that
// is an odd number.
func shaLanes(lanes []lane) []shaLane {
	sha := make([]shaLane, len(lanes), len(lanes)+1)
	for i := range lanes {
		l := &sha[i]
		l.thirdABEF, l.thirdCDGH = shaOrder(&lanes[i].third)
		l.midABEF, l.midCDGH = shaOrder(&lanes[i].mid)
	}
	if len(sha)%2 != 0 {
		sha = append(sha, sha[len(sha)-1])
	}
	return sha
}

func shaOrder(s *state) (abef, cdgh [4]uint32) {
	return [4]uint32{s[5], s[4], s[1], s[0]}, [4]uint32{s[7], s[6], s[3], s[2]}
}

// pipeline is the memory of a scan: what all hashes share, and what goes from stage
// to stage. Its fields have names in the assembly (go_asm.h); SHA instructions want
// aligned operands, to which offsets and pipelines keep.
type pipeline struct {
	nonces      [4]uint32    // of the next group's lanes, in the first two
	step        [4]uint32    // what they grow by
	words16     [4]uint32    // what words 16–19 are without the nonce
	words20     [4]uint32    // words 20–23 without sigma1 of 18–21
	words28     [4]uint32    // words 28–31 without words 21–24 and sigma1 of 26–29
	keyed4      [12]uint32   // words 4–15 with their round constants
	keyed16     [48]uint32   // words 16–63 likewise, of the nonce that all versions share
	shared      [4]uint32    // word 3 with that nonce
	handOver    [2][8]uint32 // what a lane's first hash leaves to its second
	top         uint32       // what the top word of a candidate is at most
	found       uint32       // hits
	next        uint32       // index of the group that comes out next
	_           uint32
	read, write uint64 // offsets of the buffer that rounds read, and of the one that schedules write
	buffers     [2]keyed
	hits        [maxFound]uint32 // indexes, from 0 for the first hash that was asked for

	// For hashNodeVectors.
	middle [4][8]uint32        // between the 64 bytes and the padding
	waste  [nodeLanes][32]byte // takes what comes out before the first node

	// For SHANIVector, SHANIVectorRolled and hashNodeVectors.
	words18      [2]uint32                     // words 18 and 19 without the nonce
	words30      [2]uint32                     // words 30 and 31 without the nonce
	vectorStep   [4][2]uint32                  // what vectorNonces grow by
	vectorNonces [vectorLanes / 4][4][2]uint32 // of the next group, each with a 0 before
	exchanges    [2]exchange
}

// keyed are words with their round constants, by lane.
type keyed struct {
	second [2][64]uint32 // of the second hash: 0–7, 16–63
	first  [2][48]uint32 // of the first: 16–63; scanPlain only
	spill  [2][16]uint32 // without the constants: what has no room in registers
	nonce  [2][4]uint32  // word 3; scanPlain only
}

// pipelines are kept: a search allocates nothing.
var pipelines = sync.Pool{New: func() any {
	const align = 64
	b := make([]byte, unsafe.Sizeof(pipeline{})+align-1)
	skip := -uintptr(unsafe.Pointer(&b[0])) % align
	p := (*pipeline)(unsafe.Pointer(&b[skip]))
	return p
}}

// Compile-time checks that the operands of SHA instructions are aligned, and that no
// vector lies in two lines of the cache.
const (
	_ = -(unsafe.Offsetof(pipeline{}.buffers) % 16)
	_ = -(unsafe.Sizeof(keyed{}) % 16)
	_ = -(unsafe.Offsetof(keyed{}.spill) % 16)
	_ = -(unsafe.Offsetof(pipeline{}.exchanges) % 32)
)

// begin prepares a scan from a nonce on. late is how many hashes come out before the
// first one that counts.
func (p *pipeline) begin(w *Work, start, step, late uint32) {
	p.nonces, p.step = [4]uint32{start, start + 1}, [4]uint32{step, step}
	p.words16 = w.words16
	p.words20 = [4]uint32{padding, 0, tailLength, w.words16[0]}
	p.words28 = [4]uint32{0, 0, sigma0(tailLength), tailLength + sigma0(w.words16[0])}
	copy(p.keyed4[:], k[4:])
	p.keyed4[0] += padding
	p.keyed4[11] += tailLength
	p.top, p.found, p.next = w.top, 0, -late
	p.restart()
}

// restart puts the buffers in their first order.
func (p *pipeline) restart() {
	p.read = uint64(unsafe.Offsetof(p.buffers))
	p.write = p.read + uint64(unsafe.Sizeof(keyed{}))
}

// out returns the hits, in order, and whether the scan ended early for them. Those
// of what was in the pipeline when it began are left out.
func (p *pipeline) out() (hits []uint32, full bool) {
	hits = p.hits[:p.found]
	for len(hits) > 0 && int32(hits[0]) < 0 {
		hits = hits[1:]
	}
	return hits, p.found == maxFound
}

// scanPlain sends so many groups of two nonces through the pipeline, which comes
// out with those of three groups before.
//
//go:noescape
func scanPlain(p *pipeline, lane *shaLane, groups uint64)

// scanRolled sends so many nonces, each with so many versions, through the
// pipeline in groups of two, which comes out with those of two groups before.
//
//go:noescape
func scanRolled(p *pipeline, lanes *shaLane, nonces, versions uint64)
