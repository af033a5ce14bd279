package main

import (
	"bytes"
	"context"
	"encoding/json"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/node"
	"github.com/kapok-chain/kapok/storage"
)

// plantChain writes a chain into a data directory without judging it. Its blocks
// have coinbases alone; twist changes what is kept of the last one's coins.
func plantChain(t *testing.T, c *chaintest.Chain, tip string, twist func(*consensus.Delta)) (dir string) {
	t.Helper()
	dir = t.TempDir()
	s, err := storage.Open(c.Params, storage.Options{Dir: dir, Lean: true})
	if err != nil {
		t.Fatal(err)
	}
	plantInto(t, s, c, tip, twist)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func plantInto(t *testing.T, s storage.Store, c *chaintest.Chain, tip string, twist func(*consensus.Delta)) {
	t.Helper()
	path := c.Path(tip)
	for i, block := range path {
		height := uint32(i + 1)
		rec := consensus.Record{Header: block.Header, Hash: block.Hash(), Seq: uint64(height), TxCount: 1,
			Flags: consensus.RecordHasBody | consensus.RecordConnected}
		back, err := consensus.RevertBlock(block, height, &consensus.Undo{})
		if err != nil {
			t.Fatal(err)
		}
		delta := &consensus.Delta{Created: back.Spent}
		if twist != nil && i == len(path)-1 {
			twist(delta)
		}
		if err := s.PutBlock(rec, block); err != nil {
			t.Fatal(err)
		}
		if err := s.Connect(rec, height, block, delta); err != nil {
			t.Fatal(err)
		}
	}
}

// verifyCommand runs `kapok chain verify` and returns what it prints.
func verifyCommand(ctx context.Context, dir string, args ...string) (string, error) {
	var out bytes.Buffer
	app := newApp()
	app.Writer = &out
	err := app.RunContext(ctx, append([]string{"kapok", "chain", "verify", "--network", "regtest", "--datadir", dir}, args...))
	return out.String(), err
}

// Each finding is named, with what to do next; the status is not 0.
func TestChainVerifyTellsWhatItFound(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Badger reads without writing on other systems only")
	}
	for name, test := range map[string]struct {
		make   func(*chaintest.Chain)
		twist  func(*consensus.Delta)
		code   consensus.Code
		words  []string // of the line for people
		next   string
		judged uint32
	}{
		"rule": {
			make: func(c *chaintest.Chain) { c.Mine("a5", "a6", chaintest.Claim(1)) },
			code: consensus.ErrCoinbaseAmount, words: []string{"pays 5000000001 units"}, next: "/chain and start the node", judged: 5,
		},
		"coin": {
			make:  func(c *chaintest.Chain) { c.Mine("a5", "a6") },
			twist: func(d *consensus.Delta) { d.Created[0].Coin.Value = 7 },
			code:  "damaged-coin", words: []string{"expected 5000000000 units", "found 7 units"}, next: "kapok chain reindex --datadir ", judged: 6,
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := chaintest.New(t, consensus.Regtest())
			c.Grow("genesis - a1..a5")
			test.make(c)
			dir := plantChain(t, c, "a6", test.twist)
			text, err := verifyCommand(t.Context(), dir)
			if err == nil || !strings.Contains(err.Error(), "not all is well in "+dir) || !strings.Contains(err.Error(), test.next) {
				t.Errorf("it ends with %v", err)
			}
			line := "block 6 (" + c.Hash("a6").String() + "): " + string(test.code) + ": "
			for _, word := range append(test.words, line) {
				if !strings.Contains(text, word) {
					t.Errorf("%q is not said in\n%s", word, text)
				}
			}
			text, err = verifyCommand(t.Context(), dir, "--json")
			var r verifyReport
			if uerr := json.Unmarshal([]byte(text), &r); uerr != nil || err == nil {
				t.Fatalf("%v, %v:\n%s", err, uerr, text)
			}
			last := r.Findings[len(r.Findings)-1]
			if r.OK || r.Height != 6 || r.JudgedHeight != test.judged || !strings.Contains(r.Next, test.next) ||
				last.Height != 6 || last.Hash != c.Hash("a6").String() || last.Code != string(test.code) {
				t.Errorf("it says %+v", r)
			}
		})
	}
}

// lostUndo is a store that lost the file of its undo data.
type lostUndo struct{ *storage.Memory }

func (lostUndo) Undo(consensus.Hash) (*consensus.Undo, error) { return nil, storage.ErrDamaged }

// The advice heeds what there was no room to list, too: here the one block that
// coins made anew would not mend.
func TestChainVerifyAdvisesForAllFindings(t *testing.T) {
	for next, options := range map[string][]chaintest.Option{
		"/chain and start the node":      {chaintest.Claim(1)},
		"kapok chain reindex --datadir ": nil,
	} {
		c := chaintest.New(t, consensus.Regtest())
		c.Grow("genesis - a1..a100")
		c.Mine("a100", "a101", options...)
		store := lostUndo{storage.OpenMemory(c.Params, false)}
		plantInto(t, store, c, "a101", nil)
		v, err := node.VerifyStore(c.Params, store, consensus.Verifier{}, c.Now())
		if err != nil {
			t.Fatal(err)
		}
		for more := true; more; {
			if more, err = v.Step(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		r := verifyReportOf(c.Params, "n", v, time.Second)
		if r.More == 0 || !strings.Contains(filepath.ToSlash(r.Next), next) {
			t.Errorf("it advises %q, not %q, for %d findings that are not listed", r.Next, next, r.More)
		}
	}
}

// Ctrl-C ends it with a sentence that says how far it came.
func TestChainVerifyIsInterrupted(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Badger reads without writing on other systems only")
	}
	c := chaintest.New(t, consensus.Regtest())
	c.Grow("genesis - a1..a5")
	dir := plantChain(t, c, "a5", nil)
	if _, err := verifyCommand(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	text, err := verifyCommand(ctx, dir)
	if err == nil || err.Error() != "interrupted after 0 of 6 blocks; findings so far: 0" || text != "" {
		t.Errorf("it ends with %v and says %q", err, text)
	}
}
