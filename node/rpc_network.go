package node

import (
	"context"
	"errors"
	"time"

	"github.com/kapok-chain/kapok/p2p"
	"github.com/kapok-chain/kapok/p2p/host"
	"github.com/kapok-chain/kapok/rpc"
)

func (b rpcBackend) Network() rpc.NetworkInfo {
	info := rpc.NetworkInfo{ID: string(b.Host.ID()), Addresses: b.Host.Addrs(), Active: b.Host.Active()}
	info.BytesReceived, info.BytesSent = b.Host.Totals()
	info.Messages = messageCounts(b.Host.Messages())
	b.look(func(n *Node) {
		info.Blocks = rpc.BlockRelay(n.BlockRelay())
		info.TimeOffset = n.engine.ClockOffset()
	})
	return info
}

// messageCounts puts what the host counted by type under the types' names.
func messageCounts(m host.Messages) map[string]rpc.MessageCount {
	counts := make(map[string]rpc.MessageCount)
	for i := range m.StreamOut {
		out, in := addCounts(m.StreamOut[i], m.GossipOut[i]), addCounts(m.StreamIn[i], m.GossipIn[i])
		if out.Messages+in.Messages > 0 {
			counts[p2p.Type(i).String()] = rpc.MessageCount{
				Sent: out.Messages, BytesSent: out.Bytes, Received: in.Messages, BytesReceived: in.Bytes,
				Duplicates: m.Duplicates[i].Messages, Dropped: m.Dropped[i].Messages, Unsent: m.Unsent[i].Messages,
			}
		}
	}
	return counts
}

func addCounts(a, b host.MessageCount) host.MessageCount {
	return host.MessageCount{Messages: a.Messages + b.Messages, Bytes: a.Bytes + b.Bytes}
}

// bytesByName names what a peer was told, in bytes.
func bytesByName(t host.Tally) map[string]uint64 {
	bytes := make(map[string]uint64)
	for i, count := range t {
		if count.Messages > 0 {
			bytes[p2p.Type(i).String()] = count.Bytes
		}
	}
	return bytes
}

func (b rpcBackend) Peers() []rpc.Peer {
	infos := b.Runner.Peers()
	peers := make([]rpc.Peer, len(infos))
	for i, info := range infos {
		conn := b.Host.Conn(info.ID)
		peers[i] = rpc.Peer{
			ID: string(info.ID), Number: conn.Number, Addr: info.Addr, Agent: info.Agent, Transport: conn.Transport,
			Version: info.Version, Inbound: info.Inbound, Manual: conn.Manual, BlockOnly: info.BlockOnly, Since: info.Since,
			LastReceived: conn.LastIn, LastSent: conn.LastOut, LastBlock: info.LastBlock, LastTx: info.LastTx,
			Ping: info.Ping, MinPing: info.MinPing, TimeOffset: info.TimeOffset, Height: info.BestHeight,
			StartHeight: info.StartHeight, PresyncHeight: info.PresyncHeight, Score: float64(info.Score), GossipScore: conn.GossipScore, BytesReceived: conn.In, BytesSent: conn.Out,
			InFlight: info.InFlight, SentPerMsg: bytesByName(conn.Sent), RecvPerMsg: bytesByName(conn.Received),
		}
	}
	return peers
}

func (b rpcBackend) AddPeer(ctx context.Context, addr string, keep bool) error {
	if keep {
		return b.Host.Keep(addr)
	}
	return b.Host.Connect(ctx, addr)
}

func (b rpcBackend) RemovePeer(addr string) error {
	if !b.Host.Forget(addr) {
		return rpc.ErrNotFound
	}
	return nil
}

func (b rpcBackend) AddedPeers() []string { return b.Host.Kept() }

func (b rpcBackend) DisconnectPeer(idOrAddr string) error {
	for _, peer := range b.Peers() {
		if peer.ID == idOrAddr || peer.Addr == idOrAddr {
			b.Host.Disconnect(p2p.PeerID(peer.ID))
			return nil
		}
	}
	return rpc.ErrNotFound
}

func (b rpcBackend) SetNetworkActive(on bool) { b.Host.SetActive(on) }

func (b rpcBackend) KnownAddresses() []rpc.KnownAddress {
	var known []rpc.KnownAddress
	for _, k := range b.book.Known() {
		known = append(known, rpc.KnownAddress(k))
	}
	return known
}

func (b rpcBackend) Ban(target string, until time.Time) error {
	err := b.Host.Ban(target, until)
	if errors.Is(err, host.ErrBanned) {
		return rpc.ErrBanned
	}
	return err
}

func (b rpcBackend) Unban(target string) error {
	if !b.Host.Unban(target) {
		return rpc.ErrNotFound
	}
	return nil
}

func (b rpcBackend) Bans() []rpc.Ban {
	var bans []rpc.Ban
	for _, ban := range b.Host.Bans() {
		bans = append(bans, rpc.Ban{Target: ban.Target, Created: ban.Created, Until: ban.Until})
	}
	return bans
}
