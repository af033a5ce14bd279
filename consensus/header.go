package consensus

import (
	"fmt"
	"time"
)

// MinVersion is the least version of a block. Templates carry 0x20000000, of
// which VersionRollMask may be rolled; no bit means anything (rule H8).
const (
	MinVersion      = 4
	VersionRollMask = 0x1fffe000 // BIP320
)

// CheckPow checks that the header's bits are a target that the network allows
// and that its hash meets it (rule H2). It needs no context, and it is what a
// header costs: nothing is stored for one that fails here.
func CheckPow(p *Params, h *Header) error { return checkPow(p, h, h.Hash()) }

func checkPow(p *Params, h *Header, hash Hash) error {
	target, negative, overflow := CompactToTarget(h.Bits)
	if negative || overflow || target.IsZero() || target.Cmp(p.powLimit) > 0 {
		return invalid(ErrHighHash, fmt.Sprintf("bits %08x are no target up to %08x", h.Bits, p.PowLimitBits))
	}
	if !HashMeetsTarget(hash, target) {
		return invalid(ErrHighHash, fmt.Sprintf("hash %s is above the target %s", hash, target))
	}
	return nil
}

// CheckHeader applies all rules on a header as the child of parent, in Bitcoin
// Core's order (rules H2 to H8): what costs the sender work comes first.
func CheckHeader(p *Params, parent *BlockIndex, h *Header, now time.Time) error {
	if err := CheckPow(p, h); err != nil {
		return err
	}
	return CheckHeaderInPlace(p, parent, h, now)
}

// CheckHeaderInPlace is CheckHeader without the proof of work, for a block that
// is only proposed.
func CheckHeaderInPlace(p *Params, parent *BlockIndex, h *Header, now time.Time) error {
	if want := NextBits(p, parent); h.Bits != want {
		return invalid(ErrBadDiffBits, fmt.Sprintf("bits are %08x and must be %08x at height %d", h.Bits, want, parent.Height+1))
	}
	if mtp := parent.MTP(); int64(h.Time) <= mtp {
		return invalid(ErrTimeTooOld, fmt.Sprintf("time %d is not after the median %d of the last blocks", h.Time, mtp))
	}
	if p.Rule == RuleBitcoin {
		if err := checkPeriodTimes(parent, h); err != nil {
			return err
		}
	}
	if latest := now.Unix() + p.FutureLimit; int64(h.Time) > latest {
		return temporary(ErrTimeTooNew, fmt.Sprintf("time %d is %d s after the latest that the clock allows", h.Time, int64(h.Time)-latest))
	}
	if h.Version < MinVersion {
		return invalid(ErrBadVersion, fmt.Sprintf("0x%08x is below %d", uint32(h.Version), MinVersion))
	}
	return nil
}

// checkPeriodTimes is BIP54's pair of timestamp rules (H5, H6).
func checkPeriodTimes(parent *BlockIndex, h *Header) error {
	switch height := parent.Height + 1; height % epochBlocks {
	case 0:
		if least := int64(parent.Header.Time) - timeWarpGrace; int64(h.Time) < least {
			return invalid(ErrTimeWarp, fmt.Sprintf("time %d of the first block of a period is more than %d s before its parent's %d", h.Time, timeWarpGrace, parent.Header.Time))
		}
	case epochBlocks - 1:
		if first := parent.Ancestor(height - (epochBlocks - 1)); h.Time < first.Header.Time {
			return invalid(ErrTimeNegative, fmt.Sprintf("time %d of the last block of a period is before the first one's %d", h.Time, first.Header.Time))
		}
	}
	return nil
}
