package batch

import (
	"crypto/sha256"
	"encoding/binary"
	"runtime"

	"github.com/btcsuite/btcd/btcec/v2"
)

// A Signature is one to verify.
type Signature struct {
	Key       [32]byte // x-only
	Message   [32]byte
	Signature [64]byte // R's x, and s
}

// yieldEvery is after how many signatures, some 200 microseconds of work, others may run:
// where all cores verify, whoever woke up to pass a message on would wait for the
// scheduler's own 10 ms.
const yieldEvery = 16

// Verify reports whether all signatures are good. The secret is this process's own
// random value.
func Verify(signatures []Signature, secret *[32]byte) bool {
	if len(signatures) == 0 {
		return true
	}
	terms := make([]term, 0, 3*len(signatures)+2)
	seed := seedOf(signatures, secret)
	var base btcec.ModNScalar // how often G counts
	for i := range signatures {
		if i%yieldEvery == yieldEvery-1 {
			runtime.Gosched()
		}
		sig := &signatures[i]
		var r, key affine
		var s btcec.ModNScalar
		if !r.lift(sig.r()) || !key.lift(&sig.Key) || s.SetBytes((*[32]byte)(sig.Signature[32:])) != 0 {
			return false
		}
		times, a := coefficient(&seed, i)
		terms = append(terms, term{r, times})
		e := sig.challenge()
		terms = appendMultiple(terms, key, e.Mul(&a))
		base.Add(s.Mul(&a))
	}
	return sumIsZero(appendMultiple(terms, generator, base.Negate()), sharedInversion)
}

// appendMultiple appends k times a point: as two terms with multipliers half as long.
func appendMultiple(terms []term, p affine, k *btcec.ModNScalar) []term {
	k1, k2, negate1, negate2 := split(k)
	q := affine{y: p.y} // lambda·p
	q.x.mul(&p.x, &beta)
	if negate1 {
		p.negate()
	}
	if negate2 {
		q.negate()
	}
	return append(terms, term{p, k1}, term{q, k2})
}

// r is the x of the signature's nonce point.
func (s *Signature) r() *[32]byte { return (*[32]byte)(s.Signature[:32]) }

// challengeTag begins what is hashed to a challenge: BIP340's tagged hash.
var challengeTag = func() []byte {
	tag := sha256.Sum256([]byte("BIP0340/challenge"))
	return append(tag[:], tag[:]...)
}()

// challenge is BIP340's e.
func (s *Signature) challenge() *btcec.ModNScalar {
	var b [160]byte
	copy(b[:], challengeTag)
	copy(b[64:], s.r()[:])
	copy(b[96:], s.Key[:])
	copy(b[128:], s.Message[:])
	hash := sha256.Sum256(b[:])
	e := new(btcec.ModNScalar)
	e.SetBytes(&hash)
	return e
}

// seedOf is what the coefficients are made of: a hash of the secret and of everything
// that is verified, in records of one length.
func seedOf(signatures []Signature, secret *[32]byte) (seed [32]byte) {
	h := sha256.New()
	h.Write(secret[:])
	for i := range signatures {
		s := &signatures[i]
		h.Write(s.Key[:])
		h.Write(s.Message[:])
		h.Write(s.Signature[:])
	}
	h.Sum(seed[:0])
	return seed
}

// coefficient is a signature's own: 128 bits, never 0. The first one may as well be 1.
func coefficient(seed *[32]byte, i int) (times half, a btcec.ModNScalar) {
	times = half{1}
	if i > 0 {
		var b [40]byte
		copy(b[:], seed[:])
		binary.LittleEndian.PutUint64(b[32:], uint64(i))
		hash := sha256.Sum256(b[:])
		times = half{max(1, binary.LittleEndian.Uint64(hash[:])), binary.LittleEndian.Uint64(hash[8:])}
	}
	var b [32]byte
	binary.BigEndian.PutUint64(b[24:], times[0])
	binary.BigEndian.PutUint64(b[16:], times[1])
	a.SetBytes(&b)
	return times, a
}
