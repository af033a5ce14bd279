package consensus

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"
)

// Presync looks at a chain of headers that a peer sends before any of them is
// kept, so that a long chain of little work costs the node next to nothing (rule
// W8). It is Bitcoin Core's headerssync (PR 25717).
//
// The first pass judges every header in its place, by all rules (H2 to H8), and
// counts the work. It keeps the end of the chain (tail) and, of one header in
// commitEvery, one bit of a salted hash. Where the work is enough, the peer is
// asked for the same headers again. The second pass judges them once more,
// compares the bits, and holds back the last headers that came: those before them
// leave when about 23 bits that the peer cannot know have turned out right behind
// them. When the work was shown a second time the rest leaves too.
//
// Of a peer that means well nothing is lost by any of this: a chain that becomes
// another one between the passes is given up, and may be begun anew.
//
// Memory: 3 kB, and 512 kB at most for the bits of 2.7 billion headers, until the
// work was shown; then 731 kB more at most. A Presync must not be copied.
type Presync struct {
	start *BlockIndex
	need  Uint256
	tail  tail
	sizes presyncSizes

	salt   [16]byte
	offset uint32   // which headers' bits are kept
	bits   []uint64 // one for each of them, in order
	most   uint32   // headers that a valid chain can have by now

	shown uint32 // headers of the first pass, 0 until the work is enough
	over  bool

	// Of the second pass: a ring of headers without the hash of their parent.
	held     []shortHeader
	first, n uint32 // the first one's place, and how many there are
	below    Hash   // of the first one's parent
}

// presyncSizes are Bitcoin Core's, but in tests.
type presyncSizes struct {
	commitEvery uint32 // headers for each bit
	hold        uint32 // headers held back in the second pass
	maxBits     uint32
}

// Peers that send another chain in the second pass get one header into the tree
// once in 2^23 tries, each of which takes a first pass with all of the work.
var presyncDefaults = presyncSizes{
	commitEvery: 641,
	hold:        15_218,
	// 512 kB. Twenty-seven years of the fastest chain that the rules on time
	// allow; a tree of so many headers would take 800 GB.
	maxBits: 1 << 22,
}

// shortHeader is a Header without Prev: 48 bytes.
type shortHeader struct {
	Version    int32
	MerkleRoot Hash
	Time       uint32
	Bits       uint32
	Nonce      uint32
}

// NewPresync begins the first pass over the headers that follow start, a block of
// the tree. Need is the work that their chain must show, start's included. The
// peer must not be able to guess what random yields.
func NewPresync(p *Params, start *BlockIndex, need Uint256, now time.Time, random *rand.Rand) *Presync {
	return newPresync(p, start, need, now, random, presyncDefaults)
}

func newPresync(p *Params, start *BlockIndex, need Uint256, now time.Time, random *rand.Rand, sizes presyncSizes) *Presync {
	s := &Presync{start: start, need: need, sizes: sizes, offset: random.Uint32N(sizes.commitEvery)}
	binary.LittleEndian.PutUint64(s.salt[:8], random.Uint64())
	binary.LittleEndian.PutUint64(s.salt[8:], random.Uint64())
	s.tail.begin(p, start)

	// By rule H4 each block is later than the median of eleven, which six blocks
	// lift by a second at least, whatever the spacing (fastestChain in the tests).
	seconds := max(now.Unix()+p.FutureLimit-start.MTP()+1, 0)
	s.most = uint32(min(6*seconds, int64(sizes.commitEvery)*int64(sizes.maxBits)))
	return s
}

// Start is the block of the tree that the chain leaves it from.
func (s *Presync) Start() *BlockIndex { return s.start }

// Last is the hash of the header that the next ones are to follow.
func (s *Presync) Last() Hash { return s.tail.last.Hash }

// Height is that of the last header that was looked at in this pass.
func (s *Presync) Height() uint32 { return s.tail.last.Height }

// Over reports whether no more headers are wanted: all that were needed were
// returned, or the chain was given up.
func (s *Presync) Over() bool { return s.over }

// FirstPass reports whether the work was not shown yet.
func (s *Presync) FirstPass() bool { return s.shown == 0 }

// Next takes headers that follow Last, and returns those that may enter the tree,
// which judges them by itself. More says that the peer may have others behind
// these. An error ends it all: of kind Invalid for a header that breaks a rule,
// Temporary for whatever may be nobody's fault. Where headers follow one another
// up to enough work within the first call, they all may enter at once.
func (s *Presync) Next(headers []Header, more bool, now time.Time) ([]Header, error) {
	if s.over {
		return nil, nil
	}
	enter, err := s.next(headers, more, now)
	if s.over = s.over || err != nil; s.over {
		s.bits, s.held = nil, nil
	}
	return enter, err
}

func (s *Presync) next(headers []Header, more bool, now time.Time) ([]Header, error) {
	first := s.tail.length == 0 && s.FirstPass()
	var enter []Header
	for i := range headers {
		h := &headers[i]
		if h.Prev != s.tail.last.Hash {
			return nil, temporary(ErrPrevNotFound, fmt.Sprintf("parent %s of the next header is not the last one, %s", h.Prev, s.tail.last.Hash))
		}
		err := s.tail.add(h, h.Hash(), now)
		if err != nil {
			if rule := AsRuleError(err); rule == nil || rule.Kind != Temporary {
				return nil, err
			}
			more = false // the chain ends before a header that is too new; the peer tells of it again
			break
		}
		if s.FirstPass() {
			err = s.commit()
		} else {
			enter, err = s.compare(h, enter)
		}
		switch enough := s.tail.last.Work.Cmp(s.need) >= 0; {
		case err != nil:
			return nil, err
		case !enough:
			continue
		case first:
			s.over = true
			return headers, nil
		case s.FirstPass():
			s.again()
			return nil, nil
		}
		s.over = true
		for s.n > 0 {
			enter = append(enter, s.release())
		}
		return append(enter, headers[i+1:]...), nil
	}
	if !more {
		return nil, temporary(ErrTooLittleWork, fmt.Sprintf("the chain ends at height %d with work %s, less than %s",
			s.tail.last.Height, s.tail.last.Work, s.need))
	}
	return enter, nil
}

// commit keeps the bit of the last header, where it is one of those.
func (s *Presync) commit() error {
	if s.tail.length > s.most {
		return temporary(ErrTooLittleWork, fmt.Sprintf("more than the %d headers that the time from block %s to now has room for", s.most, s.start.Hash))
	}
	if at, due := s.due(); due {
		if at%64 == 0 {
			s.bits = append(s.bits, 0)
		}
		s.bits[at/64] |= s.bit() << (at % 64)
	}
	return nil
}

// compare looks whether the last header can be the one that was there in the first
// pass, and holds it back; the one that has waited longest may leave.
func (s *Presync) compare(h *Header, enter []Header) ([]Header, error) {
	at, due := s.due()
	if s.tail.length > s.shown || due && s.bits[at/64]>>(at%64)&1 != s.bit() {
		return nil, temporary(ErrTooLittleWork, fmt.Sprintf("header %s is none of the chain that was shown before", s.tail.last.Hash))
	}
	if s.n == uint32(len(s.held)) {
		enter = append(enter, s.release())
	}
	s.held[(s.first+s.n)%uint32(len(s.held))] = shortHeader{h.Version, h.MerkleRoot, h.Time, h.Bits, h.Nonce}
	s.n++
	return enter, nil
}

// due says which bit is the last header's, if any.
func (s *Presync) due() (at uint32, due bool) {
	n := s.tail.length + s.offset
	return n/s.sizes.commitEvery - 1, n%s.sizes.commitEvery == 0
}

// bit is the last header's: nobody else can know it before it has counted.
func (s *Presync) bit() uint64 {
	sum := sha256.Sum256(append(s.salt[:len(s.salt):len(s.salt)], s.tail.last.Hash[:]...))
	return uint64(sum[0] & 1)
}

// again begins the second pass. It cannot hold back more headers than were shown.
func (s *Presync) again() {
	s.shown = s.tail.length
	s.held = make([]shortHeader, min(s.sizes.hold, s.shown))
	s.below = s.start.Hash
	s.tail.begin(s.tail.params, s.start)
}

// release takes out the header that has waited longest.
func (s *Presync) release() Header {
	short := &s.held[s.first]
	h := Header{short.Version, s.below, short.MerkleRoot, short.Time, short.Bits, short.Nonce}
	s.below = h.Hash()
	s.first, s.n = (s.first+1)%uint32(len(s.held)), s.n-1
	return h
}
