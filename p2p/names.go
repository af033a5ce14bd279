package p2p

// names are Core's commands, so that its tools know the messages that Bitcoin has
// too, and our own for the rest.
var names = [...]string{
	TypeHello: "version", TypePing: "ping", TypePong: "pong", TypeGetHeaders: "getheaders", TypeHeaders: "headers",
	TypeGetBlocks: "getdata", TypeBlock: "block", TypeNotFound: "notfound", TypeTx: "tx", TypeAnnounce: "cmpctblock",
	TypeGetBlockTxs: "getblocktxn", TypeBlockTxs: "blocktxn", TypeMempoolIDs: "mempoolids", TypeOffer: "offer",
	TypeGetTxs: "gettxs", TypeTxsDone: "txsdone", TypePeers: "addr",
}

// String returns the name of the message type in Bitcoin's way, or "*other*" of a
// type that this version does not know.
func (t Type) String() string {
	if int(t) < len(names) && names[t] != "" {
		return names[t]
	}
	return "*other*"
}

// MaxType is the highest message type that has a name.
const MaxType = Type(len(names) - 1)
