package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/rpc"
)

func benchSubmitCommand() *cli.Command {
	return &cli.Command{
		Name:  "submit",
		Usage: "how many payments a second a node takes over RPC",
		Description: "Payments of 1 input and 2 outputs, signed beforehand, are handed to a node in a process\n" +
			"of its own by sendrawtransaction over loopback, each by a call of its own, and in\n" +
			"JSON-RPC batches. The node is started anew for each round.\n\n" +
			"Examples:\n" +
			"   kapok bench submit                   20,000 payments over 4 connections\n" +
			"   kapok bench submit --batch 500 --rounds 9 --json",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "payments", Value: 20000, Usage: "`N` payments in a round"},
			&cli.IntFlag{Name: "connections", Value: 4, Usage: "`N` connections, each of which waits for its answer"},
			&cli.IntFlag{Name: "batch", Value: 100, Usage: "`N` payments in a batch"},
			&cli.IntFlag{Name: "rounds", Value: 5, Usage: "`N` rounds of each kind"},
			jsonFlag,
		},
		Action: func(c *cli.Context) error {
			if err := exactArgs(c, 0); err != nil {
				return err
			}
			if err := checkRanges(c, []flagRange{
				{"payments", 1, maxSubmitPayments}, {"connections", 1, maxSubmitConnections}, {"batch", 1, maxSubmitBatch}, {"rounds", 1, maxSubmitRounds},
			}); err != nil {
				return err
			}
			report, err := benchSubmit(c.Context, &submitReport{
				Payments: c.Int("payments"), Connections: c.Int("connections"), Batch: c.Int("batch"), Rounds: c.Int("rounds"),
			}, newProgress(c.App.ErrWriter))
			if err != nil {
				return err
			}
			return show(c, report)
		},
	}
}

// Bounds of the load: 100,000 payments are 100 MB in a node's mempool, and its RPC
// server takes no more calls at a time and in a batch.
const (
	maxSubmitPayments    = 100_000
	maxSubmitConnections = 128
	maxSubmitBatch       = 2000
	maxSubmitRounds      = 1000
)

// submitReport is the JSON document of `kapok bench submit --json`.
type submitReport struct {
	Version     string         `json:"version"`
	Bench       string         `json:"bench"`
	Complete    bool           `json:"complete"` // false: interrupted
	Machine     machine        `json:"machine"`
	Payments    int            `json:"payments"` // in a round
	Connections int            `json:"connections"`
	Batch       int            `json:"batch"`
	Rounds      int            `json:"rounds"` // of each kind, at most
	Single      submitRate     `json:"single"`
	Batched     submitRate     `json:"batched"`
	Template    submitTemplate `json:"template"`
	Method      string         `json:"method"`
}

// submitRate is one kind of call. Medians are of the rounds.
type submitRate struct {
	Rounds    int     `json:"rounds"`
	PerS      float64 `json:"payments_per_s"` // median
	LowPerS   float64 `json:"payments_per_s_low"`
	HighPerS  float64 `json:"payments_per_s_high"`
	CallP50   float64 `json:"call_p50_ms"` // of all calls of all rounds
	CallP99   float64 `json:"call_p99_ms"`
	NodeCPU   float64 `json:"node_cpu_s"`   // a round, median; 0 where it is not known
	ClientCPU float64 `json:"client_cpu_s"` // likewise
}

// submitTemplate is getblocktemplate over RPC, when the mempool has all payments.
type submitTemplate struct {
	Calls    int     `json:"calls"`
	Payments int     `json:"payments"` // that the block holds
	P50      float64 `json:"p50_ms"`
	Low      float64 `json:"low_ms"`
	High     float64 `json:"high_ms"`
}

func submitTemplateOf(rounds []submitRound) submitTemplate {
	var all []float64
	for _, r := range rounds {
		all = append(all, r.templates...)
	}
	all = sortedCopy(all)
	return submitTemplate{len(all), rounds[0].inTemplate, percentile(all, 0.5), all[0], all[len(all)-1]}
}

func benchSubmit(ctx context.Context, r *submitReport, p progress) (_ *submitReport, err error) {
	r.Version, r.Bench, r.Machine = version, "submit", thisMachine()
	r.Method = "closed loop: each connection sends its next call when it has its answer; node and client share the machine"
	made, err := cached(fmt.Sprintf("submit-%d", r.Payments), func(dir string) error {
		return makePayments(ctx, dir, r.Payments, p)
	})
	if err != nil {
		return nil, err
	}
	dir, remove, err := copied(made)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	text, err := os.ReadFile(filepath.Join(dir, paymentsFile))
	if err != nil {
		return nil, err
	}
	payments := strings.Fields(string(text))
	if len(payments) != r.Payments {
		return nil, fmt.Errorf("%s holds %d payments, not %d: remove it", made, len(payments), r.Payments)
	}
	var single, batched []submitRound
	for i := range r.Rounds {
		for _, kind := range []struct {
			batch int
			to    *[]submitRound
		}{{0, &single}, {r.Batch, &batched}} {
			if ctx.Err() != nil {
				break
			}
			p.show("  round %d of %d", i+1, r.Rounds)
			round, err := submitAll(ctx, filepath.Join(dir, "node"), payments, r.Connections, kind.batch)
			if err != nil && ctx.Err() == nil {
				return nil, err
			}
			if err == nil {
				*kind.to = append(*kind.to, round)
			}
		}
	}
	p.clear()
	if len(batched) == 0 {
		return nil, ctx.Err()
	}
	r.Complete, r.Single, r.Batched = ctx.Err() == nil, submitRateOf(single), submitRateOf(batched)
	r.Template = submitTemplateOf(slices.Concat(single, batched))
	return r, nil
}

// paymentsFile holds payments in hex, a line each, beside the node that takes them.
const paymentsFile = "payments.hex"

// makePayments makes a node's directory with a coin for each payment, and the payments.
func makePayments(ctx context.Context, dir string, n int, p progress) error {
	params := consensus.Regtest()
	p.show("  making %d payments", n)
	chain, err := newPaidChain(params, n)
	if err != nil {
		return err
	}
	txs, err := chain.payments()
	if err != nil {
		return err
	}
	lines := make([]string, len(txs))
	for i, tx := range txs {
		lines[i] = hex.EncodeToString(tx.Bytes())
	}
	if err := os.WriteFile(filepath.Join(dir, paymentsFile), []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		return err
	}
	return storeChain(ctx, params, filepath.Join(dir, "node"), chain.blocks, p)
}

// submitRound is one round: all payments by calls of one kind.
type submitRound struct {
	perS      float64
	calls     []float64 // ms
	node, own float64   // CPU seconds

	templates  []float64 // ms, with all payments in the mempool
	inTemplate int       // payments in each
}

// submitAll hands payments to a fresh process: batch by batch, or where batch is 0 one by one.
func submitAll(ctx context.Context, dir string, payments []string, connections, batch int) (r submitRound, err error) {
	server, err := startChild(ctx, benchNode(dir, "--listen", "none")...)
	if err != nil {
		return r, err
	}
	defer server.end()
	calls, err := encodeCalls(server.ready.Ready, payments, batch)
	if err != nil {
		return r, err
	}
	var conns []*rawConn
	for range connections {
		conn, err := dialRaw(server.ready.Ready.RPC)
		if err != nil {
			return r, err
		}
		defer conn.close()
		conns = append(conns, conn)
	}
	r.calls = make([]float64, len(calls))
	var next atomic.Int64
	var busy sync.WaitGroup
	faults := make([]error, connections)
	node, own, began := server.usedCPU(), processCPU(), time.Now()
	for i, conn := range conns {
		busy.Go(func() {
			for faults[i] == nil && ctx.Err() == nil {
				at := int(next.Add(1)) - 1
				if at >= len(calls) {
					return
				}
				sent := time.Now()
				faults[i] = conn.call(calls[at])
				r.calls[at] = ms(time.Since(sent))
			}
		})
	}
	busy.Wait()
	took := time.Since(began)
	r.node, r.own = (server.usedCPU() - node).Seconds(), (processCPU() - own).Seconds()
	r.perS = float64(len(payments)) / took.Seconds()
	if err := errors.Join(append(faults, ctx.Err())...); err != nil {
		return r, err
	}
	if err := checkMempool(ctx, server.ready.Ready, len(payments)); err != nil {
		return r, err
	}
	// A block to be solved, from a full mempool: the first one, and with caches warm.
	request, err := encodeCall(server.ready.Ready, `{"jsonrpc":"2.0","id":0,"method":"getblocktemplate","params":[{"rules":["segwit"]}]}`)
	if err != nil {
		return r, err
	}
	for range templatesPerRound {
		asked := time.Now()
		if err := conns[0].call(rawCall{request, 1}); err != nil {
			return r, err
		}
		r.templates = append(r.templates, ms(time.Since(asked)))
	}
	r.inTemplate = bytes.Count(conns[0].answer.Bytes(), []byte(`"txid":`))
	return r, nil
}

// templatesPerRound is how often a node is asked for a block when it has all payments.
const templatesPerRound = 3

// checkMempool makes sure that a node has what it was given.
func checkMempool(ctx context.Context, at *readyEvent, want int) error {
	client := rpc.NewClient(rpc.Dial{URL: "http://" + at.RPC, CookieFile: at.Cookie})
	defer client.Close()
	var pool struct {
		Size int `json:"size"`
	}
	if err := client.Call(ctx, "getmempoolinfo", &pool); err != nil {
		return err
	}
	if pool.Size != want {
		return fmt.Errorf("the node has %d payments of the %d that it took", pool.Size, want)
	}
	return nil
}

func submitRateOf(rounds []submitRound) submitRate {
	var rates, calls, node, own []float64
	for _, r := range rounds {
		rates, calls, node, own = append(rates, r.perS), append(calls, r.calls...), append(node, r.node), append(own, r.own)
	}
	rates, calls, node, own = sortedCopy(rates), sortedCopy(calls), sortedCopy(node), sortedCopy(own)
	return submitRate{
		Rounds: len(rounds), PerS: percentile(rates, 0.5), LowPerS: rates[0], HighPerS: rates[len(rates)-1],
		CallP50: percentile(calls, 0.5), CallP99: percentile(calls, 0.99), NodeCPU: percentile(node, 0.5), ClientCPU: percentile(own, 0.5),
	}
}

// print writes the report for people.
func (r *submitReport) print(w io.Writer) {
	fmt.Fprintf(w, "%s\n%d payments of 1 input and 2 outputs over %d connections\n\n", r.Machine, r.Payments, r.Connections)
	fmt.Fprintf(w, "%-16s %6s %14s %16s %13s %8s %11s %13s\n", "", "rounds", "payments/s p50", "low to high", "call, ms p50", "p99", "node, CPU s", "client, CPU s")
	for _, row := range []struct {
		name string
		r    submitRate
	}{{"single", r.Single}, {fmt.Sprintf("batches of %d", r.Batch), r.Batched}} {
		fmt.Fprintf(w, "%-16s %6d %14.0f %16s %13.2f %8.2f %11s %13s\n", row.name, row.r.Rounds, row.r.PerS, fmt.Sprintf("%.0f to %.0f", row.r.LowPerS, row.r.HighPerS),
			row.r.CallP50, row.r.CallP99, known("%.2f", row.r.NodeCPU), known("%.2f", row.r.ClientCPU))
	}
	fmt.Fprintf(w, "\na template of %d of these %d payments, by getblocktemplate: %.0f ms p50, %.0f to %.0f\n",
		r.Template.Payments, r.Payments, r.Template.P50, r.Template.Low, r.Template.High)
	fmt.Fprintf(w, "\n%s. CPU seconds are of a round.\n%s", r.Method, complaint(r.Complete))
}
