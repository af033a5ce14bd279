package node

import (
	"fmt"
	"math"
	"net"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/p2p"
	"github.com/kapok-chain/kapok/p2p/host"
)

// maxScrapes bounds how many scrapes are answered at once, and so how many callers wait
// for the node's lock; Prometheus sends one each time.
const maxScrapes = 4

// described is one metric's name, as Prometheus shows it, with its labels.
func described(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("kapok_"+name, help, labels, nil)
}

// The metrics of a node; docs/metrics.md lists them.
var (
	infoMetric = described("info", "Always 1; the labels say which node it is.", "version", "network", "genesis")

	heightMetric       = described("chain_height", "Height of the tip, in blocks.")
	headersMetric      = described("chain_header_height", "Height of the best header, whether its block is here or not.")
	knownMetric        = described("chain_known_headers", "Headers that are kept, of the best chain and of all others, genesis included.")
	difficultyMetric   = described("chain_difficulty_hashes", "Hashes that a block with the tip's target takes on average.")
	workMetric         = described("chain_work_log2_hashes", "Chainwork of the tip, as the power of two of its hashes.")
	tipTimeMetric      = described("chain_tip_timestamp_seconds", "Time that the tip's header states, since the Unix epoch.")
	chainTxsMetric     = described("chain_transactions", "Transactions of the active chain, coinbases included.")
	coinsMetric        = described("chain_coins", "Coins that can be spent: unspent outputs of the active chain.")
	supplyMetric       = described("chain_supply_units", "Value of all coins; one coin of money is 100,000,000 units.")
	reorgMetric        = described("chain_reorganisations_total", "How often the tip moved to another branch since the start.")
	detachedMetric     = described("chain_detached_blocks_total", "Blocks that reorganisations took off since the start.")
	relayMetric        = described("chain_block_bodies_total", "Bodies of blocks that came from peers since the start, by the way they came.", "way")
	mempoolTxsMetric   = described("mempool_transactions", "Payments that wait to be mined.")
	mempoolSizeMetric  = described("mempool_virtual_bytes", "Virtual size of the payments that wait.")
	mempoolBytesMetric = described("mempool_memory_bytes", "Memory that the mempool counts for its payments.")
	mempoolFeesMetric  = described("mempool_fees_units", "Fees of the payments that wait.")
	mempoolFloorMetric = described("mempool_min_fee_rate_units_per_kvb", "Least fee rate that is taken, for 1,000 virtual bytes.")
	peersMetric        = described("p2p_peers", "Connected peers, by who opened the connection.", "direction")
	trafficMetric      = described("p2p_bytes_total", "Bytes on all connections to peers since the start.", "direction")
	messagesMetric     = described("p2p_messages_total", "Messages of peers since the start, by stream and by gossip.", "type", "direction")
	offsetMetric       = described("p2p_clock_offset_seconds", "Median of the peers' clocks less this node's.")
	storageMetric      = described("storage_bytes", "Size of the chain on disk, as of the last minute.")
	hashesMetric       = described("miner_hashes_total", "Hashes that this node's miner has done since the start.")
	hashrateMetric     = described("miner_hashes_per_second", "Hash rate of this node's miner over the last ten seconds.")
	minedMetric        = described("miner_blocks_total", "Blocks that this node's miner has found since the start, by what became of them at once.", "result")
)

// metrics reads a node when Prometheus asks. Its lock is held for a few counters, and not
// while somebody takes what was read.
type metrics struct {
	*Service
	version string
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(out chan<- *prometheus.Desc) { prometheus.DescribeByCollect(m, out) }

// Collect implements prometheus.Collector.
func (m *metrics) Collect(out chan<- prometheus.Metric) {
	var read []prometheus.Metric
	defer func() {
		for _, metric := range read {
			out <- metric
		}
	}()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		read = append(read, prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...))
	}
	counter := func(d *prometheus.Desc, v float64, labels ...string) {
		read = append(read, prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...))
	}
	gauge(infoMetric, 1, m.version, m.params.Name, m.params.GenesisHash().String())
	m.chain(gauge, counter)
	mempool := rpcBackend{m.Service}.Mempool()
	gauge(mempoolTxsMetric, float64(mempool.Txs))
	gauge(mempoolSizeMetric, float64(mempool.VSize))
	gauge(mempoolBytesMetric, float64(mempool.Usage))
	gauge(mempoolFeesMetric, float64(mempool.TotalFee))
	gauge(mempoolFloorMetric, float64(mempool.MinFeeRate))
	m.network(gauge, counter)
	gauge(storageMetric, float64(m.store.SizeOnDisk()))
	if m.Miner != nil {
		stats := m.Miner.Stats()
		counter(hashesMetric, float64(stats.Hashes))
		gauge(hashrateMetric, stats.Rate)
		counter(minedMetric, float64(stats.Found), "accepted")
		counter(minedMetric, float64(stats.Stale), "stale")
		counter(minedMetric, float64(stats.Refused), "refused")
	}
}

func (m *metrics) chain(gauge, counter func(*prometheus.Desc, float64, ...string)) {
	m.look(func(n *Node) {
		tip := n.tree.Tip()
		gauge(heightMetric, float64(tip.Height))
		gauge(headersMetric, float64(n.tree.BestHeader().Height))
		gauge(knownMetric, float64(n.tree.Len()))
		difficulty, _ := consensus.WorkOf(tip.Header.Bits).Big().Float64()
		gauge(difficultyMetric, difficulty)
		work, _ := tip.Work.Big().Float64()
		gauge(workMetric, math.Log2(work))
		gauge(tipTimeMetric, float64(tip.Header.Time))
		gauge(chainTxsMetric, float64(n.totals.upTo(tip.Height)))
		gauge(offsetMetric, n.engine.ClockOffset().Seconds())
		relay := n.BlockRelay()
		counter(relayMetric, float64(relay.Rebuilt), "rebuilt")
		counter(relayMetric, float64(relay.Completed), "completed")
		counter(relayMetric, float64(relay.Whole), "whole")
	})
	sum := m.store.Sum()
	gauge(coinsMetric, float64(sum.Count))
	gauge(supplyMetric, float64(sum.Value))
	reorganisations, detached := m.Runner.Reorganisations()
	counter(reorgMetric, float64(reorganisations))
	counter(detachedMetric, float64(detached))
}

func (m *metrics) network(gauge, counter func(*prometheus.Desc, float64, ...string)) {
	in, out := 0, 0
	for _, peer := range m.Runner.Peers() {
		if peer.Inbound {
			in++
		} else {
			out++
		}
	}
	gauge(peersMetric, float64(in), "inbound")
	gauge(peersMetric, float64(out), "outbound")
	received, sent := m.Host.Totals()
	counter(trafficMetric, float64(received), "received")
	counter(trafficMetric, float64(sent), "sent")
	messages := m.Host.Messages()
	for i := range messages.StreamIn { // number 0 is what has no name
		name := "other"
		if i > 0 {
			name = p2p.Type(i).String()
		}
		counter(messagesMetric, float64(messages.StreamIn[i].Messages+messages.GossipIn[i].Messages), name, "received")
		counter(messagesMetric, float64(messages.StreamOut[i].Messages+messages.GossipOut[i].Messages), name, "sent")
	}
}

// newRegistry holds the metrics of one node: libp2p's, Go's and the process's beside our
// own. Nothing is registered globally, so that a process may run many nodes.
func newRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// listenMetrics binds the port of the metrics.
func (s *Service) listenMetrics(cfg ServiceConfig) (err error) {
	if s.metricsListener, err = net.Listen("tcp", cfg.MetricsListen); err != nil {
		return fmt.Errorf("the metrics cannot listen on %s (choose a free port with --metrics): %w", cfg.MetricsListen, err)
	}
	if err := s.registry.Register(&metrics{s, cfg.Version}); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{MaxRequestsInFlight: maxScrapes}))
	s.metrics = mux
	return nil
}

// MetricsAddr is the host:port of the metrics, or "".
func (s *Service) MetricsAddr() string { return listenAddr(s.metricsListener) }

// hostMetrics is where libp2p puts its own metrics; nil for none.
func (s *Service) hostMetrics(c *host.Config) {
	if s.registry != nil {
		c.Metrics = s.registry
	}
}
