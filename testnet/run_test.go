package testnet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/testnet/record"
	"github.com/kapok-chain/kapok/testnet/spec"
)

// childArgument makes the test's program a node's process.
const childArgument = "testnet-node"

// These make it one that says these lines, and nothing else until its input ends.
const (
	silentArgument   = "testnet-silent"
	nonsenseArgument = "testnet-nonsense"
	twiceArgument    = "testnet-twice"
)

var odd = map[string]string{
	silentArgument:   "",
	nonsenseArgument: "hello\n",
	twiceArgument:    `{"ready":{"addr":"first"}}` + "\n" + `{"ready":{"addr":"second"}}` + "\n",
}

// fullDiskEnv is set in the child of TestFullDisk that may mount.
const fullDiskEnv = "KAPOK_FULL_DISK"

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == childArgument {
		if Child(context.Background(), os.Stdin, os.Stdout, os.Stderr) != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	if len(os.Args) == 2 {
		if lines, ok := odd[os.Args[1]]; ok {
			fmt.Print(lines)
			_, _ = io.Copy(io.Discard, os.Stdin)
			os.Exit(0)
		}
	}
	if os.Getenv(fullDiskEnv) != "" {
		os.Exit(m.Run()) // a store on a full disk is not closed: that would write
	}
	goleak.VerifyTestMain(m) // networks run in parallel, so that no test can tell its own goroutines
}

// smallSpec is a ring of nodes whose links take 5 ms. The first two mine, so that there is
// a block every 0.2 s, and two wallets pay 5 times a second.
func smallSpec(t *testing.T, nodes int) *spec.Spec {
	t.Helper()
	const hashes, spacing = 1 << 12, 0.2
	params := *consensus.Regtest()
	params.Name, params.GenesisNonce, params.Spacing, params.Maturity = "small", 0, 1, 2
	params.StartBits, params.PowLimitBits = 0x1f0fffff, 0x1f0fffff // 4,096 hashes a block
	s := &spec.Spec{
		Name: "small", Seed: 1, Text: []byte("# a test\n"), Blocks: 8, Network: &params, SpacingS: spacing,
		Prelude: 3, Coins: 100, Payments: spec.Payments{Rate: 5, Wallets: 2, Fees: spec.Fees{Kind: spec.Constant, Median: 2}},
	}
	params.GenesisTime = uint32(time.Now().Unix()) - s.Prelude
	if err := params.Init(); err != nil {
		t.Fatal(err)
	}
	for i := range nodes {
		n := spec.Node{Name: "n"}
		if i < 2 {
			n.HashesPerS = hashes / spacing / 2
		}
		s.Nodes = append(s.Nodes, n)
		s.Edges = append(s.Edges, spec.Edge{From: i, To: (i + 1) % nodes})
		links := make([]spec.Link, nodes)
		for j := range links {
			if j != i {
				links[j].Delay = 5 * time.Millisecond
			}
		}
		s.Links = append(s.Links, links)
	}
	return s
}

// quiet has nobody pay.
func quiet(s *spec.Spec) { s.Prelude, s.Coins, s.Payments = 0, 0, spec.Payments{} }

// smallOptions run a testnet in the test's directories.
func smallOptions(t *testing.T, s *spec.Spec) Options {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Options{
		Spec: s, Dir: filepath.Join(t.TempDir(), "run"), Data: t.TempDir(), Command: []string{program, childArgument}, Version: "0.0.0",
		Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError})),
	}
}

// smallRun is a run whose nodes are connected and mine, for a test to play its events.
func smallRun(t *testing.T, o Options) *run {
	t.Helper()
	r, err := newRun(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.net.stop()
		if err := r.writer.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := r.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.mine(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	return r
}

// eventually waits until something about the record holds.
func eventually(t *testing.T, r *run, what string, holds func() bool) {
	t.Helper()
	var met bool
	err := r.until(t.Context(), 20*time.Second, func() bool {
		r.recorder.look(func() { met = holds() })
		return met
	})
	if err != nil || !met {
		t.Fatalf("waited for %s in vain: %v", what, err)
	}
}

// oneTip lets the miners rest, waits until the nodes are at one tip, and holds their coins
// against each other.
func oneTip(t *testing.T, r *run) {
	t.Helper()
	if err := r.mine(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if err := r.agree(t.Context()); err != nil {
		t.Fatal(err)
	}
	ends := r.ends(t.Context(), commandTime, make([]error, len(r.net.seats)))
	if len(ends) != len(r.net.running()) {
		t.Errorf("%d nodes say what they stand at, %d run", len(ends), len(r.net.running()))
	}
	for _, e := range ends {
		if e.Tip != ends[0].Tip || e.CoinSum != ends[0].CoinSum || e.Height <= r.Spec.Prelude {
			t.Errorf("node %d ends with %+v, node %d with %+v", e.Node, e, ends[0].Node, ends[0])
		}
	}
}

// A run from its file to its record: every block at every node, every payment confirmed,
// all nodes at one tip with equal coins.
func TestRun(t *testing.T) {
	t.Parallel()
	s := smallSpec(t, 4)
	s.Blocks = 12 // so that looks are due
	o := smallOptions(t, s)
	var info Info
	o.Ready = func(i Info) { info = i }
	if _, err := Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	r, err := record.Open(o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	m := r.Manifest
	if m.Status != record.Complete || len(info.Nodes) != 4 || m.StartedInS <= 0 || m.MeasuredToS <= m.MeasuredFromS {
		t.Errorf("the manifest is %+v", m)
	}
	if len(m.End.Nodes) != 4 || m.End.Hashes <= 0 || m.End.HashesDue <= 0 || math.Abs(m.End.WorstLag) > 1 || m.End.PeakRSSBytes <= 0 || m.End.EnergyMethod == "" {
		t.Errorf("the end is %+v", m.End)
	}
	plausible := func(late *record.Lateness) bool {
		return late != nil && late.P50S >= 0 && late.P99S >= late.P50S && late.MaxS >= late.P99S && late.MaxS < 60
	}
	due := slices.ContainsFunc(r.Payments, func(p record.Payment) bool {
		return p.DueS >= m.MeasuredFromS && p.DueS < m.MeasuredToS && p.SubmittedS >= 0
	})
	if late := m.End.LoadLate; (late != nil) != due || due && !plausible(late) {
		t.Errorf("payments were late by %+v; some were due: %v", late, due)
	}
	if late := m.End.LookLate; !plausible(late) && m.MeasuredToS > m.MeasuredFromS+1.5*sampleEvery.Seconds() || late != nil && !plausible(late) {
		t.Errorf("looks were late by %+v", late)
	}
	for _, n := range m.End.Nodes {
		if n.Tip != m.End.Nodes[0].Tip || n.CoinSum != m.End.Nodes[0].CoinSum {
			t.Errorf("nodes end with %+v and %+v", n, m.End.Nodes[0])
		}
	}
	checkBlocks(t, r)
	if len(r.Payments) == 0 {
		t.Error("nobody paid")
	}
	for _, p := range r.Payments {
		if p.Status != record.Confirmed || !(p.DueS <= p.SubmittedS && p.SubmittedS <= p.AcceptedS && (p.AcceptedS <= p.EveryPoolS+1e-6 || math.IsNaN(p.EveryPoolS)) && p.InBlockS <= p.Confirmed1S && p.Confirmed1S < p.Confirmed6S) {
			t.Errorf("a payment: %+v", p)
		}
	}
	if len(r.Samples) == 0 || r.Samples[0].Peers != 2 {
		t.Errorf("the first of %d samples: %+v", len(r.Samples), r.Samples)
	}
}

// checkBlocks looks whether blocks were recorded as they must have been: found by a miner
// for so many hashes, and, where they are active, later at every other node.
func checkBlocks(t *testing.T, r *record.Run) {
	t.Helper()
	active := 0
	for _, b := range r.Blocks {
		if b.FeesUnits < 0 || (b.FeesUnits > 0) != (b.Transactions > 1) || b.Miner < 1 || b.Miner > 2 || !(b.Hashes >= 1) || b.DifficultyHashes < 4096 || b.Transactions < 1 || b.SizeBytes < 100 || b.WeightUnits < 4*100 {
			t.Errorf("a block: %+v", b)
		}
		if b.Status != record.Active {
			continue
		}
		active++
		for i, at := range b.ArrivalS {
			if !(at >= b.FoundS) || i+1 != b.Miner && at < b.FoundS+0.005 {
				t.Errorf("block %d was found by node %d at %.6f s and came to node %d at %.6f s", b.Height, b.Miner, b.FoundS, i+1, at)
			}
		}
	}
	if active < 8 {
		t.Errorf("%d blocks are active", active)
	}
}

// Whoever interrupts a run has what there was until then, marked as such.
func TestInterrupted(t *testing.T) {
	for _, tc := range []struct {
		interactive bool
		err         error
		status      record.Status
	}{
		{false, context.Canceled, record.Interrupted},
		{true, nil, record.Complete}, // it goes on until it is stopped
	} {
		interrupt(t, tc.interactive, tc.err, tc.status)
	}
}

func interrupt(t *testing.T, interactive bool, want error, status record.Status) {
	t.Helper()
	s := smallSpec(t, 3)
	s.Nodes[2].Process = true
	s.Blocks = 1 << 20
	if interactive {
		s.Blocks = 1
	}
	o := smallOptions(t, s)
	o.Data, o.Interactive = "", interactive
	t.Setenv("TMPDIR", t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o.Progress = func(text string) {
		if text == "measuring" {
			cancel()
		}
	}
	var info Info
	o.Ready = func(i Info) {
		info = i
		for _, n := range i.Nodes {
			checkMetrics(t, n, interactive)
		}
	}
	if _, err := Run(ctx, o); !errors.Is(err, want) {
		t.Errorf("Run returned %v", err)
	}
	if len(info.Nodes) != 3 || (info.Nodes[0].Pages != "") != interactive {
		t.Errorf("the nodes are %+v", info.Nodes)
	}
	r, err := record.Open(o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if m := r.Manifest; m.Nodes[0].Process || !m.Nodes[2].Process || m.Status != status || m.MeasuredToS < m.MeasuredFromS || m.End == nil || len(m.End.Nodes) != 3 {
		t.Errorf("the manifest is %+v, %+v", m, m.End)
	}
	if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) > 0 {
		t.Errorf("what the nodes stored is left: %v, %v", left, err)
	}
}

// checkMetrics scrapes a node that has metrics, in this process or in another.
func checkMetrics(t *testing.T, n NodeInfo, wanted bool) {
	t.Helper()
	if !wanted {
		if n.Metrics != "" {
			t.Errorf("node %d has metrics at %s", n.Node, n.Metrics)
		}
		return
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: commandTime}
	response, err := client.Get(n.Metrics)
	if err != nil {
		t.Error(err)
		return
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || !strings.Contains(string(text), "\nkapok_p2p_peers{direction=\"inbound\"} 1\n") {
		t.Errorf("the metrics of node %d: %v\n%.2000s", n.Node, err, text)
	}
}

// A node that ends by itself ends the run, which says which one and why, and what the
// others stood at.
func TestNodeThatEnds(t *testing.T) {
	t.Parallel()
	s := smallSpec(t, 3)
	s.Nodes[2].Process = true
	s.Blocks = 1 << 20
	o := smallOptions(t, s)
	var pid int
	o.Ready = func(info Info) { pid = info.Nodes[2].PID }
	o.Progress = func(text string) {
		if text != "measuring" {
			return
		}
		process, err := os.FindProcess(pid)
		if err == nil {
			err = process.Kill()
		}
		if err != nil {
			t.Error(err)
		}
	}
	_, err := Run(t.Context(), o)
	if err == nil {
		t.Fatal("Run is content")
	}
	t.Log(err)
	r, err := record.Open(o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	m := r.Manifest
	if m.Status != record.Failed || !strings.Contains(m.Reason, "node 3 has ended by itself") || m.PaymentsUnknown != "" {
		t.Errorf("the manifest is %+v", m)
	}
	if m.End == nil || len(m.End.Nodes) != 2 || m.End.Nodes[0].Node != 1 || m.End.Nodes[1].Node != 2 {
		t.Errorf("the end is %+v", m.End)
	}
}

// In a network for people a node may be stopped over RPC; it is down then, and the others
// go on.
func TestStopOverRPC(t *testing.T) {
	t.Parallel()
	s := smallSpec(t, 3)
	s.Nodes[2].Process = true
	quiet(s)
	o := smallOptions(t, s)
	o.Interactive = true
	r := smallRun(t, o)
	for _, node := range []int{0, 2} {
		if err := r.net.client(node).Call(t.Context(), "stop", nil); err != nil {
			t.Fatal(err)
		}
		eventually(t, r, "its end", func() bool { return !r.recorder.up[node] })
	}
	if up := r.net.running(); len(up) != 1 || up[0] != 1 || r.net.failed.Err() != nil {
		t.Errorf("nodes %v run: %v", up, context.Cause(r.net.failed))
	}
	if err := r.act(t.Context(), t.Context(), &spec.Event{Kind: spec.Restart, Nodes: []int{0, 2}}); err != nil {
		t.Fatal(err)
	}
	oneTip(t, r)
}

// A directory with the chains of a run before is refused before anything is mined.
func TestDataOfAnotherRun(t *testing.T) {
	o := smallOptions(t, smallSpec(t, 2))
	if err := os.WriteFile(filepath.Join(o.Data, "prelude.blocks"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "holds prelude.blocks, expected an empty directory") {
		t.Errorf("Run returned %v", err)
	}
}
