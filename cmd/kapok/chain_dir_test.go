package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
)

// Ctrl-C ends each of the commands with a sentence, and leaves what there was.
func TestChainCommandsAreInterrupted(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Badger reads without writing on other systems only")
	}
	c := chaintest.New(t, consensus.Regtest())
	c.Grow("genesis - a1..a300")
	dir := plantChain(t, c, "a300", nil)
	file := filepath.Join(t.TempDir(), "blocks.dat")
	run := func(ctx context.Context, args ...string) (string, error) {
		var out bytes.Buffer
		app := newApp()
		app.Writer = &out
		args = append([]string{"kapok", "chain", args[0], "--network", "regtest"}, args[1:]...)
		err := app.RunContext(ctx, args)
		return out.String(), err
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, test := range []struct {
		words string
		args  []string
	}{
		{"interrupted after 0 of 301 blocks: no file was made", []string{"export", "--datadir", dir, file}},
		{"interrupted: nothing was removed", []string{"prune", "--datadir", dir, "--keep", "288"}},
		{"interrupted at height 0 of 300: the same command goes on", []string{"reindex", "--datadir", dir}}, // from here on the tip is genesis
	} {
		if text, err := run(ctx, test.args...); err == nil || err.Error() != test.words || text != "" {
			t.Errorf("%s ends with %v and says %q", test.args[0], err, text)
		}
	}
	if left, _ := os.ReadDir(filepath.Dir(file)); len(left) != 0 {
		t.Errorf("the export leaves %v", left)
	}
	if _, err := run(t.Context(), "reindex", "--datadir", dir); err != nil {
		t.Fatal(err)
	}
	if _, err := run(t.Context(), "export", "--datadir", dir, file); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "m")
	_, err := run(ctx, "import", "--datadir", to, file)
	if err == nil || !strings.HasPrefix(err.Error(), "interrupted at byte 0 of ") || !strings.Contains(err.Error(), "the same command goes on") {
		t.Errorf("import ends with %v", err)
	}
	if _, err := run(t.Context(), "import", "--datadir", to, file); err != nil {
		t.Error(err)
	}
}
