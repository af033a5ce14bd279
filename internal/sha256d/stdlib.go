package sha256d

import (
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"hash"
)

// Stdlib searches with crypto/sha256, entered after the first chunk. It does
// all rounds of the other two chunks, and is still the faster one wherever the
// library has assembly for the CPU's SHA instructions.
type Stdlib struct{}

// Name implements Kernel.
func (Stdlib) Name() string { return "crypto/sha256" }

// Batch implements Kernel: a fifth of a millisecond at 5 million hashes a second.
func (Stdlib) Batch() uint32 { return 1000 }

// Versions implements Kernel.
func (Stdlib) Versions() int { return 1 }

// Search implements Kernel.
func (Stdlib) Search(w *Work, start, n uint32, hits []Hit) (found int, tried uint32) {
	first := newDigest()
	mids := make([][]byte, len(w.lanes))
	for i := range w.lanes {
		header := w.Header(Hit{Version: w.lanes[i].version})
		mids[i] = first.after(header[:tailAt])
	}
	var tail [HeaderSize - tailAt]byte
	copy(tail[:], w.header[tailAt:])
	var sum [sha256.Size]byte
	for tried = 0; tried < n && len(hits)-found >= len(w.lanes); tried++ {
		nonce := start + tried
		binary.LittleEndian.PutUint32(tail[nonceAt-tailAt:], nonce)
		for i, mid := range mids {
			first.resume(mid)
			first.Write(tail[:])
			sum = sha256.Sum256(first.Sum(sum[:0]))
			if w.isCandidate(binary.BigEndian.Uint32(sum[sha256.Size-4:])) {
				hits[found] = Hit{Nonce: nonce, Version: w.lanes[i].version}
				found++
			}
		}
	}
	return found, tried
}

// digest is the library's SHA-256, whose state can be taken out and put back:
// what sha256.New returns has both methods by contract. Neither fails on a
// state that came from the digest itself.
type digest struct {
	hash.Hash
	state interface {
		encoding.BinaryMarshaler
		encoding.BinaryUnmarshaler
	}
}

func newDigest() digest {
	h := sha256.New()
	return digest{h, h.(interface {
		encoding.BinaryMarshaler
		encoding.BinaryUnmarshaler
	})}
}

// after returns the state after the bytes of a first chunk.
func (d digest) after(chunk []byte) []byte {
	d.Reset()
	d.Write(chunk)
	mid, _ := d.state.MarshalBinary()
	return mid
}

// resume goes on from a state that after returned.
func (d digest) resume(mid []byte) { _ = d.state.UnmarshalBinary(mid) }
