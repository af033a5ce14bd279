package record

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
)

// check refuses a manifest that the tables cannot belong to, or whose figures or texts cannot
// be, and takes control characters out of its texts.
func (m *Manifest) check() error {
	n := len(m.Nodes)
	switch {
	case m.Schema != Schema:
		return fmt.Errorf("schema: %d, want %d: the run is of another version of Kapok (%s)", m.Schema, Schema, quote(m.KapokVersion))
	case !slices.Contains([]Status{Running, Complete, Interrupted, Failed}, m.Status):
		return fmt.Errorf("status: %s, want running, complete, interrupted or failed", quote(string(m.Status)))
	case n == 0 || n > MaxNodes:
		return fmt.Errorf("nodes: %d, want 1 to %d", n, MaxNodes)
	case len(m.LinkDelaysMS) != 0 && len(m.LinkDelaysMS) != n:
		return fmt.Errorf("link_delays_ms: %d rows, want one for each of the %d nodes", len(m.LinkDelaysMS), n)
	}
	for i, node := range m.Nodes {
		if node.Node != i+1 {
			return fmt.Errorf("nodes: %d in place %d: they count from 1", node.Node, i+1)
		}
		errs := []error{checkAmount("hashes_per_s", node.HashesPerS, 0), checkAmount("uplink_bytes_per_s", node.UplinkBps, 0)}
		for _, peer := range node.Dials {
			errs = append(errs, checkNode("dials", peer, n))
		}
		if err := cmp.Or(errs...); err != nil {
			return fmt.Errorf("node %d: %w", i+1, err)
		}
	}
	for i, row := range m.LinkDelaysMS {
		if len(row) != n {
			return fmt.Errorf("link_delays_ms: %d values in row %d, want one for each of the %d nodes", len(row), i+1, n)
		}
		for _, ms := range row {
			if err := cmp.Or(checkAmount("link_delays_ms", ms, 0), checkSeconds("link_delays_ms", ms/1000)); err != nil {
				return err
			}
		}
	}
	return cmp.Or(
		readText(m.texts()),
		checkSeconds("measured_from_s", m.MeasuredFromS),
		checkSeconds("measured_to_s", m.MeasuredToS),
		checkSeconds("started_in_s", m.StartedInS),
		checkAmount("network.spacing_s", m.Network.SpacingS, 0), checkSeconds("network.spacing_s", m.Network.SpacingS),
		checkAmount("network.difficulty_hashes", m.Network.DifficultyHashes, 0),
		checkAmount("load.rate_per_s", m.Load.RatePerS, 0),
		m.End.check(n))
}

func (e *End) check(nodes int) error {
	if e == nil {
		return nil
	}
	errs := []error{
		checkAmount("end.joules", e.Joules, 0), checkAmount("end.hashes", e.Hashes, 0), checkAmount("end.hashes_due", e.HashesDue, 0),
		checkAmount("end.peak_rss_bytes", e.PeakRSSBytes, 0), checkShare("end.worst_miner_lag_share", e.WorstLag),
	}
	for _, late := range []*Lateness{e.LoadLate, e.LookLate} {
		if late != nil {
			errs = append(errs, checkSeconds("end: late p50", late.P50S), checkSeconds("end: late p99", late.P99S), checkSeconds("end: late max", late.MaxS))
		}
	}
	if len(e.Nodes) > nodes {
		errs = append(errs, fmt.Errorf("end.nodes: %d, want %d at most", len(e.Nodes), nodes))
	}
	for _, n := range e.Nodes {
		errs = append(errs, checkNode("end.nodes", n.Node, nodes))
	}
	return cmp.Or(errs...)
}

func (e *Event) check(nodes int) error {
	if e.Kind == "" || len(e.Kind) > maxWord {
		return fmt.Errorf("kind: %s, want a word", quote(e.Kind))
	}
	errs := []error{readText(e.texts()), checkSeconds("t_s", e.TimeS)}
	for _, n := range e.Nodes {
		errs = append(errs, checkNode("nodes", n, nodes))
	}
	if a := e.Attack; a != nil {
		if a.Kind != Selfish && a.Kind != DoubleSpend {
			errs = append(errs, fmt.Errorf("attack.kind: %s, want %s or %s", quote(string(a.Kind)), Selfish, DoubleSpend))
		}
		errs = append(errs, checkShare("attack.share", a.Share), checkShare("attack.share_done", a.ShareDone), checkNode("attack.node", a.Node, nodes),
			checkSeconds("attack.from_s", a.FromS), checkSeconds("attack.to_s", a.ToS))
		for _, count := range []int{a.Blocks, a.Own, a.Ties, a.TiesWon, a.TiesOwn, a.Confirmations, a.Tries, a.Won, a.GivenUp, a.GiveUpBehind} {
			errs = append(errs, checkCount("attack", count))
		}
		if a.Own > a.Blocks || a.Won+a.GivenUp > a.Tries || a.TiesWon+a.TiesOwn > a.Ties {
			errs = append(errs, errors.New("attack: a part of something is more than the whole of it"))
		}
	}
	return cmp.Or(errs...)
}

// checkNode accepts a node's number, and 0 for none.
func checkNode(name string, node, nodes int) error {
	if node < 0 || node > nodes {
		return fmt.Errorf("%s: node %d, want at most %d", name, node, nodes)
	}
	return nil
}

func checkShare(name string, share float64) error {
	if !(share >= 0 && share <= 1) {
		return fmt.Errorf("%s: %g, want 0 to 1", name, share)
	}
	return nil
}

func checkSeconds(name string, s float64) error {
	if math.IsNaN(s) || math.Abs(s) > maxSeconds {
		return fmt.Errorf("%s: %g, want at most %g", name, s, float64(maxSeconds))
	}
	return nil
}

func checkAmount(name string, x, least float64) error {
	if !(x >= least && x <= maxAmount) {
		return fmt.Errorf("%s: %g, want %g to %g", name, x, least, float64(maxAmount))
	}
	return nil
}

// checkCount bounds a count so that sums of a few stay what they are.
func checkCount(name string, n int) error {
	if n < 0 || n > maxWhole/1000 {
		return fmt.Errorf("%s: %d, want a count that is not below 0", name, n)
	}
	return nil
}

// text is a text of a JSON file: like a word of a table, it is of one line and has a limit.
type text struct {
	name string
	at   *string
	most int // bytes
}

// texts are those of the manifest.
func (m *Manifest) texts() []text {
	list := []text{
		{"kapok_version", &m.KapokVersion, maxWord}, {"name", &m.Name, maxWord}, {"description", &m.Description, maxText}, {"reason", &m.Reason, maxText},
		{"file_sha256", &m.FileSHA256, maxWord}, {"payments_unknown", &m.PaymentsUnknown, maxText},
		{"machine.cpu", &m.Machine.CPU, maxWord}, {"machine.os", &m.Machine.OS, maxWord}, {"machine.arch", &m.Machine.Arch, maxWord},
		{"machine.go", &m.Machine.Go, maxWord}, {"machine.kernel", &m.Machine.Kernel, maxWord},
		{"network.name", &m.Network.Name, maxWord}, {"network.genesis_hash", &m.Network.GenesisHash, maxWord}, {"network.difficulty", &m.Network.Difficulty, maxWord},
		{"load.arrivals", &m.Load.Arrivals, maxText}, {"load.fees", &m.Load.Fees, maxText},
	}
	for i := range m.Nodes {
		n := &m.Nodes[i]
		list = append(list, text{"nodes: name", &n.Name, maxWord}, text{"nodes: region", &n.Region, maxWord}, text{"nodes: role", (*string)(&n.Role), maxWord})
	}
	if e := m.End; e != nil {
		list = append(list, text{"end.energy_method", &e.EnergyMethod, maxText})
		for i := range e.Nodes {
			list = append(list, text{"end.nodes: tip", &e.Nodes[i].Tip, maxWord}, text{"end.nodes: coin_sum", &e.Nodes[i].CoinSum, maxWord})
		}
	}
	return list
}

func (e *Event) texts() []text {
	return []text{{"kind", &e.Kind, maxWord}, {"text", &e.Text, maxText}}
}

// readText refuses texts that are too long. What a terminal would take for a command, as a
// stranger's directory may hold it, becomes a space.
func readText(list []text) error {
	for _, t := range list {
		if len(*t.at) > t.most {
			return fmt.Errorf("%s: %d bytes, want %d at most", t.name, len(*t.at), t.most)
		}
		*t.at = oneLine(*t.at, t.most)
	}
	return nil
}

// writeText makes texts such that they can be read.
func writeText(list []text) {
	for _, t := range list {
		*t.at = oneLine(*t.at, t.most)
	}
}
