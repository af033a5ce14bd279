package peers

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"
)

// fileVersion is raised when a file of the old version would be misread.
const fileVersion = 1

// MaxFile bounds the file of a book, in bytes: four times what a full one takes.
const MaxFile = 4 << 20

// bookFile is the JSON form of a book and its anchors. Times are Unix seconds.
type bookFile struct {
	Version int              `json:"version"`
	Network string           `json:"network"`
	Anchors []netip.AddrPort `json:"anchors"`
	Tried   []triedRecord    `json:"tried"`
	Fresh   []freshRecord    `json:"fresh"`
}

type triedRecord struct {
	Addr     netip.AddrPort `json:"addr"`
	Seen     int64          `json:"seen"`
	Success  int64          `json:"success"`
	Attempts int            `json:"attempts"`
}

type freshRecord struct {
	Addr     netip.AddrPort `json:"addr"`
	Source   netip.Prefix   `json:"source"`
	Seen     int64          `json:"seen"`
	Attempts int            `json:"attempts"`
}

// Snapshot is what a book held at one time.
type Snapshot struct{ file bookFile }

// Encode returns the file of a book.
func (s *Snapshot) Encode() ([]byte, error) { return json.MarshalIndent(s.file, "", " ") }

// Snapshot returns what the book holds. network names the network that its addresses
// are of, anchors are the peers to be dialed first at the next start.
func (b *Book) Snapshot(network string, anchors []netip.AddrPort) *Snapshot {
	f := bookFile{Version: fileVersion, Network: network, Anchors: slices.Clone(anchors[:min(len(anchors), MaxAnchors)])}
	for _, group := range b.tried.order {
		for _, addr := range b.tried.groups[group] {
			e := b.known[addr]
			f.Tried = append(f.Tried, triedRecord{addr, e.seen.Unix(), e.success.Unix(), e.attempts})
		}
	}
	for _, source := range b.fresh.order {
		for _, addr := range b.fresh.groups[source] {
			e := b.known[addr]
			f.Fresh = append(f.Fresh, freshRecord{addr, source, e.seen.Unix(), e.attempts})
		}
	}
	return &Snapshot{f}
}

// Decode reads a file that Snapshot.Encode wrote into an empty book, and returns the
// anchors. Its caps hold for what a file says too. Where there is an error, the
// book is not to be used.
func (b *Book) Decode(rng *rand.Rand, network string, text []byte) ([]netip.AddrPort, error) {
	if len(text) > MaxFile {
		return nil, fmt.Errorf("longer than %d bytes", MaxFile)
	}
	// A record takes much more memory than "{}" does.
	if n := bytes.Count(text, []byte("{")); n > 1+MaxFresh+MaxTried {
		return nil, fmt.Errorf("%d records, expected at most %d", n-1, MaxFresh+MaxTried)
	}
	var f bookFile
	if err := json.Unmarshal(text, &f); err != nil {
		return nil, err
	}
	if f.Version != fileVersion {
		return nil, fmt.Errorf("version %d, expected %d", f.Version, fileVersion)
	}
	if f.Network != network {
		return nil, fmt.Errorf("of network %.80q, expected %q", f.Network, network)
	}
	if len(f.Anchors) > MaxAnchors {
		return nil, fmt.Errorf("%d anchors, expected at most %d", len(f.Anchors), MaxAnchors)
	}
	for _, r := range f.Tried {
		if !r.Addr.IsValid() || r.Attempts < 0 {
			return nil, errors.New("an address that is none")
		}
		b.Succeeded(time.Unix(r.Success, 0), rng, r.Addr)
		if e := b.known[clean(r.Addr)]; e != nil {
			e.seen, e.last, e.attempts = time.Unix(r.Seen, 0), time.Time{}, r.Attempts
		}
	}
	for _, r := range f.Fresh {
		if !r.Addr.IsValid() || !r.Source.IsValid() || r.Attempts < 0 {
			return nil, errors.New("an address that is none")
		}
		b.Add(time.Unix(r.Seen, 0), rng, r.Source, r.Addr)
		if e := b.known[clean(r.Addr)]; e != nil && !e.tried {
			e.attempts = r.Attempts
		}
	}
	return f.Anchors, nil
}
