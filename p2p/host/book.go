package host

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	crand "crypto/rand"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/p2p"
	"github.com/kapok-chain/kapok/p2p/peers"
)

// maxMine bounds how many addresses are known to be our own.
const maxMine = 16

// Book is a node's address book with its lock and its file. Whoever tells of
// addresses does so through p2p.Addresses, which it implements; the Host that it
// is given to dials them.
type Book struct {
	log     *slog.Logger
	path    string // "": kept nowhere
	network string

	mu     sync.Mutex
	rng    *rand.Rand
	book   *peers.Book
	dialer peers.Dialer
	mine   []netip.AddrPort // found to be ourselves
	told   []string         // what Sample answers
	anew   time.Time        // when that is drawn again
}

var _ p2p.Addresses = (*Book)(nil)

// OpenBook reads the address book of a network; an empty path is a book that is
// kept nowhere. A file that cannot be used is logged and replaced at the next
// save: addresses are heard of again. private says that addresses that are not
// publicly routable are held too, for attack tests.
func OpenBook(path string, genesis consensus.Hash, private bool, log *slog.Logger) *Book {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	var seed [32]byte
	crand.Read(seed[:]) // never fails (Go 1.24)
	b := &Book{
		log: log, path: path, network: genesis.String(), rng: rand.New(rand.NewChaCha8(seed)), book: peers.NewBook(private),
	}
	text, err := readSmall(path, peers.MaxFile)
	if errors.Is(err, fs.ErrNotExist) {
		return b
	}
	if err == nil {
		b.dialer.Anchors, err = b.book.Decode(b.rng, b.network, text)
	}
	if err != nil {
		log.Warn("the address book cannot be used: starting with an empty one", "file", path, "reason", err)
		b.book = peers.NewBook(private)
	}
	return b
}

// readSmall reads a file of at most limit bytes. There is none at an empty path.
func readSmall(path string, limit int64) ([]byte, error) {
	if path == "" {
		return nil, fs.ErrNotExist
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(text)) > limit {
		return nil, fmt.Errorf("longer than %d bytes", limit)
	}
	return text, nil
}

// save writes the book, with the peers to be dialed first at the next start. Where
// that fails, it is logged: a node works without.
func (b *Book) save(anchors []netip.AddrPort) {
	if b.path == "" {
		return
	}
	b.mu.Lock()
	now := b.book.Snapshot(b.network, append(anchors, b.dialer.Anchors...))
	b.mu.Unlock()
	text, err := now.Encode() // without the lock: the node waits for it when it hears of addresses
	if err == nil {
		err = replaceFile(b.path, text)
	}
	if err != nil {
		b.log.Warn("cannot save the address book", "file", b.path, "reason", err)
	}
}

// Heard implements p2p.Addresses. Names, which would be looked up, and addresses
// that are no use to anybody are passed over.
func (b *Book) Heard(now time.Time, from p2p.Peer, addrs []string, own bool) {
	there, ok := textAddr(from.Addr)
	if !ok {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, text := range addrs {
		addr, ok := textAddr(text)
		if !ok {
			continue
		}
		if own && addr.Addr().IsUnspecified() {
			addr = netip.AddrPortFrom(there.Addr(), addr.Port())
		}
		b.add(now, peers.GroupOf(there.Addr()), addr)
	}
}

// add files an address that is not our own; b.mu is held.
func (b *Book) add(now time.Time, source netip.Prefix, addr netip.AddrPort) {
	for _, mine := range b.mine {
		if mine == addr {
			return
		}
	}
	b.book.Add(now, b.rng, source, addr)
}

// discovered files addresses that no peer told of.
func (b *Book) discovered(now time.Time, source netip.Prefix, addrs []ma.Multiaddr) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, multi := range addrs {
		if _, err := multi.ValueForProtocol(ma.P_TCP); err != nil {
			continue // of QUIC: the same node listens on TCP
		}
		if addr, ok := addrPort(multi); ok {
			b.add(now, source, addr)
		}
	}
}

// fit returns those of some addresses that the book may hold.
func (b *Book) fit(addrs []ma.Multiaddr) []ma.Multiaddr {
	return slices.DeleteFunc(slices.Clone(addrs), func(multi ma.Multiaddr) bool {
		addr, ok := addrPort(multi)
		return !ok || !b.book.Holds(addr)
	})
}

// forget takes an address out of the book.
func (b *Book) forget(addr netip.AddrPort) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.book.Remove(addr)
}

// Sample implements p2p.Addresses. Whoever asks hears the same for a day or so, as of
// Bitcoin Core: not even who comes again and again learns all of the book.
func (b *Book) Sample(n int) []string { return b.sample(time.Now(), n) }

func (b *Book) sample(now time.Time, n int) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if wait := b.anew.Sub(now); wait <= 0 || wait > sampleMax { // or the clock was set back
		b.told = nil
		for _, addr := range b.book.Sample(b.rng, n) {
			b.told = append(b.told, multiaddr(addr))
		}
		b.anew = now.Add(sampleMin + time.Duration(b.rng.Int64N(int64(sampleMax-sampleMin))))
		if len(b.told) < n { // a small book, all of which is told
			b.anew = now.Add(sampleSmall)
		}
	}
	return slices.Clone(b.told[:min(n, len(b.told))])
}

// next returns what is to be dialed now.
func (b *Book) next(now time.Time, links []peers.Link, extra bool) (peers.Link, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.dialer.Next(now, b.rng, b.book, links, extra)
}

// dialed takes note of how an attempt ended. counts says that others could be
// reached at that time.
func (b *Book) dialed(now time.Time, addr netip.AddrPort, err error, counts bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case err == nil:
		b.book.Succeeded(now, b.rng, addr)
	case errors.Is(err, errConnected):
		b.book.Failed(now, addr, false) // tried just now, and nothing is known
	case errors.Is(err, ErrSelf):
		b.book.Remove(addr)
		if len(b.mine) < maxMine {
			b.mine = append(b.mine, addr)
		}
	case errors.Is(err, ErrOtherNetwork):
		b.book.Remove(addr)
	default:
		b.book.Failed(now, addr, counts)
	}
}

// Known lists the book, tried addresses first, as multiaddresses.
func (b *Book) Known() []KnownAddr {
	b.mu.Lock()
	defer b.mu.Unlock()
	var known []KnownAddr
	for _, k := range b.book.All() {
		known = append(known, KnownAddr{multiaddr(k.Addr), k.Seen})
	}
	return known
}

// KnownAddr is an address of the book and when it was last heard of.
type KnownAddr struct {
	Addr string
	Seen time.Time
}

// addrPort returns the IP address and port of a multiaddress of TCP or QUIC.
func addrPort(addr ma.Multiaddr) (netip.AddrPort, bool) {
	if addr == nil {
		return netip.AddrPort{}, false
	}
	ip, err := manet.ToIP(addr)
	if err != nil {
		return netip.AddrPort{}, false
	}
	parsed, ok := netip.AddrFromSlice(ip)
	if !ok {
		return netip.AddrPort{}, false
	}
	for _, protocol := range []int{ma.P_TCP, ma.P_UDP} {
		if c, err := addr.ValueForProtocol(protocol); err == nil {
			port, err := netip.ParseAddrPort("0.0.0.0:" + c)
			return netip.AddrPortFrom(parsed.Unmap(), port.Port()), err == nil
		}
	}
	return netip.AddrPort{}, false
}

// textAddr is addrPort of a text that a stranger sent.
func textAddr(text string) (netip.AddrPort, bool) {
	if len(text) > maxAddrLen {
		return netip.AddrPort{}, false
	}
	addr, err := ma.NewMultiaddr(text)
	if err != nil {
		return netip.AddrPort{}, false
	}
	return addrPort(addr)
}

// multiaddr is the TCP multiaddress of an IP address and port.
func multiaddr(addr netip.AddrPort) string {
	kind := "ip6"
	if addr.Addr().Is4() {
		kind = "ip4"
	}
	return fmt.Sprintf("/%s/%s/tcp/%d", kind, addr.Addr(), addr.Port())
}

// newSecret draws a number that nobody else knows.
func newSecret() uint64 {
	var b [8]byte
	crand.Read(b[:]) // never fails (Go 1.24)
	return binary.LittleEndian.Uint64(b[:])
}
