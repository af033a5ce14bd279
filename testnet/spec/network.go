package spec

import (
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/kapok-chain/kapok/consensus"
)

// Limits of a network that a testnet runs.
const (
	// minSpacing: a block's time is above the median of the eleven before it, in whole
	// seconds, so that no more than six share one; faster chains would run ahead of
	// the clock until their blocks are too new.
	minSpacing = 0.25    // seconds
	maxSpacing = 21_600  // seconds, as in consensus.Params
	minWork    = 256     // hashes a block: with fewer, finds come in steps and not at random times
	maxWork    = 1 << 30 // hashes a block: the first is searched by one core, in a minute or two
	maxSearch  = 1 << 33 // hashes before the nodes run: about a quarter of an hour on a core of 10 MH/s

	// halfLives is the half-life in block spacings unless the file has one, as in
	// networks local and dev.
	halfLives = 30
	// limitFactor is how much easier than at the start it may become unless the file
	// says otherwise: when most miners are cut off, the chain still moves.
	limitFactor = 16
	easiestBits = 0x207fffff // every second hash; that of network regtest
)

// networkTable is the rules of the chain.
type networkTable struct {
	t        *table
	params   consensus.Params // without bits and genesis time
	spacingS float64
	start    uint32 // 0: by the hash rate
	limit    uint32 // 0: by the start
	preset   uint32 // the preset's limit
}

// readNetwork reads the keys of a network file, all optional (node.Network has them,
// too), on top of a preset.
func readNetwork(t *table) networkTable {
	preset, _ := consensus.Preset(t.choice("preset", "local", "local", "dev", "regtest"))
	n := networkTable{t: t, preset: preset.PowLimitBits}
	n.spacingS = t.seconds("spacing", float64(preset.Spacing), minSpacing, maxSpacing)
	rule := consensus.Rule(t.choice("difficulty", string(preset.Rule),
		string(consensus.RuleASERT), string(consensus.RuleASERTRelative), string(consensus.RuleBitcoin), string(consensus.RuleFixed)))
	spacing := int64(max(1, math.Round(n.spacingS)))
	asert := rule == consensus.RuleASERT || rule == consensus.RuleASERTRelative
	if !asert {
		t.only(false, "with difficulty "+strconv.Quote(string(rule)), "half_life")
	}
	if rule != consensus.RuleFixed && float64(spacing) != n.spacingS {
		t.wrong("spacing", n.spacingS, `whole seconds, or difficulty = "fixed": the other rules count in them`)
	}
	var halfLife int64
	future := preset.FutureLimit
	if asert {
		halfLife = int64(t.seconds("half_life", float64(halfLives*spacing), 1, 31_536_000))
		future = min(future, max(1, halfLife/2))
	} else {
		t.take("half_life")
	}
	n.params = consensus.Params{
		Name: t.text("name", "testnet", 32), Spacing: spacing, Rule: rule, HalfLife: halfLife,
		FutureLimit:     int64(t.seconds("future_limit", float64(future), 1, 86_400)),
		Maturity:        uint32(t.whole("coinbase_maturity", int64(preset.Maturity), 1, 1000)),
		MaxWeight:       int(t.whole("max_weight", int64(preset.MaxWeight), minMaxWeight, 4_000_000)),
		HalvingInterval: uint32(t.whole("halving_interval", int64(preset.HalvingInterval), 1, 210_000)),
		GenesisText:     t.text("genesis_text", "Kapok testnet", 97),
		HRP:             t.text("hrp", preset.HRP, 30), P2PPort: preset.P2PPort, RPCPort: preset.RPCPort, CoinType: preset.CoinType,
	}
	n.start = t.bits("start_bits")
	n.limit = t.bits("pow_limit")
	t.done()
	return n
}

// seconds is a number of seconds, as in a network file, or a duration.
func (t *table) seconds(key string, fallback, low, high float64) float64 {
	v, ok := t.values[key]
	if s, isText := v.(string); ok && isText {
		t.take(key)
		d, err := time.ParseDuration(s)
		if err != nil || !(d.Seconds() >= low && d.Seconds() <= high) {
			t.wrong(key, v, `%s to %s seconds, as a number or as a text such as "500ms" or "10s"`, plain(low), plain(high))
			return fallback
		}
		return d.Seconds()
	}
	return t.number(key, fallback, low, high, "seconds, as a number or as a text such as \"10s\",")
}

// bits is a compact target, 0 where the file has none.
func (t *table) bits(key string) uint32 {
	v, ok := t.take(key)
	if !ok {
		return 0
	}
	s, _ := v.(string)
	n, err := strconv.ParseUint(s, 16, 32)
	if err != nil || n == 0 || consensus.WorkOf(uint32(n)).IsZero() {
		t.wrong(key, v, `a compact target of eight hex digits such as "1f00ffff"`)
		return 0
	}
	return uint32(n)
}

// resolve works out the difficulty that the hash rate of all miners together needs.
func (n *networkTable) resolve(s *Spec, hashrate float64) {
	p := n.params
	s.SpacingS = n.spacingS
	p.StartBits = n.start
	if n.start == 0 {
		work := hashrate * n.spacingS
		if work < minWork {
			n.t.wrong("spacing", n.spacingS, "at least %d hashes a block, and all miners together do %g: raise [nodes] hashrate or spacing", minWork, work)
			return
		}
		p.StartBits = consensus.TargetToCompact(targetOf(work))
	} else {
		s.SpacingS = WorkOf(n.start) / hashrate
		if s.SpacingS < minSpacing || s.SpacingS > maxSpacing {
			n.t.wrong("start_bits", strconv.FormatUint(uint64(n.start), 16), "a block every %gs to %ds, and at this hash rate it is every %.3gs", minSpacing, maxSpacing, s.SpacingS)
			return
		}
	}
	if work := WorkOf(p.StartBits); work > maxWork {
		key, value := "spacing", any(n.spacingS)
		if bits, given := n.t.values["start_bits"]; given {
			key, value = "start_bits", bits
		}
		n.t.wrong(key, value, "blocks of at most %.3g hashes, and these take %.3g; make them easier, or lower [nodes] hashrate", float64(maxWork), work)
		return
	}
	p.PowLimitBits = n.limit
	if n.limit == 0 {
		p.PowLimitBits = easierOf(p.StartBits, n.preset, p.Rule == consensus.RuleFixed)
	}
	s.Network = &p
}

// targetOf is the target that takes so many hashes on average.
func targetOf(work float64) consensus.Uint256 {
	const scale = 1 << 20 // of what is behind the point
	scaled, _ := big.NewFloat(work * scale).Int(nil)
	numerator := new(big.Int).Lsh(big.NewInt(scale), 256)
	target, ok := consensus.Uint256FromBig(numerator.Div(numerator, scaled))
	if !ok {
		target, _, _ = consensus.CompactToTarget(easiestBits)
	}
	return target
}

// WorkOf is how many hashes a block with these bits takes on average.
func WorkOf(bits uint32) float64 {
	work, _ := new(big.Float).SetInt(consensus.WorkOf(bits).Big()).Float64()
	return work
}

// easierOf is the easiest target of a network that starts with these bits: the
// preset's, where that leaves room, and otherwise limitFactor times the start's.
func easierOf(start, preset uint32, fixed bool) uint32 {
	if fixed {
		return start
	}
	limit := consensus.TargetToCompact(targetOf(max(2, WorkOf(start)/limitFactor)))
	if WorkOf(preset) < WorkOf(limit) {
		return preset
	}
	return limit
}

// date chooses the genesis time, so that Prelude blocks, a spacing apart, end at now.
func (n *networkTable) date(s *Spec, now time.Time) {
	genesis := now.Unix() - int64(s.Prelude)*s.Network.Spacing
	if genesis < 0 || now.Unix() > math.MaxUint32 {
		n.t.doc.fail(0, "the clock says %s, and the chain would begin %d spacings of %ds before that: expected it to be after 1970 and before 2106",
			now.UTC().Format(time.RFC3339), s.Prelude, s.Network.Spacing)
		return
	}
	s.Network.GenesisTime = uint32(genesis)
	work := WorkOf(s.Network.StartBits)
	if all := work * float64(s.Prelude+1); all > maxSearch {
		n.t.doc.fail(n.t.line(given(n.t, "spacing", "start_bits", "coinbase_maturity")), "[network] the genesis block and the %d blocks in which coins are made and mature take %.3g hashes before the first node runs: expected at most %.3g; lower [nodes] hashrate, spacing or coinbase_maturity",
			s.Prelude, all, float64(maxSearch))
	}
}

// found searches the genesis block.
func (n *networkTable) found(s *Spec) {
	if err := s.Network.Init(); err != nil {
		text := strings.TrimPrefix(err.Error(), "network "+strconv.Quote(s.Network.Name)+": ")
		n.t.doc.fail(n.t.line(firstWord(text)), "[network] %s", text)
	}
}

// firstWord finds the key that a message of consensus.Params begins with.
func firstWord(text string) string {
	word, _, _ := strings.Cut(text, " ")
	if word == "the" {
		return "name"
	}
	return word
}
