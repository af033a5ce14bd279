package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/rpc"
)

func chainCommand() *cli.Command {
	return &cli.Command{
		Name:  "chain",
		Usage: "look at the chain of a running node, or work on that of a stopped one",
		Subcommands: []*cli.Command{
			{
				Name: "status", Usage: "tip, difficulty, coins, mempool and peers", Flags: clientFlags(),
				Description: "Example:\n   kapok chain status",
				Action:      withClient(0, chainStatus),
			},
			{
				Name: "block", Usage: "one block", ArgsUsage: "HEIGHT|HASH", Flags: clientFlags(),
				Description: "Examples:\n   kapok chain block 7\n   kapok chain block --json 00000c9d…",
				Action:      withClient(1, chainBlock),
			},
			{
				Name: "tx", Usage: "one transaction, confirmed or waiting", ArgsUsage: "TXID", Flags: clientFlags(),
				Description: "Example:\n   kapok chain tx 4df5b79a…",
				Action:      withClient(1, chainTx),
			},
			{
				Name: "peers", Usage: "the connections", Flags: clientFlags(),
				Description: "Example:\n   kapok chain peers",
				Action:      withClient(0, chainPeers),
			},
			chainVerifyCommand(),
			chainStatsCommand(),
			chainExportCommand(),
			chainImportCommand(),
			chainPruneCommand(),
			chainReindexCommand(),
		},
	}
}

// withClient makes an action of what asks a node.
func withClient(args int, ask func(*cli.Context, *rpc.Client) error) cli.ActionFunc {
	return func(c *cli.Context) error {
		if err := exactArgs(c, args); err != nil {
			return err
		}
		_, client, err := networkAndClient(c)
		if err != nil {
			return err
		}
		defer client.Close()
		return ask(c, client)
	}
}

// table writes aligned lines of a name and a value.
func table(w io.Writer, rows ...[2]string) error {
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	for _, row := range rows {
		fmt.Fprintf(t, "%s\t%s\n", row[0], row[1])
	}
	return t.Flush()
}

// chainReport is the JSON document of `kapok chain status`.
type chainReport struct {
	Network       string   `json:"network"`
	Height        uint32   `json:"height"`
	Tip           string   `json:"tip"`
	TipTime       int64    `json:"tip_time_unix_s"`
	Headers       uint32   `json:"headers"`
	Syncing       bool     `json:"syncing"`
	Bits          string   `json:"bits"`
	BlockHashes   float64  `json:"expected_hashes_per_block"`
	Coins         uint64   `json:"coins"`
	CoinSum       string   `json:"coin_sum"`
	Supply        float64  `json:"supply_kpk"`
	SizeOnDisk    int64    `json:"size_on_disk_bytes"`
	MempoolTxs    int      `json:"mempool_txs"`
	MempoolVBytes int64    `json:"mempool_vbytes"`
	Peers         int      `json:"peers"`
	Warnings      []string `json:"warnings"`
}

func chainStatus(c *cli.Context, client *rpc.Client) error {
	var chain struct {
		Network string   `json:"kapok_network"`
		Height  uint32   `json:"blocks"`
		Headers uint32   `json:"headers"`
		Tip     string   `json:"bestblockhash"`
		Time    int64    `json:"time"`
		Warn    []string `json:"warnings"`
		Bits    string   `json:"bits"`
		Syncing bool     `json:"initialblockdownload"`
		Size    int64    `json:"size_on_disk"`
	}
	var coins struct {
		Count uint64      `json:"txouts"`
		Sum   string      `json:"coin_sum"`
		Total json.Number `json:"total_amount"`
	}
	var pool struct {
		Size  int   `json:"size"`
		Bytes int64 `json:"bytes"`
	}
	var peers int
	for _, ask := range []struct {
		method string
		result any
	}{{"getblockchaininfo", &chain}, {"gettxoutsetinfo", &coins}, {"getmempoolinfo", &pool}, {"getconnectioncount", &peers}} {
		if err := client.Call(c.Context, ask.method, ask.result); err != nil {
			return rpcFailure(ask.method, err)
		}
	}
	bits, err := strconv.ParseUint(chain.Bits, 16, 32)
	if err != nil {
		return fmt.Errorf("the node states bits %q", chain.Bits)
	}
	supply, err := coins.Total.Float64()
	if err != nil {
		return fmt.Errorf("the node states a supply of %q", coins.Total)
	}
	r := chainReport{
		Network: chain.Network, Height: chain.Height, Tip: chain.Tip, TipTime: chain.Time, Headers: chain.Headers,
		Syncing: chain.Syncing, Bits: chain.Bits, BlockHashes: expectedHashes(uint32(bits)), Coins: coins.Count,
		CoinSum: coins.Sum, Supply: supply, SizeOnDisk: chain.Size, MempoolTxs: pool.Size, MempoolVBytes: pool.Bytes, Peers: peers, Warnings: chain.Warn,
	}
	if c.Bool(jsonFlag.Name) {
		return printJSON(c.App.Writer, r)
	}
	state := "up to date"
	if r.Syncing {
		state = fmt.Sprintf("catching up: %d headers known", r.Headers)
	}
	rows := [][2]string{
		{"network", r.Network},
		{"height", fmt.Sprintf("%d (%s)", r.Height, state)},
		{"tip", r.Tip},
		{"", time.Unix(r.TipTime, 0).UTC().Format(time.DateTime) + " UTC"},
		{"difficulty", formatCount(r.BlockHashes) + " hashes a block (bits " + r.Bits + ")"},
		{"coins", fmt.Sprintf("%d, worth %s KPK", r.Coins, coins.Total)},
		{"coin sum", r.CoinSum},
		{"mempool", fmt.Sprintf("%d payments, %d vB", r.MempoolTxs, r.MempoolVBytes)},
		{"peers", strconv.Itoa(r.Peers)},
		{"on disk", fmt.Sprintf("%.1f MB", float64(r.SizeOnDisk)/1e6)},
	}
	for _, warning := range r.Warnings {
		rows = append(rows, [2]string{"warning", warning})
	}
	return table(c.App.Writer, rows...)
}

func chainBlock(c *cli.Context, client *rpc.Client) error {
	hash := c.Args().First()
	if height, err := strconv.ParseUint(hash, 10, 32); err == nil {
		if err := client.Call(c.Context, "getblockhash", &hash, height); err != nil {
			return rpcFailure("getblockhash", err)
		}
	} else if _, err := consensus.ParseHash(hash); err != nil {
		return usageError(fmt.Sprintf("%q is neither a height nor a block hash of 64 hex digits", hash))
	}
	var raw json.RawMessage
	if err := client.Call(c.Context, "getblock", &raw, hash, 1); err != nil {
		return rpcFailure("getblock", err)
	}
	if c.Bool(jsonFlag.Name) {
		return printJSON(c.App.Writer, raw)
	}
	var b struct {
		Hash, PreviousBlockHash, NextBlockHash, MerkleRoot, VersionHex, Bits string
		Height, Confirmations, Time, Size, Weight                            int64
		Nonce                                                                uint32
		Tx                                                                   []string
	}
	if err := json.Unmarshal(raw, &b); err != nil {
		return fmt.Errorf("the node's answer: %w", err)
	}
	rows := [][2]string{
		{"block", b.Hash},
		{"height", fmt.Sprintf("%d, %s", b.Height, confirmations(b.Confirmations))},
		{"time", time.Unix(b.Time, 0).UTC().Format(time.DateTime) + " UTC"},
		{"parent", orNone(b.PreviousBlockHash)},
		{"next", orNone(b.NextBlockHash)},
		{"merkle root", b.MerkleRoot},
		{"bits, nonce", fmt.Sprintf("%s, %d", b.Bits, b.Nonce)},
		{"version", "0x" + b.VersionHex},
		{"size", fmt.Sprintf("%d bytes, weight %d", b.Size, b.Weight)},
		{"transactions", strconv.Itoa(len(b.Tx))},
	}
	for _, txid := range b.Tx {
		rows = append(rows, [2]string{"", txid})
	}
	return table(c.App.Writer, rows...)
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

func confirmations(n int64) string {
	switch {
	case n < 0:
		return "not on the active chain"
	case n == 1:
		return "1 confirmation"
	}
	return fmt.Sprintf("%d confirmations", n)
}

func chainTx(c *cli.Context, client *rpc.Client) error {
	txid, err := consensus.ParseHash(c.Args().First())
	if err != nil {
		return usageError(fmt.Sprintf("%q is no txid of 64 hex digits", c.Args().First()))
	}
	var raw json.RawMessage
	if err := client.Call(c.Context, "getrawtransaction", &raw, txid.String(), 2); err != nil {
		return rpcFailure("getrawtransaction", err)
	}
	if c.Bool(jsonFlag.Name) {
		return printJSON(c.App.Writer, raw)
	}
	var tx struct {
		rpc.TxDetails
		Size, Weight int
	}
	if err := json.Unmarshal(raw, &tx); err != nil {
		return fmt.Errorf("the node's answer: %w", err)
	}
	state := "waiting in the mempool"
	if !tx.BlockHash.IsZero() {
		state = confirmations(tx.Confirmations) + ", in block " + tx.BlockHash.String()
	}
	rows := [][2]string{
		{"transaction", tx.TxID.String()},
		{"state", state},
		{"size", fmt.Sprintf("%d vB (%d bytes, weight %d)", tx.VSize, tx.Size, tx.Weight)},
	}
	if tx.Fee != nil {
		rows = append(rows, [2]string{"fee", fmt.Sprintf("%d units", int64(*tx.Fee))})
	}
	for _, in := range tx.Inputs {
		switch {
		case in.Coinbase != "":
			rows = append(rows, [2]string{"from", "newly mined"})
		case in.Prevout != nil:
			rows = append(rows, [2]string{"from", in.Prevout.Script.Address + "  " + coins(in.Prevout.Value)})
		default:
			rows = append(rows, [2]string{"from", consensus.OutPoint{TxID: in.TxID, Index: in.Index}.String()})
		}
	}
	for _, out := range tx.Outputs {
		to := out.Script.Address
		if to == "" {
			to = "data"
		}
		rows = append(rows, [2]string{"to", to + "  " + coins(out.Value)})
	}
	return table(c.App.Writer, rows...)
}

func chainPeers(c *cli.Context, client *rpc.Client) error {
	var raw json.RawMessage
	if err := client.Call(c.Context, "getpeerinfo", &raw); err != nil {
		return rpcFailure("getpeerinfo", err)
	}
	if c.Bool(jsonFlag.Name) {
		return printJSON(c.App.Writer, raw)
	}
	var peers []struct {
		Addr, Subver  string
		Connection    string `json:"connection_type"`
		Score         float64
		GossipScore   float64 `json:"gossip_score"`
		PingTime      float64
		BytesRecv     int64
		BytesSent     int64
		SyncedBlocks  int64  `json:"synced_blocks"`
		SyncedHeaders int64  `json:"synced_headers"`
		Transport     string `json:"transport"`
	}
	if err := json.Unmarshal(raw, &peers); err != nil {
		return fmt.Errorf("the node's answer: %w", err)
	}
	if len(peers) == 0 {
		_, err := fmt.Fprintln(c.App.Writer, "no peers: start the node with --peer HOST:PORT, or add one with \"kapok rpc addnode HOST:PORT onetry\"")
		return err
	}
	t := tabwriter.NewWriter(c.App.Writer, 0, 0, 3, ' ', 0)
	fmt.Fprintln(t, "CONNECTION\tADDRESS\tTRANSPORT\tHEIGHT\tPING\tSCORE\tGOSSIP\tRECEIVED\tSENT\tAGENT")
	for _, p := range peers {
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%.1f ms\t%.0f\t%.1f\t%d kB\t%d kB\t%s\n", connectionName(p.Connection), p.Addr, p.Transport,
			max(p.SyncedBlocks, p.SyncedHeaders), p.PingTime*1000, p.Score, p.GossipScore, p.BytesRecv/1000, p.BytesSent/1000, p.Subver)
	}
	return t.Flush()
}

// connectionName shortens Core's name of a kind of connection. All but an inbound one
// were opened by the node: those that its operator asked for, and those that it chose.
func connectionName(kind string) string {
	switch kind {
	case "outbound-full-relay":
		return "outbound"
	case "block-relay-only":
		return "block-only"
	}
	return kind
}
