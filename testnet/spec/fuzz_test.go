package spec_test

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/p2p/host"
	"github.com/kapok-chain/kapok/testnet/spec"
)

// FuzzParse: whatever a file holds, reading it ends with a testnet that can run, or with
// errors that name lines of it. Hard genesis blocks are not searched: that is honest
// work.
func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob(examples + "/*.toml")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := spec.Build(text, examples, now)
		if err != nil {
			checkErrors(t, s, err, text)
			return
		}
		checkSpec(t, s)
		var values map[string]any
		meta, err := toml.Decode(strings.TrimPrefix(string(text), "\ufeff"), &values)
		if err != nil {
			t.Fatal(err)
		}
		if n := spec.Marks(strings.TrimPrefix(string(text), "\ufeff")); n != len(meta.Keys()) {
			t.Fatalf("the parser sees %d keys, the scanner %d", len(meta.Keys()), n)
		}
		if again, err := spec.Build(text, examples, now); err != nil || dump(again) != dump(s) {
			t.Fatalf("read twice it is another testnet: %v", err)
		}
		if spec.WorkOf(s.Network.StartBits) > 1<<13 {
			return
		}
		s, err = spec.Parse(text, examples, now)
		if err != nil {
			checkErrors(t, s, err, text)
			return
		}
		if err := consensus.CheckPow(s.Network, &s.Network.Genesis().Header); err != nil {
			t.Fatal(err)
		}
	})
}

func checkErrors(t *testing.T, s *spec.Spec, err error, text []byte) {
	t.Helper()
	var all spec.Errors
	if s != nil || !errors.As(err, &all) || len(all) == 0 {
		t.Fatalf("%v with %v", err, s)
	}
	last := strings.Count(string(text), "\n") + 1
	for _, e := range all {
		if e.Text == "" || e.Line < 0 || e.Line > last {
			t.Fatalf("line %d of %d: %q", e.Line, last, e.Text)
		}
	}
}

// checkSpec holds a testnet against what its types promise.
func checkSpec(t testing.TB, s *spec.Spec) {
	t.Helper()
	n := len(s.Nodes)
	rate := 0.0
	for i, node := range s.Nodes {
		rate += node.HashesPerS
		if !(node.HashesPerS >= 0) || node.Uplink < 0 || node.Name == "" {
			t.Fatalf("node %d: %+v", i, node)
		}
	}
	if expected := rate * s.SpacingS; math.Abs(spec.WorkOf(s.Network.StartBits)/expected-1) > 0.01 {
		t.Fatalf("%g hashes a second do %g in a spacing, and a block takes %g", rate, expected, spec.WorkOf(s.Network.StartBits))
	}
	checkEdges(t, n, s.Edges)
	links := make([][]host.Link, n)
	for from, row := range s.Links {
		for _, l := range row {
			links[from] = append(links[from], host.Link{Delay: l.Delay, Jitter: l.Jitter, Loss: l.Loss})
		}
	}
	if _, err := host.NewMatrix(links); err != nil {
		t.Fatal(err)
	}
	for i, e := range s.Events {
		if i > 0 && e.At < s.Events[i-1].At || s.Duration > 0 && e.At+e.For > s.Duration {
			t.Fatalf("event %d: %+v", i, e)
		}
		for _, node := range slices.Concat(append(e.Groups, e.Nodes)...) {
			if node < 0 || node >= n {
				t.Fatalf("event %d: node %d", i, node)
			}
		}
	}
	if (s.Duration > 0) == (s.Blocks > 0) || (s.Coins > 0) != (s.Prelude > 0) || (s.Coins > 0) != (s.Payments.Wallets > 0) {
		t.Fatalf("%v, %d blocks, %d coins after %d blocks for %d wallets", s.Duration, s.Blocks, s.Coins, s.Prelude, s.Payments.Wallets)
	}
}

// checkEdges: a simple graph that holds all nodes together.
func checkEdges(t testing.TB, n int, edges []spec.Edge) {
	t.Helper()
	seen := make(map[spec.Edge]bool)
	near := make([][]int, n)
	for _, e := range edges {
		if e.From == e.To || seen[e] || seen[spec.Edge{From: e.To, To: e.From}] {
			t.Fatalf("edge %+v", e)
		}
		seen[e] = true
		near[e.From], near[e.To] = append(near[e.From], e.To), append(near[e.To], e.From)
	}
	reached := map[int]bool{0: true}
	for queue := []int{0}; len(queue) > 0; queue = queue[1:] {
		for _, next := range near[queue[0]] {
			if !reached[next] {
				reached[next] = true
				queue = append(queue, next)
			}
		}
	}
	if len(reached) != n {
		t.Fatalf("%d of %d nodes can be reached", len(reached), n)
	}
}
