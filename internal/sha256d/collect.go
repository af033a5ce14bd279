package sha256d

import (
	"cmp"
	"slices"
)

// maxScan bounds the hashes of one call of assembly, which nothing interrupts: two
// milliseconds at 32 million hashes a second.
const maxScan = 1 << 16

// maxFound bounds the hits of one scan, which ends when there are as many. It is
// more than the versions of a nonce, so that a search gets on.
const maxFound = 2 * MaxVersions

// searchVersions is Search by a scan that tries all versions of a nonce, width in
// all, before it goes on to the next. scan returns the hits, counted from the first
// hash on, and whether it ended early since they were maxFound.
func searchVersions(w *Work, start, n uint32, hits []Hit, width uint32, scan func(start, n uint32) (at []uint32, full bool)) (found int, tried uint32) {
	for tried < n && len(hits)-found >= len(w.lanes) {
		end := min(n-tried, max(1, maxScan/width))
		at, full := scan(start+tried, end)
		if full {
			end = min(end, at[len(at)-1]/width) // the last of these nonces has more versions, or is beyond
		}
		last := uint32(0)
		for _, i := range at {
			nonce, lane := i/width, int(i%width)
			if nonce != last && len(hits)-found < len(w.lanes) {
				end = min(end, nonce)
			}
			if last = nonce; nonce >= end {
				break
			}
			if lane < len(w.lanes) {
				hits[found] = Hit{Nonce: start + tried + nonce, Version: w.lanes[lane].version}
				found++
			}
		}
		tried += end
	}
	return found, tried
}

// searchLanes is Search by a scan that tries one version alone: in turns, a piece
// of the nonces each.
func searchLanes(w *Work, start, n uint32, hits []Hit, scan func(lane int, start, n uint32) (at []uint32, full bool)) (found int, tried uint32) {
	if len(w.lanes) == 1 {
		return searchVersions(w, start, n, hits, 1, func(start, n uint32) ([]uint32, bool) { return scan(0, start, n) })
	}
	// Long pieces, so that what a scan begins and ends with does not matter, and too
	// short for it to end early.
	piece := uint32(maxFound / 2)
	for tried < n && len(hits)-found >= len(w.lanes) {
		first, end, all := start+tried, min(n-tried, piece), found
		for lane := range w.lanes {
			at, _ := scan(lane, first, end)
			for _, i := range at {
				if i >= end { // the scan's last group was not asked for whole
					break
				}
				if all < len(hits) {
					hits[all] = Hit{Nonce: first + i, Version: w.lanes[lane].version}
				}
				all++
			}
		}
		if all > len(hits) {
			piece = 1 // which has room
			continue
		}
		slices.SortStableFunc(hits[found:all], func(a, b Hit) int { return cmp.Compare(a.Nonce-first, b.Nonce-first) })
		found, tried = all, tried+end
	}
	return found, tried
}
