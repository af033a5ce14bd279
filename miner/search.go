package miner

import (
	"context"
	"math"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/sha256d"
)

// rolledShift is where consensus.VersionRollMask begins, of whose bits the versions of
// one search take the lowest eight.
const rolledShift = 13

// moreHits is room for candidates beside those of one nonce's versions. Where there
// are more, a kernel stops early and is called again.
const moreHits = 64

// search goes through the nonces of one header, each on some of its versions.
type search struct {
	header   consensus.Header
	target   consensus.Uint256
	versions int
	work     *sha256d.Work
	loosest  uint32
	hits     []sha256d.Hit
	next     uint64 // nonce; 2^32 when all are tried
}

// newSearch prepares a header. Candidates are those whose hash has a top word
// up to the target's or to loosest, whichever is higher. The header's own version
// is the first of so many, at most sha256d.MaxVersions.
func newSearch(h consensus.Header, versions int, target consensus.Uint256, loosest uint32) *search {
	s := &search{header: h, target: target, versions: max(1, versions), loosest: loosest}
	rolled := make([]int32, s.versions)
	for i := range rolled {
		rolled[i] = h.Version ^ int32(i)<<rolledShift
	}
	s.hits = make([]sha256d.Hit, s.versions+moreHits)
	s.work = sha256d.New(h.Bytes(), s.top(), rolled...)
	return s
}

// tighten changes what counts as a candidate.
func (s *search) tighten(loosest uint32) {
	s.loosest = loosest
	s.work = s.work.WithTop(s.top())
}

// top is the highest top word of a candidate.
func (s *search) top() uint32 { return max(topWord(s.target), s.loosest) }

// topWord returns the most significant 32 bits of a target.
func topWord(target consensus.Uint256) uint32 { return uint32(target[len(target)-1] >> 32) }

// left is how many nonces are not tried yet.
func (s *search) left() uint64 { return math.MaxUint32 + 1 - s.next }

// step takes about n hashes, at least those of one nonce, and returns how many it
// took. It calls hashed with the full hash of each candidate, in order, until one
// of them solves the block; then the header is the solved one.
func (s *search) step(kernel sha256d.Kernel, n uint32, hashed func(consensus.Hash)) (hashes uint32, solved bool) {
	n = uint32(min(uint64(max(1, n/uint32(s.versions))), s.left()))
	found, tried := kernel.Search(s.work, uint32(s.next), n, s.hits)
	for _, hit := range s.hits[:found] {
		h := s.header
		h.Nonce, h.Version = hit.Nonce, hit.Version
		hash := h.Hash() // by crypto/sha256, whatever the kernel did
		hashed(hash)
		if consensus.HashMeetsTarget(hash, s.target) {
			done := (hit.Nonce-uint32(s.next))*uint32(s.versions) + uint32(hit.Version^s.header.Version)>>rolledShift + 1
			s.header, s.next = h, uint64(hit.Nonce)+1
			return done, true
		}
	}
	s.next += uint64(tried)
	return tried * uint32(s.versions), false
}

// Solve searches a block's nonces from 0 and sets the first one that meets the
// target of its bits. It returns false where none of the 2^32 does: another
// extranonce will. It is meant for easy targets: nothing stops it.
func Solve(b *consensus.Block, kernel sha256d.Kernel) bool {
	return SolveWithin(context.Background(), b, kernel, math.MaxUint32+1)
}

// SolveWithin is Solve for the first so many nonces, and while ctx lasts. The
// version stays.
func SolveWithin(ctx context.Context, b *consensus.Block, kernel sha256d.Kernel, nonces uint64) bool {
	target, negative, overflow := consensus.CompactToTarget(b.Header.Bits)
	if negative || overflow || target.IsZero() {
		return false
	}
	s := newSearch(b.Header, 1, target, 0)
	for s.left() > 0 && s.next < nonces && ctx.Err() == nil {
		batch := uint32(min(uint64(kernel.Batch()), nonces-s.next))
		if _, solved := s.step(kernel, batch, func(consensus.Hash) {}); solved {
			b.Header = s.header
			return true
		}
	}
	return false
}
