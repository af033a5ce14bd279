package consensus

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Rule names one of the four difficulty rules.
type Rule string

const (
	RuleASERT         Rule = "asert"          // aserti3-2d, from block 1's time less one spacing to the highest time
	RuleASERTRelative Rule = "asert-relative" // each block's anchor is its parent
	RuleBitcoin       Rule = "bitcoin"        // 2016-block epochs with BIP54's timestamp rules
	RuleFixed         Rule = "fixed"          // StartBits forever
)

// Params are one network's rules. The fields up to GenesisNonce decide what is
// valid and are bound into the genesis block; the rest is convention.
// Params are not changed after Init.
type Params struct {
	Name            string
	Spacing         int64 // seconds between blocks that the difficulty rule aims at
	Rule            Rule
	HalfLife        int64  // seconds; of the two ASERT rules, else 0
	StartBits       uint32 // compact target of the genesis block
	PowLimitBits    uint32 // compact form of the easiest target
	FutureLimit     int64  // seconds that a block's time may be ahead of the clock
	Maturity        uint32 // blocks before a coinbase output may be spent
	MaxWeight       int    // BIP141 weight units of a block
	HalvingInterval uint32 // blocks
	GenesisTime     uint32 // Unix seconds
	GenesisText     string
	GenesisNonce    uint32

	MinWork  Uint256 // headers of chains with less are not taken from peers (rule W8); zero on all but main
	HRP      string  // of addresses (BIP350)
	P2PPort  int
	RPCPort  int
	CoinType uint32 // BIP44

	genesis     *Block
	genesisHash Hash
	powLimit    Uint256
}

// Bounds on what a network file may say.
const (
	maxNameLength = 32
	// maxSpacing (6 hours) keeps ASERT's exponent, which is 2^16 times a
	// spacing times a height of up to 2^32, inside an int64.
	maxSpacing = 21_600
	// maxHalfLife is a year in seconds.
	maxHalfLife = 31_536_000
	// maxFutureLimit is a day in seconds: a node that accepts more follows
	// any clock.
	maxFutureLimit = 86_400
	minMaxWeight   = 4_000     // a coinbase with its commitment and one payment
	maxMaxWeight   = 4_000_000 // what the limits on messages are made for
	// maxHalvingInterval keeps the whole supply within MaxMoney.
	maxHalvingInterval = 210_000
	// maxGenesisText is what fits, with its push, behind the height into a
	// coinbase script of 100 bytes.
	maxGenesisText = 97
	// maxHRPLength keeps an address, which has 60 characters more, within
	// bech32's 90.
	maxHRPLength = 30
	maxPort      = 65_535
)

// Init validates p, completes the genesis block, where GenesisNonce does not
// solve it by searching (rule G5), and fills what the other methods return. It
// is to be called once, before p is used. Its errors are about p and are meant
// for whoever wrote the network file.
func (p *Params) Init() error { return p.init(maxGenesisSearch) }

// init is Init that searches for no genesis block of more work than search, in
// expected hashes.
func (p *Params) init(search uint64) error {
	if err := p.validate(); err != nil {
		return fmt.Errorf("network %q: %w", p.Name, err)
	}
	p.powLimit, _, _ = CompactToTarget(p.PowLimitBits)
	if err := p.initGenesis(search); err != nil {
		return fmt.Errorf("network %q: %w", p.Name, err)
	}
	return nil
}

func (p *Params) validate() error {
	if p.Name == "" || len(p.Name) > maxNameLength || strings.Trim(p.Name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return fmt.Errorf("the name has 1 to %d of the characters a-z, 0-9 and -", maxNameLength)
	}
	if err := p.validateDifficulty(); err != nil {
		return err
	}
	for _, r := range []struct {
		key              string
		value, low, high int64
	}{
		{"spacing", p.Spacing, 1, maxSpacing},
		{"future_limit", p.FutureLimit, 1, maxFutureLimit},
		{"coinbase_maturity", int64(p.Maturity), 1, 1<<31 - 1},
		{"max_weight", int64(p.MaxWeight), minMaxWeight, maxMaxWeight},
		{"halving_interval", int64(p.HalvingInterval), 1, maxHalvingInterval},
		{"p2p_port", int64(p.P2PPort), 0, maxPort},
		{"rpc_port", int64(p.RPCPort), 0, maxPort},
		{"coin_type", int64(p.CoinType), 0, 1<<31 - 1},
	} {
		if r.value < r.low || r.value > r.high {
			return fmt.Errorf("%s is %d, not within %d to %d", r.key, r.value, r.low, r.high)
		}
	}
	if err := validText(p.GenesisText); err != nil {
		return err
	}
	return validHRP(p.HRP)
}

func (p *Params) validateDifficulty() error {
	limit, err := validTarget("pow_limit", p.PowLimitBits)
	if err != nil {
		return err
	}
	start, err := validTarget("start_bits", p.StartBits)
	if err != nil {
		return err
	}
	if start.Cmp(limit) > 0 {
		return fmt.Errorf("start_bits %08x is easier than pow_limit %08x", p.StartBits, p.PowLimitBits)
	}
	switch p.Rule {
	case RuleASERT, RuleASERTRelative:
		if p.HalfLife < 1 || p.HalfLife > maxHalfLife {
			return fmt.Errorf("half_life is %d, not within 1 to %d", p.HalfLife, maxHalfLife)
		}
		if p.FutureLimit > p.HalfLife/2 {
			return fmt.Errorf("future_limit %d is more than half of half_life %d: miners could lower the difficulty by lying about the time", p.FutureLimit, p.HalfLife)
		}
	case RuleBitcoin, RuleFixed:
		if p.HalfLife != 0 {
			return fmt.Errorf("half_life is %d, but difficulty %q has none", p.HalfLife, p.Rule)
		}
	default:
		return fmt.Errorf("difficulty %q is none of %q, %q, %q, %q", p.Rule, RuleASERT, RuleASERTRelative, RuleBitcoin, RuleFixed)
	}
	return nil
}

// validTarget decodes bits, which must be in the one form that TargetToCompact
// writes: a required target is compared with a header's in that form.
func validTarget(key string, bits uint32) (Uint256, error) {
	t, negative, overflow := CompactToTarget(bits)
	if negative || overflow || t.IsZero() {
		return t, fmt.Errorf("%s %08x is zero, negative or above 2^256", key, bits)
	}
	if canonical := TargetToCompact(t); canonical != bits {
		return t, fmt.Errorf("%s %08x is written %08x", key, bits, canonical)
	}
	return t, nil
}

func validText(text string) error {
	if len(text) > maxGenesisText || !utf8.ValidString(text) {
		return fmt.Errorf("genesis_text has %d bytes, not at most %d of UTF-8", len(text), maxGenesisText)
	}
	for _, r := range text {
		if r < ' ' || r == 0x7f {
			return fmt.Errorf("genesis_text contains the control character %q", r)
		}
	}
	return nil
}

func validHRP(hrp string) error {
	if hrp == "" || len(hrp) > maxHRPLength {
		return fmt.Errorf("hrp has %d characters, not 1 to %d", len(hrp), maxHRPLength)
	}
	for _, c := range []byte(hrp) {
		if c < 33 || c > 126 || 'A' <= c && c <= 'Z' {
			return fmt.Errorf("hrp %q has a character that is no visible lower-case ASCII", hrp)
		}
	}
	return nil
}

// PowLimit is the easiest target.
func (p *Params) PowLimit() Uint256 { return p.powLimit }

// firstSubsidy is what the first blocks create: 50 coins.
const firstSubsidy = 50 * UnitsPerCoin

// Subsidy is what the coinbase of a block at this height may create, in units,
// besides the fees (rule A1).
func (p *Params) Subsidy(height uint32) int64 {
	return firstSubsidy >> (height / p.HalvingInterval)
}
