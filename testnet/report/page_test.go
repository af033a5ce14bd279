package report

import (
	"bytes"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/kapok-chain/kapok/testnet/record"
)

var pages = flag.String("pages", "", "a directory to write pages to, to look at")

func TestPages(t *testing.T) {
	for name, run := range map[string]*record.Run{"big": bigRun(t), "fast": fastRun(t, 1), "small": smallRun(t)} {
		var b bytes.Buffer
		if err := HTML(&b, run, Summarize(run, rand.New(rand.NewPCG(1, 1)))); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d bytes", name, b.Len())
		if *pages != "" {
			if err := os.WriteFile(filepath.Join(*pages, name+".html"), b.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}
