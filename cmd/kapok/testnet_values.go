package main

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/kapok-chain/kapok/node"
	"github.com/kapok-chain/kapok/testnet/spec"
	"github.com/kapok-chain/kapok/wallet"
)

// helmValues are values of the Helm chart in deploy/kapok.
type helmValues struct {
	NetworkFile string     `json:"networkFile"`
	Payout      string     `json:"payout"`
	Nodes       []helmNode `json:"nodes"`
}

type helmNode struct {
	Name        string  `json:"name,omitempty"`
	Region      string  `json:"region,omitempty"`
	MaxHashrate float64 `json:"maxHashrate"` // hashes a second; 0: does not mine
	Dials       []int   `json:"dials"`       // from 0
}

func testnetValuesCommand() *cli.Command {
	return &cli.Command{
		Name:      "values",
		Usage:     "write a testnet file as values of the Helm chart",
		ArgsUsage: "FILE.toml",
		Description: "Writes who mines how fast, who dials whom, and the network's rules, with a genesis\n" +
			"block of their own, as values for deploy/kapok (JSON, which is YAML too). What a\n" +
			"cluster has of itself is left out: links, payments, faults (deploy/README.md).\n\n" +
			"Example:\n" +
			"   kapok testnet values testdata/testnets/wide-area.toml > values.yaml",
		Action: func(c *cli.Context) error {
			if err := exactArgs(c, 1); err != nil {
				return err
			}
			s, err := spec.Read(c.Args().First(), time.Now())
			if err != nil {
				return err
			}
			return writeValues(c.App.Writer, s)
		},
	}
}

// writeValues writes the values of a testnet. Its miners pay to the first address of the
// words that everybody knows.
func writeValues(w io.Writer, s *spec.Spec) error {
	file, err := node.EncodeNetwork(s.Network)
	if err != nil {
		return fmt.Errorf("network file: %w", err)
	}
	owner, err := newDevWallet(s.Network, wallet.DevWordsA)
	if err != nil {
		return err
	}
	v := helmValues{NetworkFile: string(file), Payout: owner.address}
	for _, n := range s.Nodes {
		v.Nodes = append(v.Nodes, helmNode{Name: n.Name, Region: n.Region, MaxHashrate: n.HashesPerS, Dials: []int{}})
	}
	for _, e := range s.Edges {
		v.Nodes[e.From].Dials = append(v.Nodes[e.From].Dials, e.To)
	}
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	return out.Encode(v)
}
