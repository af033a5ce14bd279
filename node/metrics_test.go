package node_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"go.uber.org/goleak"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/miner"
	"github.com/kapok-chain/kapok/node"
)

// scrape is what a node answers Prometheus.
func scrape(t *testing.T, s *node.Service) string {
	t.Helper()
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get("http://" + s.MetricsAddr() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("status %s, %v: %s", response.Status, err, text)
	}
	return string(text)
}

// value is a metric's line in a scrape, without the name.
func value(t *testing.T, text, series string) string {
	t.Helper()
	for line := range strings.Lines(text) {
		if v, ok := strings.CutPrefix(line, series+" "); ok {
			return strings.TrimSpace(v)
		}
	}
	t.Errorf("no %s among the metrics", series)
	return ""
}

// TestMetrics: a node with two blocks, a reorganisation of two more, and a miner that
// cannot find any tells just that, under names that Prometheus' own linter accepts and
// docs/metrics.md lists with their types.
func TestMetrics(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	params := consensus.Regtest()
	params.StartBits, params.PowLimitBits = 0x1f00ffff, 0x1f00ffff // the miner's first hash solves none
	if err := params.Init(); err != nil {
		t.Fatal(err)
	}
	c := chaintest.New(t, params)
	first, second := c.Mine("genesis", "1"), c.Mine("1", "2")
	rivals := []*consensus.Block{c.Mine("1", "2b"), c.Mine("2b", "3b")}
	s, err := node.Open(node.ServiceConfig{
		Params: c.Params, DataDir: t.TempDir(), Agent: "/test/", Version: "0.0.0", Lean: true, DisableQUIC: true,
		MetricsListen: "127.0.0.1:0", Miner: &miner.Config{Threads: 1, MaxHashrate: 1e-6, Payout: consensus.PayToKey([32]byte{1})},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run returned %v", err)
		}
	}()
	for _, block := range slices.Concat([]*consensus.Block{first, second}, rivals) {
		if _, err := s.Runner.SubmitBlock(ctx, block); err != nil {
			t.Fatal(err)
		}
	}

	text := scrape(t, s)
	for series, want := range map[string]string{
		`kapok_chain_height`:                            "3",
		`kapok_chain_header_height`:                     "3",
		`kapok_chain_known_headers`:                     "5",
		`kapok_chain_transactions`:                      "4",
		`kapok_chain_coins`:                             "3",
		`kapok_chain_supply_units`:                      "1.5e+10",
		`kapok_chain_work_log2_hashes`:                  "18.000022",
		`kapok_chain_reorganisations_total`:             "1",
		`kapok_chain_detached_blocks_total`:             "1",
		`kapok_mempool_transactions`:                    "0",
		`kapok_p2p_peers{direction="inbound"}`:          "0",
		`kapok_miner_blocks_total{result="accepted"}`:   "0",
		`kapok_chain_block_bodies_total{way="rebuilt"}`: "0",
		`kapok_mempool_min_fee_rate_units_per_kvb`:      "1000",
		`kapok_info{genesis="` + c.Params.GenesisHash().String() + `",network="regtest",version="0.0.0"}`: "1",
	} {
		if got := value(t, text, series); !strings.HasPrefix(got, want) {
			t.Errorf("%s is %s, want %s", series, got, want)
		}
	}
	for _, other := range []string{"go_goroutines", "process_resident_memory_bytes", "libp2p_rcmgr_limit"} {
		if !strings.Contains(text, "# HELP "+other) {
			t.Errorf("no %s", other)
		}
	}

	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "kapok_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
	doc, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	told, listed := typesOf(regexp.MustCompile(`(?m)^# TYPE (kapok_\w+) (\w+)$`), text), typesOf(regexp.MustCompile("(?m)^\\| `(kapok_\\w+)[^|]*\\| (\\w+) \\|"), string(doc))
	if !slices.Equal(told, listed) {
		t.Errorf("docs/metrics.md lists\n  %s\nand a node tells\n  %s", strings.Join(listed, "\n  "), strings.Join(told, "\n  "))
	}

	refused, err := http.Post("http://"+s.MetricsAddr()+"/metrics", "text/plain", nil)
	if err != nil {
		t.Fatal(err)
	}
	refused.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if refused.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST is answered %s", refused.Status)
	}
}

// typesOf lists "name type", sorted.
func typesOf(pattern *regexp.Regexp, text string) (list []string) {
	for _, m := range pattern.FindAllStringSubmatch(text, -1) {
		list = append(list, m[1]+" "+m[2])
	}
	slices.Sort(list)
	return list
}

// TestDashboard: the dashboard asks for nothing that no node tells.
func TestDashboard(t *testing.T) {
	text, err := os.ReadFile("../deploy/grafana/kapok.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			for _, name := range regexp.MustCompile(`kapok_\w+`).FindAllString(target.Expr, -1) {
				asked++
				if !regexp.MustCompile("`" + name + "[`{]").Match(doc) {
					t.Errorf("panel %q asks for %s, which docs/metrics.md does not list", panel.Title, name)
				}
			}
		}
	}
	if asked < len(dashboard.Panels)/2 {
		t.Errorf("%d panels ask for %d metrics", len(dashboard.Panels), asked)
	}
}
