package p2p

import (
	"fmt"
	"slices"
	"time"
)

func (e *Engine) greet(now time.Time, p *peer) {
	tip := e.src.Tip()
	e.send(p, &Hello{
		Version: Version, Genesis: e.cfg.Params.GenesisHash(), Nonce: e.nonce,
		Tip: tip.Hash, Height: tip.Height, Work: tip.Work,
		Time: now.Unix(), Agent: e.cfg.Agent, Addr: e.cfg.Addr,
	})
}

func (e *Engine) onHello(now time.Time, p *peer, m *Hello) {
	if p.hello != nil {
		e.blame(now, p, scoreNonsense, "said hello twice")
		return
	}
	switch ours := e.cfg.Params.GenesisHash(); {
	case m.Genesis != ours:
		e.drop(p, fmt.Sprintf("is on another network: its genesis is %s, ours (%s) is %s", m.Genesis, e.cfg.Params.Name, ours))
		return
	case m.Nonce == e.nonce:
		e.drop(p, "is this node itself")
		return
	case m.Version < MinVersion:
		e.drop(p, fmt.Sprintf("speaks version %d, the oldest one understood is %d", m.Version, MinVersion))
		return
	}
	p.hello = m
	p.offset = time.Unix(m.Time, 0).Sub(now.Truncate(time.Second))
	if tip := e.src.Lookup(m.Tip); tip != nil {
		p.learn(tip)
	} else {
		p.claims = true
	}
	if m.Addr != "" {
		e.book.add(p, m.Addr)
	}
	if !p.Inbound && p.Addr != "" {
		e.book.add(p, p.Addr)
	}
	p.sendIDsAt = now
	p.pollAt = now.Add(pollAfterNews) // a block found between the two hellos is told to nobody
	p.addrsAt = now
	e.tickPing(now, p)
	e.tickMempool(now, p)
	e.tickAddrs(now, p)
}

// tickPing measures the way to the peer and back, and finds dead peers.
func (e *Engine) tickPing(now time.Time, p *peer) {
	switch {
	case p.pingNonce != 0 && now.Sub(p.pingAt) >= pongTimeout:
		e.drop(p, "no answer to a ping within "+pongTimeout.String())
	case p.pingNonce == 0 && (p.pingAt.IsZero() || now.Sub(p.pingAt) >= pingInterval):
		p.pingNonce = max(e.rng.Uint64(), 1)
		p.pingAt = now
		e.send(p, &Ping{p.pingNonce})
	}
}

func (e *Engine) onPong(now time.Time, p *peer, m *Pong) {
	if p.pingNonce == 0 || m.Nonce != p.pingNonce {
		return // late, or made up: worth nothing
	}
	p.pingNonce = 0
	p.ping = now.Sub(p.pingAt)
	if p.minPing == 0 || p.ping < p.minPing {
		p.minPing = p.ping
	}
}

// addressBook holds addresses of nodes, for whoever asks and for the host to
// dial. No peer fills more than addrsPerPeer of its maxKnownAddrs places.
type addressBook struct{ addrs recent[string] }

func newAddressBook() addressBook { return addressBook{newRecent[string](maxKnownAddrs)} }

func (b *addressBook) add(p *peer, addr string) {
	if addr == "" || len(addr) > MaxAddr || p.addrs == addrsPerPeer {
		return
	}
	if b.addrs.add(addr) {
		p.addrs++
	}
}

// Addresses lists the addresses that are known, as peers stated them.
func (e *Engine) Addresses() []string { return slices.Clone(e.book.addrs.order) }

func (e *Engine) onPeers(p *peer, m *Peers) {
	for _, addr := range m.Addrs {
		e.book.add(p, addr)
	}
}

// tickAddrs tells the peer a random part of the book.
func (e *Engine) tickAddrs(now time.Time, p *peer) {
	if now.Before(p.addrsAt) {
		return
	}
	p.addrsAt = now.Add(addrsEvery)
	known := e.Addresses()
	e.rng.Shuffle(len(known), func(i, j int) { known[i], known[j] = known[j], known[i] })
	known = slices.DeleteFunc(known, func(a string) bool { return a == p.Addr || a == p.hello.Addr })
	if known = known[:min(len(known), addrsSent)]; len(known) > 0 {
		e.send(p, &Peers{known})
	}
}
