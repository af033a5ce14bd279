package p2p

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"

	"github.com/kapok-chain/kapok/consensus"
)

// ShortID is BIP152's: the six low bytes of the SipHash-2-4 of a wtxid.
type ShortID [6]byte

// sipKey is a SipHash key (two little-endian words).
type sipKey [2]uint64

// blockKey is BIP152's key of an announcement: the first two words of the
// SHA-256 of the header and the nonce.
func blockKey(h *consensus.Header, nonce uint64) sipKey {
	b := h.Append(make([]byte, 0, consensus.HeaderSize+8))
	return keyFrom(binary.LittleEndian.AppendUint64(b, nonce))
}

// saltKey is the key of the ids in a MempoolIDs.
func saltKey(salt uint64) sipKey {
	return keyFrom(binary.LittleEndian.AppendUint64([]byte("kapok mempool ids"), salt))
}

func keyFrom(b []byte) sipKey {
	h := sha256.Sum256(b)
	return sipKey{binary.LittleEndian.Uint64(h[0:8]), binary.LittleEndian.Uint64(h[8:16])}
}

func (k sipKey) short(wtxid consensus.Hash) (id ShortID) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], k.id(wtxid))
	copy(id[:], b[:])
	return id
}

// id is the whole hash, as MempoolIDs carries it.
func (k sipKey) id(wtxid consensus.Hash) uint64 { return k.sum(wtxid[:]) }

// sum is SipHash-2-4 (Aumasson, Bernstein).
func (k sipKey) sum(msg []byte) uint64 {
	s := sipState{
		k[0] ^ 0x736f6d6570736575,
		k[1] ^ 0x646f72616e646f6d,
		k[0] ^ 0x6c7967656e657261,
		k[1] ^ 0x7465646279746573,
	}
	last := uint64(len(msg)) << 56
	for ; len(msg) >= 8; msg = msg[8:] {
		s.word(binary.LittleEndian.Uint64(msg))
	}
	for i, c := range msg {
		last |= uint64(c) << (8 * i)
	}
	s.word(last)
	s[2] ^= 0xff
	for range 4 {
		s.round()
	}
	return s[0] ^ s[1] ^ s[2] ^ s[3]
}

type sipState [4]uint64

func (s *sipState) word(m uint64) {
	s[3] ^= m
	s.round()
	s.round()
	s[0] ^= m
}

func (s *sipState) round() {
	s[0] += s[1]
	s[1] = bits.RotateLeft64(s[1], 13) ^ s[0]
	s[0] = bits.RotateLeft64(s[0], 32)
	s[2] += s[3]
	s[3] = bits.RotateLeft64(s[3], 16) ^ s[2]
	s[0] += s[3]
	s[3] = bits.RotateLeft64(s[3], 21) ^ s[0]
	s[2] += s[1]
	s[1] = bits.RotateLeft64(s[1], 17) ^ s[2]
	s[2] = bits.RotateLeft64(s[2], 32)
}
