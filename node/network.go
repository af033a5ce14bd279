package node

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/kapok-chain/kapok/consensus"
)

// What a network file may have; a real one is 500 bytes of keys and values.
const (
	maxNetworkFile = 4 << 10 // bytes
	// maxBraces bounds inline tables, of which there are none, but their braces
	// may stand in a text: the parser takes memory by the square of their depth.
	maxBraces = 100
)

// networkFile is the TOML form of consensus.Params. The keys that decide what is
// valid are those of Params.CanonicalList; times are in seconds, the rest in blocks.
type networkFile struct {
	Name            string `toml:"name"`
	SpacingS        int64  `toml:"spacing"`
	Difficulty      string `toml:"difficulty"` // asert, asert-relative, bitcoin, fixed
	HalfLifeS       int64  `toml:"half_life"`
	StartBits       string `toml:"start_bits"` // eight hex digits
	PowLimitBits    string `toml:"pow_limit"`
	FutureLimitS    int64  `toml:"future_limit"`
	Maturity        uint32 `toml:"coinbase_maturity"`
	MaxWeight       int    `toml:"max_weight"`
	HalvingInterval uint32 `toml:"halving_interval"`
	GenesisTime     uint32 `toml:"genesis_time"` // Unix seconds
	GenesisText     string `toml:"genesis_text"`
	GenesisNonce    uint32 `toml:"genesis_nonce"` // optional: spares the search
	MinWork         string `toml:"min_work"`      // optional, hex
	HRP             string `toml:"hrp"`
	P2PPort         int    `toml:"p2p_port"`
	RPCPort         int    `toml:"rpc_port"`
}

// Network returns the parameters of a preset, or those of a TOML file where
// nameOrFile ends in ".toml".
func Network(nameOrFile string) (*consensus.Params, error) {
	if params, ok := consensus.Preset(nameOrFile); ok {
		return params, nil
	}
	if !strings.HasSuffix(nameOrFile, ".toml") {
		return nil, fmt.Errorf("network %q is unknown: use one of %s, or a file whose name ends in .toml",
			nameOrFile, strings.Join(consensus.PresetNames(), ", "))
	}
	file, err := os.Open(nameOrFile)
	if err != nil {
		return nil, fmt.Errorf("network file: %w", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxNetworkFile+1))
	if err != nil {
		return nil, fmt.Errorf("network file: %w", err)
	}
	params, err := DecodeNetwork(text)
	if err != nil {
		return nil, fmt.Errorf("network file %s: %w", nameOrFile, err)
	}
	return params, nil
}

// DecodeNetwork reads a network file. Unknown keys are errors, so that a typing
// error cannot silently found another network. Without a genesis nonce it
// searches one, which takes as long as the first block's difficulty says.
func DecodeNetwork(text []byte) (*consensus.Params, error) {
	if len(text) > maxNetworkFile {
		return nil, fmt.Errorf("longer than %d bytes", maxNetworkFile)
	}
	if bytes.Count(text, []byte("{")) > maxBraces {
		return nil, errors.New("a network file has no tables")
	}
	f := networkFile{
		Maturity: 100, MaxWeight: 4_000_000, HalvingInterval: 210_000, FutureLimitS: 7200,
		HRP: "kpkx", P2PPort: 49420, RPCPort: 49421,
	}
	meta, err := toml.Decode(string(text), &f)
	if err != nil {
		return nil, err
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return nil, fmt.Errorf("unknown key %q", unknown[0].String())
	}
	startBits, err := parseBits("start_bits", f.StartBits)
	if err != nil {
		return nil, err
	}
	limitBits, err := parseBits("pow_limit", f.PowLimitBits)
	if err != nil {
		return nil, err
	}
	params := &consensus.Params{
		Name: f.Name, Spacing: f.SpacingS, Rule: consensus.Rule(f.Difficulty), HalfLife: f.HalfLifeS,
		StartBits: startBits, PowLimitBits: limitBits, FutureLimit: f.FutureLimitS, Maturity: f.Maturity,
		MaxWeight: f.MaxWeight, HalvingInterval: f.HalvingInterval, GenesisTime: f.GenesisTime,
		GenesisText: f.GenesisText, GenesisNonce: f.GenesisNonce,
		HRP: f.HRP, P2PPort: f.P2PPort, RPCPort: f.RPCPort, CoinType: 1,
	}
	if f.MinWork != "" {
		if params.MinWork, err = consensus.ParseUint256(f.MinWork); err != nil {
			return nil, fmt.Errorf("min_work: %w", err)
		}
	}
	if err := params.Init(); err != nil {
		return nil, err
	}
	return params, nil
}

// EncodeNetwork writes the network file of rules that Init has completed, with the genesis
// nonce that spares whoever reads it the search.
func EncodeNetwork(p *consensus.Params) ([]byte, error) {
	f := networkFile{
		Name: p.Name, SpacingS: p.Spacing, Difficulty: string(p.Rule), HalfLifeS: p.HalfLife,
		StartBits: fmt.Sprintf("%08x", p.StartBits), PowLimitBits: fmt.Sprintf("%08x", p.PowLimitBits),
		FutureLimitS: p.FutureLimit, Maturity: p.Maturity, MaxWeight: p.MaxWeight, HalvingInterval: p.HalvingInterval,
		GenesisTime: p.GenesisTime, GenesisText: p.GenesisText, GenesisNonce: p.GenesisNonce, MinWork: p.MinWork.String(),
		HRP: p.HRP, P2PPort: p.P2PPort, RPCPort: p.RPCPort,
	}
	return toml.Marshal(f)
}

func parseBits(key, hex string) (uint32, error) {
	bits, err := strconv.ParseUint(hex, 16, 32)
	if err != nil {
		return 0, fmt.Errorf("%s: want a compact target of eight hex digits such as \"1f00ffff\", not %q", key, hex)
	}
	return uint32(bits), nil
}
