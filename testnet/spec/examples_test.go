package spec_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/testnet/spec"
)

var update = flag.Bool("update", false, "write testdata/*.txt anew")

const examples = "../../testdata/testnets"

// All examples are read, and come to what testdata holds.
func TestExamples(t *testing.T) {
	files, err := filepath.Glob(examples + "/*.toml")
	if err != nil || len(files) < 12 {
		t.Fatalf("%d examples: %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".toml")
		t.Run(name, func(t *testing.T) {
			s, err := spec.Read(file, now)
			if err != nil {
				t.Fatal(err)
			}
			if s.Name != name {
				t.Errorf("its name is %q", s.Name)
			}
			if err := consensus.CheckPow(s.Network, &s.Network.Genesis().Header); err != nil {
				t.Error(err)
			}
			golden(t, name, dump(s))
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	gotLines, wantLines := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i := range max(len(gotLines), len(wantLines)) {
		if i >= len(gotLines) || i >= len(wantLines) || gotLines[i] != wantLines[i] {
			t.Fatalf("%s differs in line %d\n got: %q\nwant: %q", file, i+1, gotLines[min(i, len(gotLines)-1)], wantLines[min(i, len(wantLines)-1)])
		}
	}
}

// dump writes a testnet in lines, nodes counted from 1.
func dump(s *spec.Spec) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("%s, seed %d: %v or %d blocks, after %v", s.Name, s.Seed, s.Duration, s.Blocks, s.WarmUp)
	p := s.Network
	line("network %s: %s, every %gs (%ds), half-life %ds, future %ds, start %08x (%.0f hashes), limit %08x, maturity %d, weight %d",
		p.Name, p.Rule, s.SpacingS, p.Spacing, p.HalfLife, p.FutureLimit, p.StartBits, spec.WorkOf(p.StartBits), p.PowLimitBits, p.Maturity, p.MaxWeight)
	line("genesis %v before, %d blocks until %d coins are ready", now.Sub(time.Unix(int64(p.GenesisTime), 0)), s.Prelude, s.Coins)
	for i, n := range s.Nodes {
		text := fmt.Sprintf("node %d %s: %.0f H/s, uplink %d B/s", i+1, n.Name, n.HashesPerS, n.Uplink)
		if n.Region != "" {
			text += ", " + n.Region
		}
		if n.Process {
			text += ", own process"
		}
		for _, e := range s.Edges {
			if e.From == i {
				text += fmt.Sprintf(" >%d", e.To+1)
			}
		}
		line("%s", text)
	}
	if text, same := uniform(s.Links); same {
		line("every link %s", text)
	} else if len(s.Nodes) <= 10 {
		for from, row := range s.Links {
			text := fmt.Sprintf("from %d:", from+1)
			for _, l := range row {
				text += " " + linkText(l)
			}
			line("%s", text)
		}
	}
	line("payments %+v", s.Payments)
	for _, e := range s.Events {
		line("line %d at %v %s %v groups %v for %v rate %g down %v offset %v confirmations %d tries %d give up %d",
			e.Line, e.At, e.Kind, counted(e.Nodes), countedAll(e.Groups), e.For, e.Rate, e.Down, e.Offset, e.Confirmations, e.Tries, e.GiveUp)
	}
	return b.String()
}

func linkText(l spec.Link) string { return fmt.Sprintf("%v+%v/%g", l.Delay, l.Jitter, l.Loss) }

// uniform is the link that all pairs have.
func uniform(links [][]spec.Link) (text string, same bool) {
	for from, row := range links {
		for to, l := range row {
			if from != to && l != links[0][1] {
				return "", false
			}
		}
	}
	return linkText(links[0][len(links)-1]), true
}

func counted(nodes []int) []int {
	from1 := make([]int, len(nodes))
	for i, n := range nodes {
		from1[i] = n + 1
	}
	return from1
}

func countedAll(groups [][]int) [][]int {
	from1 := make([][]int, len(groups))
	for i, g := range groups {
		from1[i] = counted(g)
	}
	return from1
}
