package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/address"
	"github.com/kapok-chain/kapok/node"
	"github.com/kapok-chain/kapok/testnet/spec"
)

var updateValues = flag.Bool("update-values", false, "write deploy/testdata/wide-area.json anew")

// TestHelmValues: the values of a file say what the file says, and are those that the
// chart is checked with.
func TestHelmValues(t *testing.T) {
	s, err := spec.Read("../../testdata/testnets/wide-area.toml", time.Unix(1_800_000_000, 0))
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := writeValues(&text, s); err != nil {
		t.Fatal(err)
	}
	var v helmValues
	if err := json.Unmarshal(text.Bytes(), &v); err != nil {
		t.Fatal(err)
	}
	params, err := node.DecodeNetwork([]byte(v.NetworkFile))
	if err != nil {
		t.Fatal(err)
	}
	if params.GenesisHash() != s.Network.GenesisHash() {
		t.Errorf("the network's genesis is %s, want %s", params.GenesisHash(), s.Network.GenesisHash())
	}
	if _, err := address.Decode(params.HRP, v.Payout); err != nil {
		t.Error(err)
	}
	dials := 0
	for i, n := range v.Nodes {
		if n.MaxHashrate != s.Nodes[i].HashesPerS || n.Region != s.Nodes[i].Region {
			t.Errorf("node %d is %+v, want %+v", i, n, s.Nodes[i])
		}
		for _, to := range n.Dials {
			dials++
			if !slices.Contains(s.Edges, spec.Edge{From: i, To: to}) {
				t.Errorf("node %d dials %d", i, to)
			}
		}
	}
	if len(v.Nodes) != len(s.Nodes) || dials != len(s.Edges) {
		t.Errorf("%d nodes and %d dials, want %d and %d", len(v.Nodes), dials, len(s.Nodes), len(s.Edges))
	}

	const golden = "../../deploy/testdata/wide-area.json"
	if *updateValues {
		if err := os.WriteFile(golden, text.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(text.Bytes(), want) {
		t.Errorf("%s is another; -update-values writes it anew", golden)
	}
}
