package sha256d

import (
	"encoding/binary"
	"math/bits"
)

// HeaderSize is the length of a block header in bytes.
const HeaderSize = 80

// Offsets in a header, in bytes.
const (
	versionAt = 0
	tailAt    = 64 // what the second SHA-256 chunk begins with
	nonceAt   = 76
)

// tailLength is word 15 of the second chunk, the length of a header in bits.
const tailLength = 8 * HeaderSize

// MaxVersions bounds the versions of one Work. More gain nothing, and the state of
// each takes 64 bytes of the cache.
const MaxVersions = 256

// Work is a header prepared for searching its nonces.
type Work struct {
	header [HeaderSize]byte
	top    uint32    // highest allowed top word of a hash
	tail   [3]uint32 // words 0–2 of the second chunk: end of the merkle root, time, bits
	// words16 are words 16–19 without what the nonce (word 3) adds to the last two,
	// and without sigma0 of the padding (word 4).
	words16 [4]uint32
	lanes   []lane    // one for each version, in the order given
	sha     []shaLane // the same for SHA instructions
}

// lane is what the first chunk, with one version, leaves to the second.
type lane struct {
	version int32
	mid     state // after the first chunk
	third   state // mid after rounds 0–2 of the second chunk, and round 3 for a nonce of 0
}

// A Hit is a header of a Work whose hash may meet the target.
type Hit struct {
	Nonce   uint32
	Version int32
}

// New prepares a serialized header for searching; the nonce in it is ignored.
// top is the most significant 32 bits of the target. Without versions the
// header's own is the only one; of more than MaxVersions the first are used.
func New(header [HeaderSize]byte, top uint32, versions ...int32) *Work {
	w := &Work{header: header, top: top}
	for i := range w.tail {
		w.tail[i] = binary.BigEndian.Uint32(header[tailAt+4*i:])
	}
	w16 := w.tail[0] + sigma0(w.tail[1])
	w17 := w.tail[1] + sigma0(w.tail[2]) + sigma1(tailLength)
	w.words16 = [4]uint32{w16, w17, w.tail[2] + sigma1(w16), sigma1(w17)}
	if len(versions) == 0 {
		versions = []int32{int32(binary.LittleEndian.Uint32(header[versionAt:]))}
	}
	versions = versions[:min(len(versions), MaxVersions)]
	w.lanes = make([]lane, len(versions))
	for i, version := range versions {
		w.lanes[i] = w.newLane(version)
	}
	w.sha = shaLanes(w.lanes)
	return w
}

// newLane runs what no nonce can change: the first chunk, the first three
// rounds of the second and, the nonce being a mere addend, most of the fourth.
func (w *Work) newLane(version int32) lane {
	var schedule [64]uint32
	header := w.Header(Hit{Version: version})
	for i := range 16 {
		schedule[i] = binary.BigEndian.Uint32(header[4*i:])
	}
	expand(&schedule)
	mid := initial.compress(&schedule)
	third := mid
	for i, word := range [4]uint32{w.tail[0], w.tail[1], w.tail[2], 0} {
		third = third.round(k[i] + word)
	}
	return lane{version: version, mid: mid, third: third}
}

// WithTop is w for another target: top is the most significant 32 bits of it.
func (w *Work) WithTop(top uint32) *Work {
	other := *w
	other.top = top
	return &other
}

// ListVersions returns the versions that each nonce is tried on, in their order.
func (w *Work) ListVersions() []int32 {
	versions := make([]int32, len(w.lanes))
	for i := range w.lanes {
		versions[i] = w.lanes[i].version
	}
	return versions
}

// Versions returns how many versions each nonce is tried on.
func (w *Work) Versions() int { return len(w.lanes) }

// Header returns the serialized header of a hit.
func (w *Work) Header(h Hit) [HeaderSize]byte {
	header := w.header
	binary.LittleEndian.PutUint32(header[versionAt:], uint32(h.Version))
	binary.LittleEndian.PutUint32(header[nonceAt:], h.Nonce)
	return header
}

// isCandidate judges the last word of a hash as SHA-256 leaves it. A hash is a
// little-endian number, so that its most significant word is the last one, with
// the bytes turned around.
func (w *Work) isCandidate(last uint32) bool { return bits.ReverseBytes32(last) <= w.top }

// Kernel is one way to search, fitted to some kind of CPU.
type Kernel interface {
	// Name identifies the kernel in reports, such as "go" or "sha-ni".
	Name() string

	// Batch is how many hashes (nonces times versions) take about a fifth of a
	// millisecond. A call cannot be interrupted, so that callers keep to it
	// if they are to notice a new tip in time.
	Batch() uint32

	// Versions is how many versions of a header should be tried on each nonce,
	// so that the kernel is fastest. It searches any number.
	Versions() int

	// Search tries the n nonces from start on (after 2^32-1 comes 0) on every
	// version of w and writes the candidates to hits, by nonce and version.
	// It returns how many there are and how many nonces it has tried: less
	// than n only where hits has no room left for all versions of one more
	// nonce. hits must have room for w.Versions().
	Search(w *Work, start, n uint32, hits []Hit) (found int, tried uint32)
}
