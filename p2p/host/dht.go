package host

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/kapok-chain/kapok/p2p/peers"
)

// The distributed hash table.
const (
	walkFirst    = 5 * time.Second // after the start, and again while the table is empty
	walkInterval = 5 * time.Minute
	walkTimeout  = time.Minute
	// Of one net group, as many may stand in one bucket of the table, and in all of it.
	maxInBucket, maxInTable = 2, 3
)

// newDHT joins the network's own Kademlia table, which stores nothing: it serves to
// find nodes. It dials, as the book does, publicly routable addresses only: a stranger
// may say that nodes are anywhere in our own network. What it connects to is closed
// soon, as every connection without a session is.
func (h *Host) newDHT() (*dht.IpfsDHT, error) {
	options := []dht.Option{
		dht.ProtocolPrefix(protocol.ID("/kapok/" + h.cfg.network())),
		dht.Mode(dht.ModeServer),
		dht.DisableValues(), dht.DisableProviders(), dht.DisableAutoRefresh(),
		dht.QueryFilter(func(_ any, info peer.AddrInfo) bool { return len(h.cfg.Book.fit(info.Addrs)) > 0 }),
		dht.AddressFilter(h.cfg.Book.fit),
	}
	if !h.cfg.LimitPrivate {
		options = append(options, dht.RoutingTablePeerDiversityFilter(dht.NewRTPeerDiversityFilter(h.lib, maxInBucket, maxInTable)))
	}
	table, err := dht.New(h.lib, options...)
	if err != nil {
		return nil, fmt.Errorf("the distributed hash table: %w", err)
	}
	return table, nil
}

// startDHT walks through the table until the host closes. What is found goes into the
// book, all of it as the word of one source.
func (h *Host) startDHT() error {
	table, err := h.newDHT()
	if err != nil {
		return err
	}
	h.spawn(func() {
		defer table.Close()
		wait := walkFirst
		for {
			if pause(h.ctx, wait); h.ctx.Err() != nil {
				return
			}
			if table.RoutingTable().Size() > 0 {
				wait = walkInterval
				h.walk(table)
			}
		}
	})
	return nil
}

// walk asks the table for the nodes next to a random place.
func (h *Host) walk(table *dht.IpfsDHT) {
	var place [32]byte
	rand.Read(place[:]) // never fails (Go 1.24)
	ctx, cancel := context.WithTimeout(h.ctx, walkTimeout)
	defer cancel()
	ids, err := table.GetClosestPeers(ctx, string(place[:]))
	if err != nil {
		h.log.Debug("the distributed hash table has no answer", "reason", err)
	}
	for _, id := range ids {
		h.cfg.Book.discovered(time.Now(), peers.Discovery, h.lib.Peerstore().Addrs(id))
	}
}
