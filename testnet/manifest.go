package testnet

import (
	"time"

	"github.com/kapok-chain/kapok/testnet/record"
	"github.com/kapok-chain/kapok/testnet/spec"
)

// manifestOf is the manifest of a run that begins.
func manifestOf(o *Options, began time.Time) record.Manifest {
	s := o.Spec
	p := s.Network
	m := record.Manifest{
		KapokVersion: o.Version, Name: s.Name, Description: s.Description, Status: record.Running, StartedAt: began,
		Seed: s.Seed, Processes: o.Processes, Machine: record.ThisMachine(),
		Network: record.Network{
			Name: p.Name, GenesisHash: p.GenesisHash().String(), Difficulty: string(p.Rule), SpacingS: s.SpacingS,
			DifficultyHashes: difficulty(p.StartBits), MaxWeight: p.MaxWeight, Maturity: p.Maturity,
		},
		Load: loadOf(&s.Payments, runSeconds(s)),
	}
	for i, n := range s.Nodes {
		node := record.Node{Node: i + 1, Name: n.Name, Region: n.Region, HashesPerS: n.HashesPerS, UplinkBps: float64(n.Uplink), Dials: []int{}, Process: o.ownProcess(i)}
		for _, e := range s.Edges {
			if e.From == i {
				node.Dials = append(node.Dials, e.To+1)
			}
		}
		for _, e := range s.Events {
			if len(e.Nodes) == 1 && e.Nodes[0] == i {
				switch e.Kind {
				case spec.Selfish:
					node.Role = record.Selfish
				case spec.DoubleSpend:
					node.Role = record.DoubleSpend
				}
			}
		}
		m.Nodes = append(m.Nodes, node)
	}
	for _, row := range s.Links {
		ms := make([]float64, len(row))
		for to, l := range row {
			ms[to] = float64(l.Delay) / float64(time.Millisecond)
		}
		m.LinkDelaysMS = append(m.LinkDelaysMS, ms)
	}
	return m
}

// runSeconds is how long payments flow, as far as the file says.
func runSeconds(s *spec.Spec) float64 {
	measured := s.Duration.Seconds()
	if measured == 0 {
		measured = float64(s.Blocks) * s.SpacingS
	}
	return s.WarmUp.Seconds() + measured
}
