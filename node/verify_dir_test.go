package node_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/node"
	"github.com/kapok-chain/kapok/storage"
)

// Tests over real directories, which are opened to be read only.
func needReadOnly(t *testing.T) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("Badger reads without writing on other systems only")
	}
}

// planted makes a closed data directory with the path to the named block.
func planted(t *testing.T, c *chaintest.Chain, name string, twists map[string]func(*consensus.Delta)) string {
	t.Helper()
	dir := t.TempDir()
	// Twice: Badger reads through the newest value log when it opens and cuts it
	// off at the first damage.
	for range 2 {
		s, err := storage.Open(c.Params, storage.Options{Dir: dir, Lean: true})
		if err != nil {
			t.Fatal(err)
		}
		p := newPlanter(t, c)
		p.store = s
		p.plantAll(name, twists)
		p.must(s.Close())
	}
	return dir
}

func verifyDir(t *testing.T, c *chaintest.Chain, dir string) (codes []string, list []node.Finding) {
	t.Helper()
	s, err := node.OpenStored(c.Params, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	return run(t, c, verifyStore(t, c, s, c.Now()))
}

// wide is a chain with a block that lies in Badger's value log, undo data and all.
func wide(t *testing.T) *chaintest.Chain {
	c := payments(t)
	var outputs []chaintest.Output
	for range 40 {
		outputs = append(outputs, chaintest.To("bob", chaintest.Coins))
	}
	fan := c.Pay(chaintest.From(c.Coinbase("a5")), outputs...)
	c.Mine("a105", "a106", chaintest.Txs(fan))
	var coins []chaintest.Coin
	for i := range outputs {
		coins = append(coins, c.Out(fan, uint32(i)))
	}
	c.Mine("a106", "a107", chaintest.Txs(c.Pay(coins, chaintest.To("carol", 40*chaintest.Coins))))
	c.Grow("a107 - a108")
	return c
}

// spoil turns a bit of these bytes where they are in the value log.
func spoil(t *testing.T, dir string, text []byte) {
	t.Helper()
	logs, err := filepath.Glob(filepath.Join(dir, "chain", "*.vlog"))
	if err != nil {
		t.Fatal(err)
	}
	flipped := slices.ContainsFunc(logs, func(path string) bool {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		at := bytes.Index(data, text)
		if at < 0 {
			return false
		}
		data[at+20] ^= 1
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return true
	})
	if !flipped {
		t.Fatalf("the bytes are in none of %v", logs)
	}
}

// One bit of a body, and one of undo data, that a disk has turned.
func TestVerifyFindsAFlippedBit(t *testing.T) {
	needReadOnly(t)
	for code, part := range map[consensus.Code]func(*chaintest.Chain) []byte{
		node.DamagedBody: func(c *chaintest.Chain) []byte { return c.Block("a107").Txs[1].AppendStripped(nil)[100:200] },
		node.DamagedUndo: func(c *chaintest.Chain) []byte {
			key := c.Key("bob")
			return append(append([]byte{2 * 106}, key[:]...), 0xfe) // where two coins meet: height, key, value
		},
	} {
		c := wide(t)
		dir := planted(t, c, "a108", nil)
		if codes, _ := verifyDir(t, c, dir); len(codes) > 0 {
			t.Fatalf("found %v before anything was changed", codes)
		}
		spoil(t, dir, part(c))
		codes, _ := verifyDir(t, c, dir)
		if want := []string{"a107 " + string(code)}; !slices.Equal(codes, want) {
			t.Errorf("found %v, want %v", codes, want)
		}
	}
}

// What chain reindex is said to mend, it mends.
func TestReindexedStoreVerifies(t *testing.T) {
	needReadOnly(t)
	c := payments(t)
	dir := planted(t, c, "a105", map[string]func(*consensus.Delta){
		"a50":  func(d *consensus.Delta) { d.Created[0].Coin.Value++ },
		"a103": func(d *consensus.Delta) { d.Undo.Spent = []consensus.Coin{{Value: 7}} },
	})
	codes, list := verifyDir(t, c, dir)
	if want := []string{"a50 damaged-coin", "a103 damaged-undo", "a105 damaged-coin-sum"}; !slices.Equal(codes, want) {
		t.Fatalf("found %v, want %v", codes, want)
	}
	for i := range list {
		if !list[i].InCoins() {
			t.Errorf("%s is said not to be mended by new coins", list[i].Code)
		}
	}
	reindexed(t, c, dir, "a105")
	if codes, _ := verifyDir(t, c, dir); len(codes) > 0 {
		t.Errorf("found %v after the reindex", codes)
	}
}

// A directory that a node holds is nobody else's to read.
func TestOpenStoredOfARunningNode(t *testing.T) {
	needReadOnly(t)
	c := chaintest.New(t, consensus.Regtest())
	dir := t.TempDir()
	h := openHouse(t, c.Params, dir)
	defer h.close(t)
	if s, err := node.OpenStored(c.Params, dir); !errors.Is(err, storage.ErrLocked) {
		t.Errorf("opened %v, %v", s, err)
	}
	if s, err := node.OpenStored(c.Params, t.TempDir()); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("opened %v, %v", s, err)
	}
}
