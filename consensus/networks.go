package consensus

// The presets. Their genesis_time and genesis_nonce are the ones that rule G5
// finds; TestPresetGenesis checks the proof of work of each.

const (
	mainMaturity    = 100
	halvingInterval = 210_000
	testCoinType    = 1 // BIP44, all test networks
)

// Main is the public chain.
func Main() *Params {
	return preset(Params{
		Name:            "main",
		Spacing:         600,
		Rule:            RuleASERT,
		HalfLife:        2 * 86_400,
		StartBits:       0x1d00ffff,
		PowLimitBits:    0x1d00ffff,
		FutureLimit:     7_200,
		Maturity:        mainMaturity,
		MaxWeight:       maxMaxWeight,
		HalvingInterval: halvingInterval,
		GenesisTime:     mainGenesisTime,
		GenesisText:     mainGenesisText,
		GenesisNonce:    mainGenesisNonce,
		MinWork:         WorkOf(0x1d00ffff), // the genesis block's own; releases raise it
		HRP:             "kpk",
		P2PPort:         9420,
		RPCPort:         9421,
		CoinType:        19_280,
	})
}

// Local is for students and testnets on one machine or in one room.
func Local() *Params {
	return preset(Params{
		Name:            "local",
		Spacing:         10,
		Rule:            RuleASERTRelative,
		HalfLife:        300,
		StartBits:       0x1e00ffff, // 2^24 hashes
		PowLimitBits:    0x1f0fffff, // 2^12 hashes
		FutureLimit:     60,
		Maturity:        10,
		MaxWeight:       maxMaxWeight,
		HalvingInterval: halvingInterval,
		GenesisTime:     1795392000, // 2026-11-23 00:00:00 UTC
		GenesisText:     "Kapok local: a tree in a pot",
		GenesisNonce:    localGenesisNonce,
		HRP:             "kpkl",
		P2PPort:         19420,
		RPCPort:         19421,
		CoinType:        testCoinType,
	})
}

// Dev is for the quickstart and for demonstrations.
func Dev() *Params {
	return preset(Params{
		Name:            "dev",
		Spacing:         2,
		Rule:            RuleASERTRelative,
		HalfLife:        60,
		StartBits:       0x1e03ffff, // 2^22 hashes
		PowLimitBits:    0x1f0fffff, // 2^12 hashes
		FutureLimit:     30,
		Maturity:        5,
		MaxWeight:       maxMaxWeight,
		HalvingInterval: halvingInterval,
		GenesisTime:     1795392000, // 2026-11-23 00:00:00 UTC
		GenesisText:     "Kapok dev: a seedling",
		GenesisNonce:    devGenesisNonce,
		HRP:             "kpkd",
		P2PPort:         29420,
		RPCPort:         29421,
		CoinType:        testCoinType,
	})
}

// Regtest is for scripts and tests: every second hash is a block. Its genesis is
// older than 2000-01-01, where the clock of testing/synctest begins.
func Regtest() *Params {
	return preset(Params{
		Name:            "regtest",
		Spacing:         600, // what displays assume; the rule aims at none
		Rule:            RuleFixed,
		StartBits:       0x207fffff,
		PowLimitBits:    0x207fffff,
		FutureLimit:     7_200,
		Maturity:        mainMaturity,
		MaxWeight:       maxMaxWeight,
		HalvingInterval: 150,
		GenesisTime:     915148800, // 1999-01-01 00:00:00 UTC
		GenesisText:     "Kapok regtest: a seed",
		GenesisNonce:    regtestGenesisNonce,
		HRP:             "kpkrt",
		P2PPort:         39420,
		RPCPort:         39421,
		CoinType:        testCoinType,
	})
}

// PresetNames lists the presets, the public chain first.
func PresetNames() []string { return []string{"main", "local", "dev", "regtest"} }

// Preset returns the named preset, and false where there is none.
func Preset(name string) (*Params, bool) {
	switch name {
	case "main":
		return Main(), true
	case "local":
		return Local(), true
	case "dev":
		return Dev(), true
	case "regtest":
		return Regtest(), true
	}
	return nil, false
}

// preset initialises constants of this file, which the tests prove to be valid.
// It searches for no nonce: a preset whose genesis block changes is another
// network, and no program is to find that out by itself.
func preset(p Params) *Params {
	if err := p.init(0); err != nil {
		panic("consensus: " + err.Error())
	}
	return &p
}

const (
	mainGenesisText     = "Kapok 23/Nov/2026 One pod opens, a thousand seeds ride the wind; none of them asks the tree"
	mainGenesisTime     = 1795392000
	mainGenesisNonce    = 1132827329
	localGenesisNonce   = 30525112
	devGenesisNonce     = 1324476
	regtestGenesisNonce = 0
)
