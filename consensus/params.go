package consensus

// Rule names one of the four difficulty rules.
type Rule string

const (
	RuleASERT         Rule = "asert"          // aserti3-2d, anchored at block 1's time less one spacing
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
	HalfLife        int64  // seconds; of the two ASERT rules
	StartBits       uint32 // compact target of the genesis block
	PowLimitBits    uint32 // compact form of the easiest target
	FutureLimit     int64  // seconds that a block's time may be ahead of the clock
	Maturity        uint32 // blocks before a coinbase output may be spent
	MaxWeight       int    // BIP141 weight units of a block
	HalvingInterval uint32 // blocks
	GenesisTime     uint32 // Unix seconds
	GenesisText     string
	GenesisNonce    uint32

	MinWork  Uint256 // chains with less are not followed; zero on all but main
	HRP      string  // of addresses (BIP350)
	P2PPort  int
	RPCPort  int
	CoinType uint32 // BIP44

	genesis     *Block
	genesisHash Hash
	powLimit    Uint256
}
