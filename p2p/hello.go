package p2p

import (
	"fmt"
	"slices"
	"time"
)

func (e *Engine) greet(now time.Time, p *peer) {
	tip := e.src.Tip()
	hello := &Hello{
		Version: Version, Genesis: e.cfg.Params.GenesisHash(), Nonce: e.nonce,
		Tip: tip.Hash, Height: tip.Height, Work: tip.Work,
		Time: e.clock(now).Unix(), Agent: e.cfg.Agent, Addr: e.cfg.Addr(),
	}
	if p.BlockOnly {
		hello.Addr, hello.Extra = "", []byte{flagBlockOnly}
	}
	e.send(p, hello)
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
	p.offset = time.Unix(m.Time, 0).Sub(e.clock(now).Truncate(time.Second))
	if tip := e.src.Lookup(m.Tip); tip != nil {
		p.learn(tip)
	} else {
		p.claims = true
	}
	if m.Addr != "" && e.cfg.Addresses != nil {
		e.cfg.Addresses.Heard(now, p.Peer, []string{m.Addr}, true)
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
		p.pingNonce = e.pingNonce(now)
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

// onPeers passes on what a peer says, as far as it has not said too much.
func (e *Engine) onPeers(now time.Time, p *peer, m *Peers) {
	if e.cfg.Addresses == nil {
		return
	}
	if now.Sub(p.addrsFrom) >= addrsEvery {
		p.addrsFrom, p.addrs = now, 0
	}
	n := min(len(m.Addrs), addrsPerPeer-p.addrs)
	p.addrs += n
	e.cfg.Addresses.Heard(now, p.Peer, m.Addrs[:n], false)
}

// tickAddrs tells the peer a random part of the book.
func (e *Engine) tickAddrs(now time.Time, p *peer) {
	if e.cfg.Addresses == nil || p.blockOnly() || now.Before(p.addrsAt) {
		return
	}
	p.addrsAt = now.Add(addrsEvery)
	known := slices.DeleteFunc(e.cfg.Addresses.Sample(addrsSent), func(a string) bool { return a == p.Addr || a == p.hello.Addr })
	if len(known) > 0 {
		e.send(p, &Peers{known})
	}
}
