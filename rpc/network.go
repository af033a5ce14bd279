package rpc

import (
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/kapok-chain/kapok/consensus"
)

// What Core's tools expect to be told about a node.
const (
	protocolVersion = 70016
	coreVersion     = 290000 // of the Core whose names and fields are spoken here
	coreAgent       = "Satoshi:29.0.0/"
	services        = "0000000000000409" // NETWORK, WITNESS, NETWORK_LIMITED
)

// Bounds of the methods on peers.
const (
	maxNodeAddresses = 10_000
	defaultBan       = 24 * time.Hour // as in Core
	maxBan           = 10 * 365 * 24 * time.Hour
)

func networkMethods() []method {
	const group = "Network"
	node := need("node|address", kindString, "a multiaddr (/ip4/…/tcp/…/p2p/…)")
	return []method{
		{"getnetworkinfo", group, nil, "State of the network side.", "An object: version, subversion, protocolversion, localservices, localservicesnames, localrelay, timeoffset (the median of the peers' clocks less this one, in seconds), connections, connections_in, connections_out, networkactive, networks, relayfee, incrementalfee, localaddresses, kapok_peer_id, kapok_addresses, warnings.", getNetworkInfo},
		{"getpeerinfo", group, nil, "The peers.", "An array of objects with Core's fields, and peer_id, multiaddr, transport, score (of misbehaviour, from 0; the peer is dropped at 100), gossip_score (GossipSub's: above 0 for what it brought first, below for what was wrong; not listened to below -2500).", getPeerInfo},
		{"getconnectioncount", group, nil, "How many peers there are.", "A number.", func(c *call) (any, error) { return len(c.b.Peers()), nil }},
		{"getnettotals", group, nil, "Bytes received and sent.", "An object: totalbytesrecv, totalbytessent, timemillis, uploadtarget, kapok_messages (by name: sent, bytessent, received, bytesrecv, duplicates, dropped, unsent), kapok_blocks (rebuilt, completed, whole: how bodies came).", getNetTotals},
		{"addnode", group, []param{node, need("command", kindString, `"add" to keep a connection to it, "remove" to stop that, "onetry" to dial once`), option("v2transport", kindBool, nil, "ignored: every connection is encrypted")},
			"Connects to a node.", "null", addNode},
		{"disconnectnode", group, []param{option("address", kindString, "", "peer id, multiaddr or host:port"), option("nodeid", kindInt, nil, "its id in getpeerinfo")},
			"Ends a connection.", "null", disconnectNode},
		{"getaddednodeinfo", group, []param{option("node", kindString, nil, "only this one")}, "The nodes of addnode.", "An array of {addednode, connected, addresses}.", getAddedNodeInfo},
		{"getnodeaddresses", group, []param{option("count", kindInt, int64(1), "at most; 0 for all"), option("network", kindString, "", "only of this network, such as ipv4")},
			"Addresses of nodes that were heard of.", "An array of {time, services, address, port, network}.", getNodeAddresses},
		{"setnetworkactive", group, []param{need("state", kindBool, "false to end all connections and refuse new ones")}, "Cuts the node off, or lets it back.", "The new state.",
			func(c *call) (any, error) { c.b.SetNetworkActive(c.flag(0)); return c.flag(0), nil }},
		{"setban", group, []param{need("subnet", kindString, "an IP address, a subnet or a peer id"), need("command", kindString, `"add" or "remove"`), option("bantime", kindInt, int64(0), "seconds; 0 for a day"), option("absolute", kindBool, false, "bantime is a time in Unix seconds")},
			"Refuses connections.", "null", setBan},
		{"listbanned", group, nil, "Who is refused.", "An array of {address, ban_created, banned_until, ban_duration, time_remaining}.", listBanned},
		{"clearbanned", group, nil, "Refuses nobody any more.", "null", clearBanned},
		{"ping", group, nil, "Peers are pinged all the time; getpeerinfo shows the result.", "null", func(*call) (any, error) { return nil, nil }},
	}
}

// serviceNames are the bits of services.
func serviceNames() []string { return []string{"NETWORK", "WITNESS", "NETWORK_LIMITED"} }

type localAddress struct {
	Address string `json:"address"`
	Port    int    `json:"port"`
	Score   int    `json:"score"`
}

type networkJSON struct {
	Name      string `json:"name"`
	Limited   bool   `json:"limited"`
	Reachable bool   `json:"reachable"`
	Proxy     string `json:"proxy"`
	Random    bool   `json:"proxy_randomize_credentials"`
}

func getNetworkInfo(c *call) (any, error) {
	info, inbound := c.b.Network(), 0
	peers := c.b.Peers()
	for i := range peers {
		if peers[i].Inbound {
			inbound++
		}
	}
	local := []localAddress{}
	for _, addr := range info.Addresses {
		if host, port, ok := splitAddr(addr); ok {
			local = append(local, localAddress{host, port, 1})
		}
	}
	fee := Amount(c.b.Mempool().MinRelayFee)
	return struct {
		Version       int            `json:"version"`
		Agent         string         `json:"subversion"`
		Protocol      int            `json:"protocolversion"`
		Services      string         `json:"localservices"`
		ServiceNames  []string       `json:"localservicesnames"`
		Relay         bool           `json:"localrelay"`
		TimeOffset    int64          `json:"timeoffset"`
		Active        bool           `json:"networkactive"`
		Connections   int            `json:"connections"`
		In            int            `json:"connections_in"`
		Out           int            `json:"connections_out"`
		Networks      []networkJSON  `json:"networks"`
		RelayFee      Amount         `json:"relayfee"`
		Incremental   Amount         `json:"incrementalfee"`
		Local         []localAddress `json:"localaddresses"`
		PeerID        string         `json:"kapok_peer_id"`
		Addresses     []string       `json:"kapok_addresses"`
		GenesisPrefix consensus.Hash `json:"kapok_genesis"`
		Warnings      []string       `json:"warnings"`
	}{
		coreVersion, "/kapok:" + c.api.version + "/" + coreAgent, protocolVersion, services, serviceNames(), true, int64(info.TimeOffset / time.Second),
		info.Active, len(peers), inbound, len(peers) - inbound,
		[]networkJSON{{Name: "ipv4", Reachable: true}, {Name: "ipv6", Reachable: true}},
		fee, fee, local, info.ID, orEmpty(info.Addresses), c.b.Params().GenesisHash(), orEmpty(c.b.Chain().Warnings),
	}, nil
}

// splitAddr turns a multiaddr into the host and port that Core's tools know.
func splitAddr(multiaddr string) (host string, port int, ok bool) {
	parts := strings.Split(strings.TrimPrefix(multiaddr, "/"), "/")
	for i := 0; i+1 < len(parts); i += 2 {
		switch parts[i] {
		case "ip4", "ip6", "dns", "dns4", "dns6":
			host = parts[i+1]
		case "tcp", "udp":
			port, _ = strconv.Atoi(parts[i+1]) // 0 is refused below
		case "quic-v1", "quic":
			i-- // stands alone
		}
	}
	return host, port, host != "" && port > 0
}

// hostPort is the address in Core's form where it has one.
func hostPort(addr string) string {
	if host, port, ok := splitAddr(addr); ok {
		return net.JoinHostPort(host, strconv.Itoa(port))
	}
	return addr
}

// addressFamily is Core's name for the network of a host.
func addressFamily(host string) string {
	ip, err := netip.ParseAddr(host)
	switch {
	case err != nil || ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast():
		return "not_publicly_routable"
	case ip.Is4():
		return "ipv4"
	}
	return "ipv6"
}

type peerJSON struct {
	ID             int64             `json:"id"`
	Addr           string            `json:"addr"`
	Network        string            `json:"network"`
	Services       string            `json:"services"`
	ServiceNames   []string          `json:"servicesnames"`
	RelayTxs       bool              `json:"relaytxes"`
	LastSend       int64             `json:"lastsend"`
	LastReceive    int64             `json:"lastrecv"`
	LastTx         int64             `json:"last_transaction"`
	LastBlock      int64             `json:"last_block"`
	BytesSent      uint64            `json:"bytessent"`
	BytesReceived  uint64            `json:"bytesrecv"`
	Since          int64             `json:"conntime"`
	TimeOffset     int64             `json:"timeoffset"`
	Ping           *float64          `json:"pingtime,omitempty"`
	MinPing        *float64          `json:"minping,omitempty"`
	Version        uint32            `json:"version"`
	Agent          string            `json:"subver"`
	Inbound        bool              `json:"inbound"`
	HighBandTo     bool              `json:"bip152_hb_to"`
	HighBandFrom   bool              `json:"bip152_hb_from"`
	StartHeight    uint32            `json:"startingheight"`
	Presynced      int               `json:"presynced_headers"`
	SyncedHeaders  uint32            `json:"synced_headers"`
	SyncedBlocks   uint32            `json:"synced_blocks"`
	InFlight       []uint32          `json:"inflight"`
	AddrRelay      bool              `json:"addr_relay_enabled"`
	AddrProcessed  int               `json:"addr_processed"`
	AddrLimited    int               `json:"addr_rate_limited"`
	Permissions    []string          `json:"permissions"`
	MinFeeFilter   Amount            `json:"minfeefilter"`
	SentPerMsg     map[string]uint64 `json:"bytessent_per_msg"`
	ReceivedPerMsg map[string]uint64 `json:"bytesrecv_per_msg"`
	Connection     string            `json:"connection_type"`
	TransportType  string            `json:"transport_protocol_type"`
	SessionID      string            `json:"session_id"`
	PeerID         string            `json:"peer_id"`
	Multiaddr      string            `json:"multiaddr"`
	Transport      string            `json:"transport"`
	Score          float64           `json:"score"`
	GossipScore    float64           `json:"gossip_score"`
}

func getPeerInfo(c *call) (any, error) {
	peers := c.b.Peers()
	list := make([]peerJSON, len(peers))
	for i := range peers {
		list[i] = renderPeer(&peers[i])
	}
	return list, nil
}

func renderPeer(p *Peer) peerJSON {
	connection := "outbound-full-relay"
	switch {
	case p.Inbound:
		connection = "inbound"
	case p.Manual:
		connection = "manual"
	case p.BlockOnly:
		connection = "block-relay-only"
	}
	presynced := -1
	if p.PresyncHeight > 0 {
		presynced = int(p.PresyncHeight)
	}
	host, _, _ := splitAddr(p.Addr)
	return peerJSON{
		ID: p.Number, Addr: hostPort(p.Addr), Network: addressFamily(host), Services: services, ServiceNames: serviceNames(),
		RelayTxs: !p.BlockOnly, LastSend: unix(p.LastSent), LastReceive: unix(p.LastReceived), LastTx: unix(p.LastTx),
		LastBlock: unix(p.LastBlock), BytesSent: p.BytesSent, BytesReceived: p.BytesReceived, Since: unix(p.Since),
		TimeOffset: int64(p.TimeOffset / time.Second), Ping: seconds(p.Ping), MinPing: seconds(p.MinPing),
		Version: p.Version, Agent: p.Agent, Inbound: p.Inbound, StartHeight: p.StartHeight, Presynced: presynced,
		SyncedHeaders: p.Height, SyncedBlocks: p.Height, InFlight: orEmpty(p.InFlight), AddrRelay: !p.BlockOnly,
		Permissions: []string{}, SentPerMsg: orEmptyMap(p.SentPerMsg), ReceivedPerMsg: orEmptyMap(p.RecvPerMsg),
		Connection: connection, TransportType: "v2", PeerID: p.ID, Multiaddr: p.Addr, Transport: p.Transport, Score: p.Score,
		GossipScore: p.GossipScore,
	}
}

// unix is 0 for the zero time, which stands for never.
func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// seconds is absent for a ping that was not measured.
func seconds(d time.Duration) *float64 {
	if d == 0 {
		return nil
	}
	s := d.Seconds()
	return &s
}

func getNetTotals(c *call) (any, error) {
	info := c.b.Network()
	type target struct {
		Timeframe int  `json:"timeframe"`
		Target    int  `json:"target"`
		Reached   bool `json:"target_reached"`
		Serve     bool `json:"serve_historical_blocks"`
		BytesLeft int  `json:"bytes_left_in_cycle"`
		TimeLeft  int  `json:"time_left_in_cycle"`
	}
	return struct {
		Received uint64 `json:"totalbytesrecv"`
		Sent     uint64 `json:"totalbytessent"`
		Millis   int64  `json:"timemillis"`
		Target   target `json:"uploadtarget"`

		Messages map[string]MessageCount `json:"kapok_messages"`
		Blocks   BlockRelay              `json:"kapok_blocks"`
	}{info.BytesReceived, info.BytesSent, c.b.Now().UnixMilli(), target{Timeframe: 86400, Serve: true}, orEmptyMap(info.Messages), info.Blocks}, nil
}

// orEmptyMap is the map, or an empty one for JSON.
func orEmptyMap[V any](m map[string]V) map[string]V {
	if m == nil {
		return map[string]V{}
	}
	return m
}

func addNode(c *call) (any, error) {
	addr := c.text(0)
	switch c.text(1) {
	case "onetry", "add":
		keep := c.text(1) == "add"
		for _, added := range c.b.AddedPeers() {
			if keep && added == addr {
				return nil, fail(CodeNodeAlreadyAdded, "Error: Node already added")
			}
		}
		if err := c.b.AddPeer(c.ctx, addr, keep); err != nil {
			return nil, fail(CodeMisc, "%s: %v", clip(addr), err)
		}
		return nil, nil
	case "remove":
		if err := c.b.RemovePeer(addr); isNotFound(err) {
			return nil, fail(CodeNodeNotAdded, "Error: Node could not be removed. It has not been added previously.")
		} else if err != nil {
			return nil, err
		}
		return nil, nil
	}
	return nil, fail(CodeInvalidParameter, `command must be "add", "remove" or "onetry"`)
}

func disconnectNode(c *call) (any, error) {
	name := c.text(0)
	if (name != "") == c.has(1) {
		return nil, fail(CodeInvalidParameter, "Only one of address and nodeid should be provided.")
	}
	peers := c.b.Peers()
	for i := range peers {
		p := &peers[i]
		if c.has(1) && p.Number == c.num(1) || name != "" && (name == p.ID || name == p.Addr || name == hostPort(p.Addr)) {
			return nil, c.b.DisconnectPeer(p.ID)
		}
	}
	return nil, fail(CodeNodeNotConnected, "Node not found in connected nodes")
}

func getAddedNodeInfo(c *call) (any, error) {
	type address struct {
		Address   string `json:"address"`
		Connected string `json:"connected"`
	}
	type node struct {
		Node      string    `json:"addednode"`
		Connected bool      `json:"connected"`
		Addresses []address `json:"addresses"`
	}
	nodes := []node{}
	peers := c.b.Peers()
	for _, added := range c.b.AddedPeers() {
		if c.has(0) && c.text(0) != added {
			continue
		}
		n := node{Node: added, Addresses: []address{}}
		for i := range peers {
			if p := &peers[i]; p.Addr == added || strings.HasSuffix(added, "/p2p/"+p.ID) {
				direction := "outbound"
				if p.Inbound {
					direction = "inbound"
				}
				n.Connected, n.Addresses = true, append(n.Addresses, address{hostPort(p.Addr), direction})
			}
		}
		nodes = append(nodes, n)
	}
	if c.has(0) && len(nodes) == 0 {
		return nil, fail(CodeNodeNotAdded, "Error: Node has not been added.")
	}
	return nodes, nil
}

func getNodeAddresses(c *call) (any, error) {
	type known struct {
		Time     int64  `json:"time"`
		Services uint64 `json:"services"`
		Address  string `json:"address"`
		Port     int    `json:"port"`
		Network  string `json:"network"`
	}
	count := c.num(0)
	if count < 0 {
		return nil, fail(CodeInvalidParameter, "Address count out of range")
	}
	if count == 0 || count > maxNodeAddresses {
		count = maxNodeAddresses
	}
	list := []known{}
	for _, a := range c.b.KnownAddresses() {
		host, port, ok := splitAddr(a.Addr)
		family := "ipv4"
		if strings.Contains(host, ":") {
			family = "ipv6"
		}
		if !ok || c.text(1) != "" && c.text(1) != family || int64(len(list)) >= count {
			continue
		}
		list = append(list, known{unix(a.Seen), 0x409, host, port, family})
	}
	return list, nil
}

func setBan(c *call) (any, error) {
	target := c.text(0)
	switch c.text(1) {
	case "add":
		now := c.b.Now()
		length := c.num(2)
		if c.flag(3) {
			length -= now.Unix()
		} else if length == 0 {
			length = int64(defaultBan / time.Second)
		}
		if length < 0 || length > int64(maxBan/time.Second) {
			return nil, fail(CodeInvalidParameter, "Error: the ban would end in the past, or in more than ten years")
		}
		if err := c.b.Ban(target, now.Add(time.Duration(length)*time.Second)); errors.Is(err, ErrBanned) {
			return nil, fail(CodeNodeAlreadyAdded, "Error: IP/Subnet already banned")
		} else if err != nil {
			return nil, fail(CodeInvalidIPOrSubnet, "Error: Invalid IP/Subnet: %v", err)
		}
		return nil, nil
	case "remove":
		if err := c.b.Unban(target); err != nil {
			return nil, fail(CodeInvalidIPOrSubnet, "Error: Unban failed. Requested address/subnet was not previously manually banned.")
		}
		return nil, nil
	}
	return nil, fail(CodeInvalidParameter, `command must be "add" or "remove"`)
}

func listBanned(c *call) (any, error) {
	type ban struct {
		Address   string `json:"address"`
		Created   int64  `json:"ban_created"`
		Until     int64  `json:"banned_until"`
		Duration  int64  `json:"ban_duration"`
		Remaining int64  `json:"time_remaining"`
	}
	list := []ban{}
	for _, b := range c.b.Bans() {
		list = append(list, ban{b.Target, unix(b.Created), unix(b.Until), int64(b.Until.Sub(b.Created) / time.Second), max(0, int64(b.Until.Sub(c.b.Now())/time.Second))})
	}
	return list, nil
}

func clearBanned(c *call) (any, error) {
	for _, b := range c.b.Bans() {
		if err := c.b.Unban(b.Target); err != nil && !isNotFound(err) {
			return nil, err
		}
	}
	return nil, nil
}
