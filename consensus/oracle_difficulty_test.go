package consensus

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"time"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/btcutil/v2"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// randomBits prefers lengths at the edges, where numbers begin to be nothing
// and to be too much.
func randomBits(rng *rand.Rand) uint32 {
	sizes := []uint32{0, 1, 2, 3, 4, 5, 29, 30, 31, 32, 33, 34, 35, 36, 255}
	size := sizes[rng.IntN(len(sizes))]
	if rng.IntN(2) == 0 {
		size = rng.Uint32N(256)
	}
	mantissa := rng.Uint32() & 0x00ffffff
	if rng.IntN(2) == 0 {
		mantissa = mantissa & 0x007fffff >> rng.IntN(24)
	}
	return size<<24 | mantissa
}

// randomUint256 is of any length in bits.
func randomUint256(rng *rand.Rand) Uint256 {
	return Uint256{rng.Uint64(), rng.Uint64(), rng.Uint64(), rng.Uint64()}.shiftRight(uint(rng.IntN(256)))
}

func oracleCompact(o *oracle) {
	for o.more() {
		bits := randomBits(o.rng)
		about := fmt.Sprintf("bits %08x", bits)
		target, negative, overflow := CompactToTarget(bits)
		theirs := blockchain.CompactToBig(bits)
		same(o, "negative", negative, theirs.Sign() < 0, about)
		same(o, "overflow", overflow, theirs.BitLen() > 256, about)
		if !overflow {
			same(o, "target", target.Big().String(), new(big.Int).Abs(theirs).String(), about)
		}
		same(o, "work", WorkOf(bits).Big().String(), blockchain.CalcWork(bits).String(), about)

		number := randomUint256(o.rng)
		same(o, "compact form", TargetToCompact(number), blockchain.BigToCompact(number.Big()), number)
		hash := randomHash(o.rng)
		if o.rng.IntN(3) == 0 { // at the target and beside it
			hash = hashOf(number.Add(Uint256{o.rng.Uint64N(3)}).Sub(Uint256{1}))
		}
		btcdHash := chainhash.Hash(hash)
		same(o, "hash meets target", HashMeetsTarget(hash, number), blockchain.HashToBig(&btcdHash).Cmp(number.Big()) <= 0, hash)
	}
}

// hashOf is the hash that is this number.
func hashOf(n Uint256) (h Hash) {
	for i, b := range n.bytes() {
		h[HashSize-1-i] = b
	}
	return h
}

func oraclePow(o *oracle) {
	p := Regtest()
	for o.more() {
		h := randomHeader(o.rng)
		h.Bits = 0x20000000 | o.rng.Uint32N(1<<23)
		switch o.rng.IntN(4) {
		case 0:
			h.Bits = randomBits(o.rng)
		case 1:
			h.Bits = easiestBits - 1 + o.rng.Uint32N(3)
		}
		theirs := blockchain.CheckProofOfWork(btcutil.NewBlock(&wire.MsgBlock{Header: *toWireHeader(&h)}), p.powLimit.Big())
		o.judged(verdictOf(CheckPow(p, &h)), verdictOf(theirs), nil, fmt.Sprintf("header %x", h.Append(nil)))
	}
	o.both(500, "", refused)
}

// btcdHeader shows btcd a block of ours and its ancestors.
type btcdHeader struct{ b *BlockIndex }

func (h btcdHeader) Height() int32    { return int32(h.b.Height) }
func (h btcdHeader) Bits() uint32     { return h.b.Header.Bits }
func (h btcdHeader) Timestamp() int64 { return int64(h.b.Header.Time) }
func (h btcdHeader) Parent() blockchain.HeaderCtx {
	if h.b.Parent == nil {
		return nil
	}
	return btcdHeader{h.b.Parent}
}

// RelativeAncestorCtx walks, so that our own shortcuts have no part in it.
func (h btcdHeader) RelativeAncestorCtx(distance int32) blockchain.HeaderCtx {
	b := h.b
	for ; distance > 0 && b != nil; distance-- {
		b = b.Parent
	}
	if b == nil {
		return nil
	}
	return btcdHeader{b}
}

// btcdMain is Bitcoin's main network to btcd, with today's rules on versions
// from the first block on and without checkpoints.
type btcdMain struct{ params chaincfg.Params }

func newBtcdMain() *btcdMain {
	c := &btcdMain{chaincfg.MainNetParams}
	c.params.BIP0034Height, c.params.BIP0065Height, c.params.BIP0066Height = 0, 0, 0
	return c
}

func (c *btcdMain) ChainParams() *chaincfg.Params { return &c.params }
func (*btcdMain) BlocksPerRetarget() int32        { return 2016 }
func (*btcdMain) MinRetargetTimespan() int64      { return 14 * 86400 / 4 }
func (*btcdMain) MaxRetargetTimespan() int64      { return 14 * 86400 * 4 }
func (*btcdMain) VerifyCheckpoint(int32, *chainhash.Hash) bool {
	return true
}
func (*btcdMain) FindPreviousCheckpoint() (blockchain.HeaderCtx, error) { return nil, nil }

// header is btcd's verdict on a header as the child of parent, but for its
// proof of work.
func (c *btcdMain) header(parent *BlockIndex, h *Header, now time.Time) error {
	w := toWireHeader(h)
	if err := blockchain.CheckBlockHeaderSanity(w, c.params.PowLimit, oracleClock{now}, blockchain.BFNoPoWCheck); err != nil {
		return err
	}
	return blockchain.CheckBlockHeaderContext(w, btcdHeader{parent}, blockchain.BFNone, c, true)
}

// needsBits reports whether these are the bits that btcd asks of a child of
// parent: its only answer to that question is yes or no.
func (c *btcdMain) needsBits(parent *BlockIndex, bits uint32) bool {
	h := &Header{Version: 0x20000000, Bits: bits, Time: parent.MaxTime + 10_000}
	return blockchain.CheckBlockHeaderContext(toWireHeader(h), btcdHeader{parent}, blockchain.BFNone, c, true) == nil
}

const schedule = 14 * 86400 // seconds that a period should take

// randomSpan is how long a period takes in seconds: anything up to five times
// its schedule, less than nothing, the bounds, and beside the bounds.
func randomSpan(rng *rand.Rand) int64 {
	if rng.IntN(3) == 0 {
		edges := []int64{0, schedule / 4, schedule, schedule * 4}
		return edges[rng.IntN(len(edges))] - 1 + rng.Int64N(3)
	}
	return rng.Int64N(6*schedule) - schedule
}

// randomEpochs grows, from start bits that it sets, three whole periods, whose
// first and last blocks are spans apart. What is between strays, as long as the
// header holds it.
func randomEpochs(p *Params, rng *rand.Rand) []*BlockIndex {
	// Three periods at their shortest leave a 64th. A target of 0 has no blocks.
	size, mantissa := 3+rng.Uint32N(0x1b), 0x008000+rng.Uint32N(0x7f8000)
	p.StartBits = min(size<<24|mantissa, p.PowLimitBits)
	tip := modelGenesis(p, p.StartBits)
	chain := []*BlockIndex{tip}
	for range 3 {
		first, span := int64(tip.Header.Time), randomSpan(rng)
		for i := int64(1); i < epochBlocks; i++ {
			time := first + span*i/(epochBlocks-1)
			if i < epochBlocks-1 {
				time += rng.Int64N(2_000)
			}
			tip = extend(tip, uint32(time), tip.Header.Bits)
			chain = append(chain, tip)
		}
		tip = extend(tip, uint32(int64(tip.Header.Time)+rng.Int64N(1_200)), NextBits(p, tip))
		chain = append(chain, tip)
	}
	return chain
}

// Retargets of grown chains, and of the same chains with other times and bits
// at the blocks that decide: a chain is long to grow.
func oracleRetargets(o *oracle) {
	p, main := bitcoinParams(o), newBtcdMain()
	for o.more() {
		chain := randomEpochs(p, o.rng)
		for _, parent := range chain {
			if period := parent.Height % epochBlocks; period == 0 || period == epochBlocks-1 || o.rng.IntN(100) == 0 {
				o.bits(p, main, parent)
			}
		}
		for range 300 {
			period := 1 + o.rng.IntN(2)
			last := chain[epochBlocks*(period+1)-1]
			first := chain[epochBlocks*period]
			time := int64(1<<31) + o.rng.Int64N(1<<20)
			first.Parent.Header.Time = uint32(time - o.rng.Int64N(5_000))
			first.Header.Time = uint32(time)
			last.Header.Time = uint32(time + randomSpan(o.rng))
			target := randomUint256(o.rng).shiftRight(32)
			last.Header.Bits = min(TargetToCompact(target.Add(Uint256{1})), p.PowLimitBits)
			o.bits(p, main, last)
		}
	}
}

func (o *oracle) bits(p *Params, main *btcdMain, parent *BlockIndex) {
	o.Helper()
	bits := NextBits(p, parent)
	same(o, fmt.Sprintf("bits %08x are right", bits), true, main.needsBits(parent, bits), func() string {
		first := parent.Ancestor(parent.Height - min(parent.Height, epochBlocks-1))
		return fmt.Sprintf("parent at height %d, bits %08x, times %d to %d", parent.Height, parent.Header.Bits, first.Header.Time, parent.Header.Time)
	})
}

// bip54Code is the rule of BIP54, H5 or H6, that a header breaks. btcd has
// neither on Bitcoin's main network, but it knows the way to the ancestors.
func bip54Code(parent *BlockIndex, h *Header) Code {
	switch height := parent.Height + 1; height % 2016 {
	case 0:
		if int64(h.Time) < int64(parent.Header.Time)-7200 {
			return ErrTimeWarp
		}
	case 2015:
		if first := (btcdHeader{parent}).RelativeAncestorCtx(2014); int64(h.Time) < first.Timestamp() {
			return ErrTimeNegative
		}
	}
	return ""
}

// verdict is what btcd says about a header, and BIP54. As with us, what is wrong
// for good comes before the clock, which btcd asks first.
func (c *btcdMain) verdict(o *oracle, parent *BlockIndex, h *Header, now time.Time) Code {
	if forGood := o.btcdCode(c.header(parent, h, afterAll.now)); forGood == ErrBadDiffBits || forGood == ErrTimeTooOld {
		return forGood
	}
	if code := bip54Code(parent, h); code != "" {
		return code
	}
	return o.btcdCode(c.header(parent, h, now))
}

// Headers with one fault or none, at the ends of a period and within.
func oracleHeadersInPlace(o *oracle) {
	p, main := bitcoinParams(o), newBtcdMain()
	var chain []*BlockIndex
	for round := 0; o.more(); round++ {
		if round%500 == 0 {
			chain = randomEpochs(p, o.rng)
		}
		parent := chain[o.rng.IntN(len(chain))]
		if o.rng.IntN(2) == 0 {
			parent = chain[epochBlocks*(1+o.rng.IntN(3))-1-o.rng.IntN(2)]
		}
		mtp := parent.MTP()
		h := &Header{Version: 0x20000000, Bits: NextBits(p, parent), Time: uint32(mtp + 1 + o.rng.Int64N(20_000))}
		now := time.Unix(int64(h.Time)+o.rng.Int64N(1_000), 0)
		switch o.rng.IntN(10) {
		case 0:
			h.Bits += 1 - o.rng.Uint32N(3)
		case 1:
			h.Time = uint32(mtp + 1 - o.rng.Int64N(3))
		case 2:
			now = time.Unix(int64(h.Time)-p.FutureLimit-1+o.rng.Int64N(3), 0)
		case 3:
			h.Version = int32(o.rng.Uint32N(8))
		case 4:
			h.Version = int32(o.rng.Uint32())
		case 5: // the least time, or one less
			h.Time = uint32(MinTime(p, parent)) - o.rng.Uint32N(2)
		}
		about := func() string {
			return fmt.Sprintf("header %x at height %d, median %d, clock %d", h.Append(nil), parent.Height+1, mtp, now.Unix())
		}
		o.judged(o.ourCode(CheckHeaderInPlace(p, parent, h, now)), main.verdict(o, parent, h, now), nil, about)
	}
	o.both(1_000, "", refused)
	o.both(50, ErrBadDiffBits, ErrTimeTooOld, ErrTimeTooNew, ErrBadVersion)
	o.both(10, ErrTimeWarp, ErrTimeNegative)
}

func oracleMedianTimes(o *oracle) {
	for o.more() {
		var tip *BlockIndex
		now := o.rng.Uint32() >> 1
		for range 1 + o.rng.IntN(30) {
			h := &Header{Time: now + o.rng.Uint32N(7_200), Bits: easiestBits}
			if tip == nil {
				tip = newIndex(nil, h, Hash{})
			} else {
				tip = newIndex(tip, h, Hash{})
			}
			now += o.rng.Uint32N(600)
			same(o, "median time", tip.MTP(), blockchain.CalcPastMedianTime(btcdHeader{tip}).Unix(), tip.Height)
		}
	}
}

func oracleSubsidies(o *oracle) {
	params := chaincfg.MainNetParams
	for o.more() {
		interval := 1 + o.rng.Int32N(maxHalvingInterval)
		params.SubsidyReductionInterval = interval
		p := &Params{HalvingInterval: uint32(interval)}
		height := o.rng.Uint32N(math.MaxInt32) // btcd's heights have a sign
		if o.rng.IntN(2) == 0 {
			halvings := 1 + o.rng.Uint32N(70)
			height = uint32(interval)*halvings + 1 - o.rng.Uint32N(3)
		}
		same(o, "subsidy", p.Subsidy(height), blockchain.CalcBlockSubsidy(int32(height), &params), fmt.Sprintf("height %d, interval %d", height, interval))
	}
}
