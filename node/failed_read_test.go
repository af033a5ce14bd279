package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/explorer"
	"github.com/kapok-chain/kapok/mempool"
	"github.com/kapok-chain/kapok/p2p"
	"github.com/kapok-chain/kapok/rpc"
	"github.com/kapok-chain/kapok/storage"
)

// What the store answers is passed on as an answer; what it fails at ends the
// node, whoever asked.
func TestFailedReadEndsTheNode(t *testing.T) {
	for name, ask := range map[string]func(*Service, error) error{
		"rpc":      func(s *Service, err error) error { return rpcBackend{s}.missing(err) },
		"explorer": func(s *Service, err error) error { return pages{s}.missing(err) },
	} {
		t.Run(name, func(t *testing.T) {
			params := consensus.Regtest()
			n, err := New(Config{
				Params: params, Store: storage.OpenMemory(params, true), Mempool: mempool.DefaultConfig(),
				P2P: p2p.Config{Params: params}, Rand: rand.New(rand.NewPCG(1, 1)),
			})
			if err != nil {
				t.Fatal(err)
			}
			log := slog.New(slog.DiscardHandler)
			s := &Service{Runner: NewRunner(n, nil, consensus.Verifier{Workers: 1}, log), params: params, log: log}
			if err := ask(s, fmt.Errorf("block: %w", storage.ErrNotFound)); !errors.Is(err, rpc.ErrNotFound) && !errors.Is(err, explorer.ErrNotFound) {
				t.Errorf("a missing block is answered with %v", err)
			}
			if err := ask(s, storage.ErrClosed); !errors.Is(err, storage.ErrClosed) || s.Runner.fault != nil {
				t.Errorf("a store that closes is taken for a fault: %v, %v", err, s.Runner.fault)
			}
			fault := fmt.Errorf("block: %w", storage.ErrDamaged)
			if err := ask(s, fault); !errors.Is(err, storage.ErrDamaged) {
				t.Errorf("a damaged block is answered with %v", err)
			}
			if err := s.Runner.Run(context.Background()); !errors.Is(err, storage.ErrDamaged) {
				t.Errorf("Run returned %v", err)
			}
		})
	}
}
