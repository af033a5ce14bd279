package node_test

import (
	"errors"
	"io/fs"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"

	"github.com/kapok-chain/kapok/address"
	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/frugal"
	"github.com/kapok-chain/kapok/node"
)

// networkFile is a file that is fine but for the edits of a test.
const networkFile = `
name = "fast"
spacing = 5
difficulty = "asert-relative"
half_life = 150
start_bits = "1f0fffff"
pow_limit = "1f0fffff"
future_limit = 60
genesis_time = 1767225600
genesis_text = "fast"
`

func TestNetworkFiles(t *testing.T) {
	files, err := filepath.Glob("../testdata/networks/*.toml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no example files: %v", err)
	}
	seen := make(map[consensus.Hash]string)
	for _, file := range files {
		params, err := node.Network(file)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if err := consensus.CheckPow(params, &params.Genesis().Header); err != nil {
			t.Errorf("%s: genesis: %v", file, err)
		}
		if other, twice := seen[params.GenesisHash()]; twice {
			t.Errorf("%s and %s are one network", file, other)
		}
		seen[params.GenesisHash()] = file
	}
}

// TestNetworkFileOfParams: what is written is what is read.
func TestNetworkFileOfParams(t *testing.T) {
	files, err := filepath.Glob("../testdata/networks/*.toml")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(files, consensus.PresetNames()...) {
		want, err := node.Network(name)
		if err != nil {
			t.Fatal(err)
		}
		text, err := node.EncodeNetwork(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := node.DecodeNetwork(text)
		if err != nil {
			t.Fatalf("%s: %v in\n%s", name, err, text)
		}
		got.CoinType = want.CoinType // of a preset; a file's is 1
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: read %+v\nwant %+v\nfrom\n%s", name, got, want, text)
		}
	}
}

func TestNetworkIsBoundIntoGenesis(t *testing.T) {
	base, err := node.DecodeNetwork([]byte(networkFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, edit := range [][2]string{
		{"spacing = 5", "spacing = 6"},
		{"half_life = 150", "half_life = 151"},
		{"future_limit = 60", "future_limit = 61"},
		{"genesis_text = \"fast\"", "genesis_text = \"fest\""},
		{"genesis_time = 1767225600", "genesis_time = 1767225601\ncoinbase_maturity = 100"},
		{"name = \"fast\"", "name = \"fast\"\ncoinbase_maturity = 99"},
		{"name = \"fast\"", "name = \"fast\"\nmax_weight = 3999996"},
	} {
		other, err := node.DecodeNetwork([]byte(strings.Replace(networkFile, edit[0], edit[1], 1)))
		if err != nil {
			t.Errorf("%s: %v", edit[1], err)
		} else if other.GenesisHash() == base.GenesisHash() {
			t.Errorf("%s does not change the genesis block", edit[1])
		}
	}
	same, err := node.DecodeNetwork([]byte(networkFile + "p2p_port = 1\nrpc_port = 2\n"))
	if err != nil || same.GenesisHash() != base.GenesisHash() {
		t.Errorf("a port is no rule, and changes the genesis block (%v)", err)
	}
}

func TestBadNetworkFiles(t *testing.T) {
	for _, c := range []struct{ name, from, to, want string }{
		{"unknown key", "name =", "nmae = \"x\"\nname =", "nmae"},
		{"no toml", "name =", "name", "toml"},
		{"bits", `start_bits = "1f0fffff"`, `start_bits = "hard"`, "start_bits"},
		{"missing limit", `pow_limit = "1f0fffff"`, "", "pow_limit"},
		{"rule", `"asert-relative"`, `"magic"`, "magic"},
		{"half-life", "half_life = 150", "half_life = 0", "half"},
		{"future limit", "future_limit = 60", "future_limit = 76", "future"},
		{"spacing", "spacing = 5", "spacing = 0", "spacing"},
		{"number for text", `name = "fast"`, "name = 5", "name"},
		{"negative maturity", "spacing = 5", "spacing = 5\ncoinbase_maturity = -1", "coinbase_maturity"},
		{"nested", "name =", "name = " + strings.Repeat("a={", 1000), "no tables"},
		{"too long", "name =", "# " + strings.Repeat("x", 70_000) + "\nname =", "bytes"},
	} {
		_, err := node.DecodeNetwork([]byte(strings.Replace(networkFile, c.from, c.to, 1)))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want a word about %q", c.name, err, c.want)
		}
	}
	if _, err := node.Network("atlantis"); err == nil || !strings.Contains(err.Error(), "regtest") {
		t.Errorf("an unknown name: got %v, want the names that there are", err)
	}
	if _, err := node.Network(filepath.Join(t.TempDir(), "none.toml")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

// FuzzDecodeNetwork: whatever a file holds, decoding ends with parameters that
// can found a chain, or with an error. Hard genesis blocks are left out: finding
// their nonce is honest work.
func FuzzDecodeNetwork(f *testing.F) {
	f.Fuzz(func(t *testing.T, text []byte) {
		var hard struct {
			StartBits string `toml:"start_bits"`
		}
		if toml.Unmarshal(text, &hard) == nil {
			bits, err := strconv.ParseUint(hard.StartBits, 16, 32)
			if err == nil && consensus.WorkOf(uint32(bits)).Cmp(consensus.Uint256{1 << 13}) > 0 {
				return
			}
		}
		var params *consensus.Params
		var err error
		frugal.Call(t, "reading a network file", len(text), func() { params, err = node.DecodeNetwork(text) })
		if err != nil {
			if params != nil || err.Error() == "" {
				t.Fatalf("%v with %v", err, params)
			}
			return
		}
		genesis := params.Genesis()
		if err := consensus.CheckPow(params, &genesis.Header); err != nil {
			t.Fatalf("genesis: %v", err)
		}
		if err := consensus.CheckBlock(params, genesis); err != nil {
			t.Fatalf("genesis: %v", err)
		}
		if tree := consensus.NewTree(params); consensus.NextBits(params, tree.Genesis()) != genesis.Header.Bits {
			t.Fatalf("%08x follows a genesis of %08x", consensus.NextBits(params, tree.Genesis()), genesis.Header.Bits)
		}
		again := *params
		if err := again.Init(); err != nil || again.GenesisHash() != params.GenesisHash() {
			t.Fatalf("found twice it is another network: %v", err)
		}
		if key, err := address.Decode(params.HRP, address.Encode(params.HRP, [address.KeySize]byte{1})); err != nil || key != [address.KeySize]byte{1} {
			t.Fatalf("no addresses with the prefix %q: %v", params.HRP, err)
		}
	})
}
