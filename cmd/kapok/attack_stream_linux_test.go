package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/p2p"
)

// Attacks by streams.

var errOver = errors.New("over")

// cut waits until the victim has ended the attacker's session.
func (a *assault) cut(m *attacker, limit time.Duration) bool {
	return a.net.eventually(limit, func() error {
		if m.connected() {
			return errOver
		}
		return nil
	}) == nil
}

// oversized is attack 2: lengths that are not allowed, with the bytes behind them, and
// messages of 4 MB that are none.
func oversized(a *assault) {
	type bad struct {
		name   string
		length uint32
		bytes  int
	}
	kinds := []bad{{"length 4 GB", 1<<32 - 1, 64 << 20}, {"length 64 MB", 64 << 20, 64 << 20}, {"junk of 4 MB", 4 << 20, 4 << 20}, {"a type of later", 4 << 20, 4 << 20}}
	var mu sync.Mutex
	sent, slowest, most := make(map[string]int), time.Duration(0), 0
	piece := junk(64 << 10)
	for k, m := range a.attackers {
		kind := kinds[k%len(kinds)]
		a.lives.Go(func() {
			for a.ctx.Err() == nil {
				if !m.connected() && m.join(a.ctx) != nil {
					time.Sleep(50 * time.Millisecond)
					continue
				}
				began := time.Now()
				head := append(binary.BigEndian.AppendUint32(nil, kind.length), byte(p2p.TypeBlock), 0xff)
				if kind.name == "a type of later" {
					head[4] = 200
				}
				n, err := m.raw(head)
				for err == nil && n < kind.bytes+4 && a.ctx.Err() == nil {
					var more int
					more, err = m.raw(piece[:min(len(piece), kind.bytes+4-n)])
					n += more
				}
				mu.Lock()
				sent[kind.name]++
				if kind.length > p2p.MaxMessage {
					most = max(most, n)
				}
				mu.Unlock()
				if kind.name == "a type of later" {
					time.Sleep(200 * time.Millisecond)
					continue
				}
				if a.ctx.Err() != nil {
					return
				}
				if !a.cut(m, 5*time.Second) {
					a.Errorf("(f) %s: still connected after 5 s", kind.name)
					return
				}
				mu.Lock()
				slowest = max(slowest, time.Since(began))
				mu.Unlock()
				time.Sleep(50 * time.Millisecond)
			}
		})
	}
	<-a.ctx.Done()
	a.lives.Go(func() {
		mu.Lock()
		defer mu.Unlock()
		if most > 2<<20 {
			a.Errorf("the victim let %d kB be sent behind a length that is not allowed", most>>10)
		}
		a.notef("sent %v, cut off after %.2f s and %d kB at the most", sent, slowest.Seconds(), most>>10)
	})
}

// cheapHeaders is a chain of headers of least difficulty that leaves ours at genesis.
func cheapHeaders(n *attackNet, count int) []consensus.Header {
	headers := make([]consensus.Header, count)
	target, _, _ := consensus.CompactToTarget(n.params.PowLimitBits)
	after, at := n.params.GenesisHash(), n.params.GenesisTime
	for i := range headers {
		h := &headers[i]
		at += uint32(n.params.Spacing)
		*h = consensus.Header{Version: consensus.MinVersion, Prev: after, MerkleRoot: consensus.Hash{1}, Time: at, Bits: n.params.PowLimitBits}
		hash := h.Hash()
		for ; !consensus.HashMeetsTarget(hash, target); hash = h.Hash() {
			h.Nonce++
		}
		after = hash
	}
	return headers
}

// offerHeaders lets the attackers claim a chain with much work, and answer with these
// headers.
func (a *assault) offerHeaders(headers []consensus.Header) {
	place := make(map[consensus.Hash]int, len(headers))
	for i := range headers {
		place[headers[i].Hash()] = i + 1
	}
	for _, m := range a.attackers {
		m.hello.Tip, m.hello.Height = strayHash(), 1<<24
		m.hello.Work[3] = 1
		m.answer = func(msg p2p.Msg) {
			ask, ok := msg.(*p2p.GetHeaders)
			if !ok {
				return
			}
			from := 0
			for _, hash := range ask.Locator {
				if at, known := place[hash]; known {
					from = at
					break
				}
			}
			to := min(from+p2p.MaxHeaders, len(headers))
			a.headers.Add(int64(to - from))
			_ = m.say(&p2p.Headers{Headers: headers[from:to]}) // who was dropped sees it elsewhere
		}
	}
}

// prepareLowWork and lowWork are attack 5: a million headers of least difficulty (fewer in
// a slice) from each of twenty peers at once.
func prepareLowWork(a *assault) {
	count := 1_000_000
	if a.lasts < longRun {
		count = 50_000
	}
	a.offerHeaders(cheapHeaders(a.net, count))
}

func lowWork(a *assault) {
	for _, m := range a.attackers { // an announcement of an unknown parent makes the victim ask
		a.lives.Go(func() {
			flood(a.ctx, 1, func(int) error {
				return m.say(p2p.NewAnnounce(a.net.stray(strayHash(), a.net.params.GenesisTime+1, a.net.params.PowLimitBits), 1))
			})
		})
	}
}

func checkLowWork(a *assault) {
	var info struct{ Blocks, Headers int }
	if err := a.net.victim.client.Call(a.net.life, "getblockchaininfo", &info); err != nil {
		a.Error(err)
	}
	if info.Headers != info.Blocks {
		a.Errorf("%d headers, and %d blocks: headers of little work are kept", info.Headers, info.Blocks)
	}
	if a.headers.Load() < p2p.MaxHeaders {
		a.Errorf("only %d headers were asked for", a.headers.Load())
	}
	a.notef("%d headers from %d peers", a.headers.Load(), len(a.attackers))
	noBodies(a)
}

// prepareNoWork and noWork are attack 5b: messages full of headers without their work.
// Each attacker has to be gone after its first one, and is back under its own name.
func prepareNoWork(a *assault) {
	headers := make([]consensus.Header, p2p.MaxHeaders)
	after := a.net.params.GenesisHash()
	for i := range headers {
		headers[i] = consensus.Header{Version: consensus.MinVersion, Prev: after, Time: a.net.params.GenesisTime + uint32(10*i), Bits: 0x1d00ffff}
		after = headers[i].Hash()
	}
	a.offerHeaders(headers)
}

func noWork(a *assault) {
	for _, m := range a.attackers {
		a.lives.Go(func() {
			for a.ctx.Err() == nil {
				if !m.connected() {
					if m.join(a.ctx) == nil {
						a.rounds.Add(1)
					}
				}
				_ = m.say(&p2p.Headers{Headers: []consensus.Header{{Version: consensus.MinVersion, Prev: strayHash(), Bits: 0x1d00ffff}}})
				time.Sleep(20 * time.Millisecond)
			}
		})
	}
}

func checkNoWork(a *assault) {
	a.notef("%d headers in %d sessions", a.headers.Load(), a.rounds.Load())
}

// orphanBlocks is attack 6: blocks with work whose parents are nowhere, whole and
// announced.
func orphanBlocks(a *assault) {
	for _, m := range a.attackers {
		m.answer = func(msg p2p.Msg) {
			if _, ok := msg.(*p2p.GetHeaders); ok {
				_ = m.say(&p2p.Headers{})
			}
		}
	}
	a.each(1000, func(m *attacker, i int) error {
		a.rounds.Add(1)
		block := a.net.stray(strayHash(), uint32(time.Now().Unix()), a.net.params.PowLimitBits)
		switch i % 3 {
		case 0:
			return m.say(&p2p.Block{Block: block})
		case 1:
			return m.say(p2p.NewAnnounce(block, uint64(i)))
		}
		return m.publish("block", p2p.Encode(p2p.NewAnnounce(block, uint64(i))))
	})
}

func checkOrphans(a *assault) {
	most := 0
	for _, m := range a.attackers {
		most = max(most, m.times(p2p.TypeGetHeaders))
	}
	if limit := int(time.Since(a.began).Seconds()) + 3; most > limit || most == 0 {
		a.Errorf("a peer was asked for the parents %d times, more than once a second", most)
	}
	a.notef("%d orphans, parents asked %d times at the most", a.rounds.Load(), most)
	noBodies(a)
}

// slowLoris is attack 9: peers that ask for much and read a byte a second, peers that
// begin large messages and stop, and two that announce each honest block first and
// withhold it, or half of it.
func slowLoris(a *assault) {
	for k, m := range a.attackers[2:] {
		a.lives.Go(func() {
			_ = m.host.Network().ClosePeer(m.victim.ID) // the session that all begin with
			for a.ctx.Err() == nil {
				s, err := m.open(a.ctx)
				if err != nil {
					time.Sleep(100 * time.Millisecond)
					continue
				}
				opened := time.Now()
				m.mu.Lock()
				m.stream = s
				m.mu.Unlock()
				_ = m.say(&m.hello)
				if k%2 == 0 { // half a frame
					_ = m.rawAll(binary.BigEndian.AppendUint32(nil, p2p.MaxMessage), make([]byte, 3<<20))
				} else {
					_ = m.say(&p2p.GetBlocks{Hashes: a.net.fat})
				}
				one := make([]byte, 1)
				for err == nil && a.ctx.Err() == nil && time.Since(opened) < 30*time.Second {
					_ = s.SetReadDeadline(time.Now().Add(attackTimeout))
					if k%2 == 1 {
						time.Sleep(time.Second)
						_ = m.say(&p2p.Pong{}) // fails once the stream is reset
						_, err = s.Read(one)
						if err == nil {
							err = m.say(&p2p.Pong{})
						}
						continue
					}
					_, err = s.Read(one) // what the victim says, until it hangs up
				}
				if a.ctx.Err() == nil {
					a.cuts(time.Since(opened))
				}
				_ = s.Reset()
			}
		})
	}
}

// rawAll sends bytes one after the other.
func (a *attacker) rawAll(pieces ...[]byte) error {
	for _, b := range pieces {
		if _, err := a.raw(b); err != nil {
			return err
		}
	}
	return nil
}

// cuts notes how long the victim took to end a stream.
func (a *assault) cuts(took time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ends = append(a.ends, took.Seconds())
}

func checkSlow(a *assault) {
	_ = a.net.eventually(recoveryLimit, func() error { // where the machine was too busy for it until now
		a.mu.Lock()
		defer a.mu.Unlock()
		if len(a.ends) == 0 {
			return errors.New("no stream was ended")
		}
		return nil
	})
	a.mu.Lock()
	ends := sortedCopy(a.ends)
	a.mu.Unlock()
	if len(ends) == 0 || percentile(ends, 1) > 15 { // 10 s, what moved before, and a look each second
		a.Errorf("(f) %d streams were ended, the last after %.1f s", len(ends), percentile(ends, 1))
	}
	if a.rounds.Load() == 0 {
		a.Error("no block was asked from those who withhold it")
	}
	a.notef("%d streams ended, after %.1f to %.1f s; %d requests for blocks withheld", len(ends), percentile(ends, 0), percentile(ends, 1), a.rounds.Load())
}

// prepareWithheld lets the first two attackers announce each honest block before
// honest peers do: one answers with nothing, one with half of what it is asked for.
func prepareWithheld(a *assault) {
	a.burden.private = 20
	var block atomic.Pointer[consensus.Block]
	a.burden.found = func(b *consensus.Block) {
		block.Store(b)
		for i, m := range a.attackers[:2] {
			_ = m.say(p2p.NewAnnounce(b, uint64(i)))
		}
	}
	half := a.attackers[1]
	half.answer = func(msg p2p.Msg) {
		if ask, ok := msg.(*p2p.GetBlockTxs); ok {
			a.rounds.Add(1)
			m := &p2p.BlockTxs{Block: ask.Block}
			for _, i := range ask.Indexes {
				m.Txs = append(m.Txs, block.Load().Txs[i])
			}
			body := p2p.Encode(m)
			_ = half.rawAll(append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body[:len(body)/2]...))
		}
	}
	a.attackers[0].answer = func(msg p2p.Msg) {
		if _, ok := msg.(*p2p.GetBlockTxs); ok {
			a.rounds.Add(1)
		}
	}
}

// prepareGarbage is attack 23: five peers announce each honest block before honest
// peers do, with short ids of nothing, in a thousand variants.
func prepareGarbage(a *assault) {
	a.burden.found = func(b *consensus.Block) {
		var all sync.WaitGroup
		for _, m := range a.attackers {
			all.Go(func() {
				for i := range 1000 / len(a.attackers) {
					garbage := p2p.NewAnnounce(b, rand.Uint64())
					for j := range garbage.ShortIDs {
						copy(garbage.ShortIDs[j][:], junk(8))
					}
					if i%2 == 0 {
						_ = m.say(garbage)
					} else {
						_ = m.publish("block", p2p.Encode(garbage))
					}
				}
			})
		}
		all.Wait()
	}
}

// checkGarbage checks that the victim had seen garbage first.
func checkGarbage(a *assault) {
	asked := 0
	for _, m := range a.attackers {
		asked += m.times(p2p.TypeGetBlockTxs) + m.times(p2p.TypeGetBlocks)
	}
	if asked == 0 {
		a.Error("no block was asked from those who made its announcement up")
	}
	a.notef("%d requests to those who made announcements up", asked)
}

// churn is attack 21: peers come, say what peers say, and are gone.
func churn(a *assault) {
	var come sync.WaitGroup
	flood(a.ctx, churnRate, func(int) error {
		come.Go(func() {
			m, err := a.net.newAttacker()
			if err != nil {
				a.Error(err)
				return
			}
			defer m.close()
			if m.join(a.ctx) != nil {
				return // the attack ends
			}
			_ = m.say(&p2p.GetHeaders{Locator: []consensus.Hash{a.net.params.GenesisHash()}})
			time.Sleep(200 * time.Millisecond)
			a.rounds.Add(1)
		})
		return nil
	})
	come.Wait()
}

// churnRate is how many peers come in a second.
const churnRate = 20

// otherVersions is attack 22: an old node and a new one, with types, fields and topics
// that this version does not know.
func otherVersions(a *assault) {
	unknownRPC := func(rpc *pb.RPC) *pb.RPC {
		b := protowire.AppendTag(nil, 77, protowire.BytesType)
		rpc.ProtoReflect().SetUnknown(protowire.AppendBytes(b, junk(64)))
		return rpc
	}
	a.each(20*len(a.attackers), func(m *attacker, i int) error {
		switch i % 5 {
		case 0:
			return m.frame(append([]byte{byte(18 + i%200)}, junk(i%5000)...))
		case 1:
			return m.publish([]string{"tx", "block"}[i/5%2], append([]byte{byte(18 + i%200)}, junk(64+8*(i%500))...))
		case 2:
			return m.gossip(unknownRPC(&pb.RPC{Subscriptions: []*pb.RPC_SubOpts{
				{Subscribe: proto.Bool(true), Topicid: proto.String(a.net.topic(fmt.Sprint("later", i%7)))}}}))
		case 3:
			return m.publish(fmt.Sprint("later", i%7), junk(100))
		}
		return m.say(&p2p.GetHeaders{Locator: []consensus.Hash{strayHash(), a.net.params.GenesisHash()}})
	})
}

func prepareVersions(a *assault) {
	for i, m := range a.attackers {
		switch i % 3 {
		case 0: // the first that there was
			m.hello.Agent = ""
		case 1: // the next one
			m.hello.Version, m.hello.Extra = p2p.Version+1, append([]byte{0xfe}, junk(64)...)
		case 2:
			m.hello.Version, m.hello.Extra = 1<<31, append([]byte{0}, junk(p2p.MaxHelloExtra-8)...)
		}
	}
}

// unharmed checks that the victim has nothing against an attacker.
func unharmed(a *assault) {
	peers, err := a.net.victim.peers(a.net.life)
	if err != nil {
		a.Error(err)
	}
	for i, m := range a.attackers {
		p, connected := peers[m.host.ID().String()]
		if !connected || p.Score > 0 || m.shutOut() {
			a.Errorf("(f) peer %d of another version: connected %v, %v points", i, connected, p.Score)
		}
	}
}
