package consensus_test

import (
	"crypto/sha256"
	"strings"
	"testing"

	"github.com/kapok-chain/kapok/consensus"
)

// The hashes stand for the networks: whoever changes a parameter makes another
// network, and must change them here.
func TestPresetGenesis(t *testing.T) {
	for name, hash := range map[string]string{
		"main":    "00000000e07a14f99670a5f95644d078e59f3018acd8221349d4560a741613d1",
		"local":   "000000d22545eab27685710f69025e1a7a9b0c39f641ffc9ead8a32ab7e640df",
		"dev":     "0000024e2ad82bb38e5860cb11ebe917dd5b440315f53e016738142df46909f0",
		"regtest": "1105869063be2a8b2d19196d5a2103ac091e83daa797fbb96cfde054b7935213",
	} {
		p, found := consensus.Preset(name)
		if !found || p.Name != name {
			t.Fatalf("no preset %q", name)
		}
		if got := p.GenesisHash().String(); got != hash {
			t.Errorf("%s: genesis %s, want %s", name, got, hash)
		}
		g := p.Genesis()
		if err := consensus.CheckPow(p, &g.Header); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := consensus.CheckBlock(p, g); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if g.Header.Bits != p.StartBits || g.Header.Version != 0x20000000 || !g.Header.Prev.IsZero() {
			t.Errorf("%s: header %+v", name, g.Header)
		}
		if script := g.Txs[0].Inputs[0].ScriptSig; script[0] != 0 || !strings.HasSuffix(string(script), p.GenesisText) {
			t.Errorf("%s: coinbase script %x", name, script)
		}
		list := sha256.Sum256([]byte(p.CanonicalList()))
		if out := g.Txs[0].Outputs; len(out) != 1 || out[0].Value != 0 || string(out[0].Script) != "\x6a\x20"+string(list[:]) {
			t.Errorf("%s: outputs %+v", name, out)
		}
		tree := consensus.NewTree(p)
		if tip := tree.Tip(); tip.Hash != p.GenesisHash() || tip.Work.Cmp(p.MinWork) < 0 || !tip.Connected() {
			t.Errorf("%s: the tip of a new tree is %+v", name, tip)
		}
	}
	if names := consensus.PresetNames(); len(names) != 4 {
		t.Errorf("presets: %v", names)
	}
	if _, found := consensus.Preset("nowhere"); found {
		t.Error("there is a preset \"nowhere\"")
	}
}

func TestCanonicalList(t *testing.T) {
	const want = `coinbase_maturity=100
difficulty=asert
future_limit=7200
half_life=172800
halving_interval=210000
max_weight=4000000
name=main
pow_limit=1d00ffff
spacing=600
start_bits=1d00ffff
`
	if got := consensus.Main().CanonicalList(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestEveryRuleParameterChangesGenesis(t *testing.T) {
	base := func() *consensus.Params {
		p := consensus.Regtest()
		p.Rule, p.HalfLife, p.FutureLimit = consensus.RuleASERT, 7200, 60
		return p
	}
	seen := map[consensus.Hash]string{}
	for what, change := range map[string]func(p *consensus.Params){
		"nothing":           func(p *consensus.Params) {},
		"coinbase_maturity": func(p *consensus.Params) { p.Maturity++ },
		"difficulty":        func(p *consensus.Params) { p.Rule = consensus.RuleASERTRelative },
		"future_limit":      func(p *consensus.Params) { p.FutureLimit++ },
		"half_life":         func(p *consensus.Params) { p.HalfLife++ },
		"halving_interval":  func(p *consensus.Params) { p.HalvingInterval++ },
		"max_weight":        func(p *consensus.Params) { p.MaxWeight-- },
		"name":              func(p *consensus.Params) { p.Name = "other" },
		"pow_limit":         func(p *consensus.Params) { p.StartBits, p.PowLimitBits = 0x207ffffe, 0x207ffffe },
		"spacing":           func(p *consensus.Params) { p.Spacing++ },
		"start_bits":        func(p *consensus.Params) { p.StartBits-- },
		"genesis_text":      func(p *consensus.Params) { p.GenesisText += "!" },
		"genesis_time":      func(p *consensus.Params) { p.GenesisTime++ },
	} {
		p := base()
		change(p)
		if err := p.Init(); err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		if other, twice := seen[p.GenesisHash()]; twice {
			t.Errorf("%s and %s have the same genesis block", what, other)
		}
		seen[p.GenesisHash()] = what
	}
	p := base()
	p.HRP, p.P2PPort, p.MinWork = "other", 1, consensus.Uint256{7}
	if err := p.Init(); err != nil || seen[p.GenesisHash()] != "nothing" {
		t.Errorf("a convention changes the genesis block (%v)", err)
	}
}

func TestInitSearchesGenesis(t *testing.T) {
	p := consensus.Regtest()
	p.Name, p.StartBits, p.GenesisNonce = "mine", 0x1f0fffff, 0xffffffff // 2^12 hashes
	if err := p.Init(); err != nil {
		t.Fatal(err)
	}
	h := p.Genesis().Header
	if h.Nonce != p.GenesisNonce || h.Time != p.GenesisTime || h.Nonce > 1<<20 || h.Time != consensus.Regtest().GenesisTime {
		t.Errorf("found nonce %d at time %d", p.GenesisNonce, p.GenesisTime)
	}
	for h.Nonce--; h.Nonce != 0xffffffff; h.Nonce-- {
		if consensus.CheckPow(p, &h) == nil {
			t.Fatalf("nonce %d comes before the one found, %d", h.Nonce, p.GenesisNonce)
		}
	}
	for easy := consensus.Regtest(); ; easy.GenesisTime++ { // every second time has nonce 0
		if easy.GenesisNonce = 0; easy.Init() != nil || easy.GenesisNonce != 0 {
			continue
		}
		other := easy.Genesis().Header
		for consensus.CheckPow(easy, &other) == nil {
			other.Nonce++
		}
		if easy.GenesisNonce = other.Nonce; easy.Init() != nil || easy.GenesisNonce != 0 {
			t.Errorf("found nonce %d, not 0", easy.GenesisNonce)
		}
		break
	}
	stated := *p
	if err := stated.Init(); err != nil || stated.GenesisHash() != p.GenesisHash() {
		t.Errorf("the stated nonce leads to another block (%v)", err)
	}
}

// Up to 75 bytes of text are pushed by their length alone, as scripts do.
func TestGenesisTextPush(t *testing.T) {
	for length, want := range map[int]string{75: "\x00\x4b", 76: "\x00\x4c\x4c"} {
		p := consensus.Regtest()
		p.GenesisText = strings.Repeat("x", length)
		if err := p.Init(); err != nil {
			t.Fatal(err)
		}
		if got := p.Genesis().Txs[0].Inputs[0].ScriptSig; string(got) != want+p.GenesisText {
			t.Errorf("%d bytes of text: %x", length, got)
		}
	}
}

// The limits themselves are within them, and one beyond is refused.
func TestInitLimits(t *testing.T) {
	set := func(change func(p *consensus.Params, n int64)) func(int64) error {
		return func(n int64) error {
			p := consensus.Regtest()
			change(p, n)
			return p.Init()
		}
	}
	for name, limit := range map[string]struct {
		low, high int64
		with      func(int64) error
	}{
		"length of the name": {1, 32, set(func(p *consensus.Params, n int64) { p.Name = strings.Repeat("a", int(n)) })},
		"spacing":            {1, 21_600, set(func(p *consensus.Params, n int64) { p.Spacing = n })},
		"future_limit":       {1, 86_400, set(func(p *consensus.Params, n int64) { p.FutureLimit = n })},
		"coinbase_maturity":  {1, 1<<31 - 1, set(func(p *consensus.Params, n int64) { p.Maturity = uint32(n) })},
		"max_weight":         {4_000, 4_000_000, set(func(p *consensus.Params, n int64) { p.MaxWeight = int(n) })},
		"halving_interval":   {1, 210_000, set(func(p *consensus.Params, n int64) { p.HalvingInterval = uint32(n) })},
		"p2p_port":           {0, 65_535, set(func(p *consensus.Params, n int64) { p.P2PPort = int(n) })},
		"rpc_port":           {0, 65_535, set(func(p *consensus.Params, n int64) { p.RPCPort = int(n) })},
		"coin_type":          {0, 1<<31 - 1, set(func(p *consensus.Params, n int64) { p.CoinType = uint32(n) })},
		"half_life": {2, 31_536_000, set(func(p *consensus.Params, n int64) {
			p.Rule, p.HalfLife, p.FutureLimit = consensus.RuleASERT, n, 1
		})},
		"length of the hrp":                         {1, 30, set(func(p *consensus.Params, n int64) { p.HRP = strings.Repeat("k", int(n)) })},
		"length of the text":                        {0, 97, set(func(p *consensus.Params, n int64) { p.GenesisText = strings.Repeat("t", int(n)) })},
		"character of the hrp up to the upper case": {33, 'A' - 1, set(func(p *consensus.Params, n int64) { p.HRP = "k" + string(rune(n)) })},
		"character of the hrp after it":             {'Z' + 1, 126, set(func(p *consensus.Params, n int64) { p.HRP = "k" + string(rune(n)) })},
		"character of the text":                     {' ', 126, set(func(p *consensus.Params, n int64) { p.GenesisText = string(rune(n)) })},
	} {
		for n, within := range map[int64]bool{limit.low: true, limit.high: true, limit.high + 1: false, limit.low - 1: false} {
			if n < 0 {
				continue // of what has no sign
			}
			if err := limit.with(n); (err == nil) != within {
				t.Errorf("%s %d: %v", name, n, err)
			}
		}
	}
}

func TestInitRefuses(t *testing.T) {
	for _, test := range []struct {
		says   string
		change func(p *consensus.Params)
	}{
		{"the name has", func(p *consensus.Params) { p.Name = "" }},
		{"the name has", func(p *consensus.Params) { p.Name = "My Net" }},
		{"the name has", func(p *consensus.Params) { p.Name = strings.Repeat("a", 33) }},
		{"difficulty \"pos\" is none of", func(p *consensus.Params) { p.Rule = "pos" }},
		{"spacing is 0", func(p *consensus.Params) { p.Spacing = 0 }},
		{"spacing is 21601", func(p *consensus.Params) { p.Spacing = 21_601 }},
		{"half_life is 0", func(p *consensus.Params) { p.Rule = consensus.RuleASERT }},
		{"has none", func(p *consensus.Params) { p.HalfLife = 60 }},
		{"more than half of half_life", func(p *consensus.Params) {
			p.Rule, p.HalfLife, p.FutureLimit = consensus.RuleASERTRelative, 60, 31
		}},
		{"pow_limit 20ffffff", func(p *consensus.Params) { p.PowLimitBits = 0x20ffffff }},
		{"pow_limit 00000000", func(p *consensus.Params) { p.PowLimitBits = 0 }},
		{"start_bits 23000001", func(p *consensus.Params) { p.StartBits = 0x23000001 }},
		{"is written 20100000", func(p *consensus.Params) { p.StartBits = 0x21001000 }},
		{"is easier than pow_limit", func(p *consensus.Params) { p.PowLimitBits = 0x1d00ffff }},
		{"future_limit is 0", func(p *consensus.Params) { p.FutureLimit = 0 }},
		{"coinbase_maturity is 0", func(p *consensus.Params) { p.Maturity = 0 }},
		{"max_weight is 3999", func(p *consensus.Params) { p.MaxWeight = 3999 }},
		{"max_weight is 4000001", func(p *consensus.Params) { p.MaxWeight = 4_000_001 }},
		{"halving_interval is 0", func(p *consensus.Params) { p.HalvingInterval = 0 }},
		{"halving_interval is 210001", func(p *consensus.Params) { p.HalvingInterval = 210_001 }},
		{"p2p_port is 65536", func(p *consensus.Params) { p.P2PPort = 65_536 }},
		{"rpc_port is -1", func(p *consensus.Params) { p.RPCPort = -1 }},
		{"genesis_text has 98 bytes", func(p *consensus.Params) { p.GenesisText = strings.Repeat("a", 98) }},
		{"control character", func(p *consensus.Params) { p.GenesisText = "a\nb" }},
		{"of UTF-8", func(p *consensus.Params) { p.GenesisText = "\xff" }},
		{"hrp has 0", func(p *consensus.Params) { p.HRP = "" }},
		{"hrp has 31", func(p *consensus.Params) { p.HRP = strings.Repeat("h", 31) }},
		{"lower-case", func(p *consensus.Params) { p.HRP = "KPK" }},
		{"too hard to search", func(p *consensus.Params) { p.StartBits = 0x1c00ffff }},
	} {
		p := consensus.Regtest()
		test.change(p)
		if err := p.Init(); err == nil || !strings.Contains(err.Error(), test.says) || consensus.AsRuleError(err) != nil {
			t.Errorf("got %v, want an error that says %q", err, test.says)
		}
	}
	p := consensus.Regtest()
	p.GenesisText = strings.Repeat("a", 97)
	if err := p.Init(); err != nil {
		t.Error(err)
	} else if n := len(p.Genesis().Txs[0].Inputs[0].ScriptSig); n != 100 {
		t.Errorf("the longest text makes a script of %d bytes", n)
	}
}

// The whole supply stays within MaxMoney, and nothing is created after the last
// halving.
func TestSubsidy(t *testing.T) {
	p := consensus.Main()
	for height, want := range map[uint32]int64{
		1: 50 * consensus.UnitsPerCoin, 209_999: 50 * consensus.UnitsPerCoin,
		210_000: 25 * consensus.UnitsPerCoin, 420_000: 1_250_000_000,
		210_000*33 - 1: 1, 210_000 * 33: 0, 210_000 * 64: 0, 1<<32 - 1: 0,
	} {
		if got := p.Subsidy(height); got != want {
			t.Errorf("height %d: %d units, want %d", height, got, want)
		}
	}
	if got := consensus.Regtest().Subsidy(150); got != 25*consensus.UnitsPerCoin {
		t.Errorf("regtest halves at 150 to %d units", got)
	}
	var supply int64
	for era := range uint32(64) {
		supply += int64(p.HalvingInterval) * p.Subsidy(era*p.HalvingInterval)
	}
	if supply > consensus.MaxMoney || supply != 2_099_999_997_690_000 {
		t.Errorf("supply of %d units", supply)
	}
}
