package main

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"google.golang.org/protobuf/proto"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/internal/sha256d"
	"github.com/kapok-chain/kapok/miner"
	"github.com/kapok-chain/kapok/p2p"
)

// Attacks by gossip.

// each lets every attacker flood the victim, all together so many times a second. One
// that was shut out is back after a while, under its own name.
func (a *assault) each(rate int, f func(m *attacker, i int) error) {
	for _, m := range a.attackers {
		a.lives.Go(func() {
			for a.ctx.Err() == nil {
				flood(a.ctx, max(rate/len(a.attackers), 1), func(i int) error { return f(m, i) })
				select {
				case <-a.ctx.Done():
				case <-time.After(200 * time.Millisecond):
				}
				if a.ctx.Err() == nil {
					m.back(a.ctx)
				}
			}
		})
	}
}

// malformedGossip is attack 1: random bytes, and blocks and payments with one bit turned.
func malformedGossip(a *assault) {
	tx := p2p.Encode(&p2p.Tx{Tx: a.net.pay(a.net.chain.Coinbase(blockName(1)), chaintest.To("mallory", 1))})
	block := p2p.Encode(p2p.NewAnnounce(a.net.chain.Block(blockName(rampBlocks+evenBlocks)), 1))
	a.each(1000, func(m *attacker, i int) error {
		switch i % 3 {
		case 0:
			return m.publish("tx", flipped(tx))
		case 1:
			return m.publish("block", flipped(block))
		}
		return m.publish([]string{"tx", "block"}[i/3%2], junk(256+rand.IntN(2048)))
	})
}

// controlFlood is attack 3: each of the attackers has a control message of its own.
func controlFlood(a *assault) {
	tx, block := proto.String(a.net.topic("tx")), proto.String(a.net.topic("block"))
	names := func(n int) (ids []string) {
		for range n {
			ids = append(ids, string(junk(32)))
		}
		return ids
	}
	// The first of each is larger than the victim takes, by its size or its number.
	floods := []func(i int) *pb.RPC{
		func(i int) *pb.RPC { // topics by the million
			rpc := new(pb.RPC)
			for range 10_000 / (1 + 4*min(i, 1)) {
				rpc.Subscriptions = append(rpc.Subscriptions, &pb.RPC_SubOpts{Subscribe: proto.Bool(true), Topicid: proto.String(letters(24))})
			}
			return rpc
		},
		func(i int) *pb.RPC { // as many as are listened to, with long names
			rpc := new(pb.RPC)
			for range 20 {
				rpc.Subscriptions = append(rpc.Subscriptions, &pb.RPC_SubOpts{Subscribe: proto.Bool(true), Topicid: proto.String(letters(20_000 / (1 + 6*min(i, 1))))})
			}
			return rpc
		},
		func(i int) *pb.RPC { // into the mesh and out again, never to come back
			if i%2 == 0 {
				return &pb.RPC{Control: &pb.ControlMessage{Graft: []*pb.ControlGraft{{TopicID: tx}, {TopicID: block}}}}
			}
			forever := proto.Uint64(math.MaxUint64 >> (6 * i))
			return &pb.RPC{Control: &pb.ControlMessage{Prune: []*pb.ControlPrune{{TopicID: tx, Backoff: forever}, {TopicID: block, Backoff: forever}}}}
		},
		func(i int) *pb.RPC { // messages that are not there
			n := 5000 / (1 + 4*min(i, 1))
			return &pb.RPC{Control: &pb.ControlMessage{Ihave: []*pb.ControlIHave{{TopicID: tx, MessageIDs: names(n - n%900)}, {TopicID: block, MessageIDs: names(900)}}}}
		},
		func(i int) *pb.RPC { // nor are these
			return &pb.RPC{Control: &pb.ControlMessage{Iwant: []*pb.ControlIWant{{MessageIDs: names(9000 / (1 + 4*min(i, 1)))}}}}
		},
		func(i int) *pb.RPC {
			rpc := &pb.RPC{Control: new(pb.ControlMessage)}
			for range 900 / (1 + 4*min(i, 1)) {
				rpc.Control.Idontwant = append(rpc.Control.Idontwant, &pb.ControlIDontWant{MessageIDs: names(10)})
			}
			return rpc
		},
	}
	const variants = 9
	made := make(map[*attacker][][]byte) // before, so that the victim has the work
	for k, m := range a.attackers {
		for i := range variants {
			body, err := proto.Marshal(floods[k%len(floods)](i))
			if err != nil {
				a.Error(err)
			}
			made[m] = append(made[m], body)
		}
	}
	a.each(controlRate*len(a.attackers), func(m *attacker, i int) error {
		a.rounds.Add(1)
		if i > 0 { // the first only once in a session
			i = 1 + i%(variants-1)
		}
		return m.gossipBytes(made[m][i])
	})
}

// controlRate is how many control messages each attacker sends in a second.
const controlRate = 100

// checkControl checks that those are not listened to any more whom GossipSub blames.
func checkControl(a *assault) {
	if !a.attackers[2].shutOut() {
		a.Error("(f) who is in and out of the mesh all the time is listened to")
	}
	if a.lasts >= 20*time.Second && !a.attackers[3].shutOut() { // what it does not keep to is found out after 3 s
		a.Error("(f) who tells of messages that are not there is listened to")
	}
	a.notef("%d control messages", a.rounds.Load())
}

// letters is a name of so many letters.
func letters(n int) string {
	b := junk(n)
	for i := range b {
		b[i] = 'a' + b[i]%26
	}
	return string(b)
}

// spam is attack 7 by gossip and by stream: payments below the relay fee, and payments of
// coins that are nowhere, 5,000 a second each.
func spam(a *assault) {
	coins := make([]chaintest.Coin, spamCoins/2)
	for i := range coins {
		coins[i] = a.net.chain.Coinbase(blockName(1 + i))
	}
	cheap := make([]*consensus.Tx, len(coins))
	for i := range coins {
		// What the signature does not bind is another payment each time.
		cheap[i] = a.net.unbound(coins[i])
	}
	half := len(a.attackers) / 2
	for k, m := range a.attackers[1:] {
		a.lives.Go(func() {
			flood(a.ctx, 10_000/(len(a.attackers)-1), func(i int) error {
				a.rounds.Add(1)
				tx := *cheap[rand.IntN(len(cheap))]
				tx.Outputs = []consensus.TxOut{{Value: tx.Outputs[0].Value - int64(rand.IntN(50)), Script: consensus.PayToKey([32]byte(junk(32)))}}
				if k%2 == 1 {
					tx.Inputs = []consensus.TxIn{{PrevOut: consensus.OutPoint{TxID: strayHash()}, Sequence: 1, Witness: tx.Inputs[0].Witness}}
				}
				if k < half {
					return m.publish("tx", p2p.Encode(&p2p.Tx{Tx: &tx}))
				}
				return m.say(&p2p.Tx{Tx: &tx})
			})
			if a.ctx.Err() == nil && !m.connected() {
				a.notef("a spammer was dropped after %.1f s", time.Since(a.began).Seconds())
			}
		})
	}
}

// unbound is a payment without a fee whose signature binds no output.
func (n *attackNet) unbound(coin chaintest.Coin) *consensus.Tx {
	n.keys.Lock()
	defer n.keys.Unlock()
	from := chaintest.From(coin)
	return n.chain.Sign(n.chain.Unsigned(from, chaintest.To("mallory", coin.Value)), from, consensus.SigHashNone)
}

// listenOnly lets the first of the attackers do nothing but hear what the victim tells.
func listenOnly(a *assault) {
	spy := a.attackers[0]
	relayed := func(m p2p.Msg) {
		if tx, ok := m.(*p2p.Tx); ok && !a.net.load.knows(tx.Tx.TxID()) {
			a.mu.Lock()
			a.spam++
			a.mu.Unlock()
		}
	}
	spy.answer = relayed
	spy.heard = func(rpc *pubsub.RPC) {
		for _, published := range rpc.GetPublish() {
			if m, err := p2p.Decode(published.GetData()); err == nil {
				relayed(m)
			}
		}
	}
}

// noSpam checks that none was relayed, and none waits.
func noSpam(a *assault) {
	for _, txid := range a.net.waiting(a.T) {
		if !a.net.load.knows(txid) {
			a.Errorf("the victim's mempool holds %s, which is no honest payment", txid)
		}
	}
	a.notef("%d payments, none relayed", a.rounds.Load())
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.spam > 0 {
		a.Errorf("%d payments were relayed that are no honest ones", a.spam)
	}
}

// waiting lists the victim's mempool.
func (n *attackNet) waiting(t *testing.T) (txids []consensus.Hash) {
	if err := n.victim.client.Call(n.life, "getrawmempool", &txids); err != nil {
		t.Error(err)
	}
	return txids
}

// replacements is the other half of attack 7: a payment of 100 kvB, replaced by one that
// pays a little more, as often as there is time for.
func replacements(a *assault) {
	coin := a.net.chain.Coinbase(blockName(spamCoins))
	outs := bulk(1100)
	m := a.attackers[0]
	sent := 0
	flood(a.ctx, 20, func(i int) error {
		fee := int64(100_000 + 110_000*i)
		tx := a.net.pay(coin, append(outs[:len(outs):len(outs)], chaintest.To("mallory", coin.Value-fee))...)
		sent++
		return m.say(&p2p.Tx{Tx: tx})
	})
	a.notef("%d replacements", sent)
}

// forkedHeaders is attack 24: announcements of blocks with work that fork off near
// genesis, by gossip and by stream, and the same as headers.
func forkedHeaders(a *assault) {
	a.each(2000, func(m *attacker, i int) error {
		at := a.net.chain.Block(blockName(1 + i%10))
		block := a.net.stray(at.Hash(), at.Header.Time+1+uint32(i%1000), consensus.NextBits(a.net.params, a.net.chain.Index(blockName(1+i%10))))
		switch i % 4 {
		case 0:
			return m.say(&p2p.Headers{Headers: []consensus.Header{block.Header}})
		case 1:
			return m.say(p2p.NewAnnounce(block, uint64(i)))
		}
		return m.publish("block", p2p.Encode(p2p.NewAnnounce(block, uint64(i))))
	})
}

// noBodies checks that no attacker was asked for a body, and that there is no branch.
func noBodies(a *assault) {
	var tips []struct{ Height int }
	if err := a.net.victim.client.Call(a.net.life, "getchaintips", &tips); err != nil || len(tips) != 1 {
		a.Errorf("%d branches are kept: %v (%v)", len(tips)-1, tips, err)
	}
	for i, m := range a.attackers {
		if n := m.times(p2p.TypeGetBlocks) + m.times(p2p.TypeGetBlockTxs); n > 0 {
			a.Errorf("attacker %d was asked for bodies %d times", i, n)
		}
	}
}

// stray is a block with work on any parent, with a coinbase and nothing else.
func (n *attackNet) stray(parent consensus.Hash, time uint32, bits uint32) *consensus.Block {
	coinbase := &consensus.Tx{Version: 2,
		Inputs:  []consensus.TxIn{{PrevOut: consensus.OutPoint{Index: math.MaxUint32}, ScriptSig: junk(16), Sequence: math.MaxUint32}},
		Outputs: []consensus.TxOut{{Value: 1, Script: consensus.PayToKey([32]byte(bytes.Repeat([]byte{2}, 32)))}},
	}
	block := &consensus.Block{Header: consensus.Header{Version: 0x20000000, Prev: parent, Time: time, Bits: bits}, Txs: []*consensus.Tx{coinbase}}
	block.Header.MerkleRoot, _ = block.MerkleRoot()
	miner.Solve(block, sha256d.Best())
	return block
}
