package node_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/node"
	"github.com/kapok-chain/kapok/p2p"
	"github.com/kapok-chain/kapok/storage"
)

// slowStore takes as long as the test wants to read coins and to sync.
type slowStore struct {
	storage.Store
	mu    sync.Mutex
	slow  string        // "coins", "sync", or "" for neither
	begun chan struct{} // one token for each call that is slow
	goOn  chan struct{}
}

func (s *slowStore) at(what string) {
	s.mu.Lock()
	slow := s.slow == what
	s.mu.Unlock()
	if slow {
		s.begun <- struct{}{}
		<-s.goOn
	}
}

func (s *slowStore) set(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.slow = what
}

func (s *slowStore) Coins(of []consensus.OutPoint) (map[consensus.OutPoint]consensus.Coin, error) {
	s.at("coins")
	return s.Store.Coins(of)
}

func (s *slowStore) Sync() error {
	s.at("sync")
	return s.Store.Sync()
}

// While the coins of a block are read, and while it is on its way to the disk,
// announcements are forwarded. Whoever wants the block acknowledged, or work upon it,
// waits for the disk.
func TestForwardedWhileABlockIsConnected(t *testing.T) {
	for _, when := range []string{"coins", "sync"} {
		t.Run(when, func(t *testing.T) {
			c := chaintest.New(t, consensus.Regtest())
			c.Grow("genesis - a1..a3")
			c.Grow("a2 - b3")
			store := &slowStore{Store: storage.OpenMemory(c.Params, true), begun: make(chan struct{}, 8), goOn: make(chan struct{})}
			r, _ := startRunner(t, store, c.Params)
			for _, block := range c.Path("a2") {
				if _, err := r.SubmitBlock(t.Context(), block); err != nil {
					t.Fatal(err)
				}
			}
			const peer = p2p.PeerID("peer")
			r.Connected(p2p.Peer{ID: peer, Addr: "/dns4/peer"})
			r.Receive(peer, &p2p.Hello{Version: p2p.Version, Genesis: c.Params.GenesisHash(), Nonce: 1, Tip: c.Hash("a2"), Time: time.Now().Unix()}, false)

			store.set(when)
			submitted := make(chan error, 1)
			go func() {
				_, err := r.SubmitBlock(t.Context(), c.Block("a3"))
				submitted <- err
			}()
			<-store.begun
			if v := r.Receive(peer, p2p.NewAnnounce(c.Block("b3"), 1), true); v != p2p.Accept {
				t.Errorf("the announcement of another block: verdict %v", v)
			}
			r.Do(func(n *node.Node, _ time.Time) error {
				if on := n.Tip().Hash == c.Hash("a3"); on != (when == "sync") {
					t.Errorf("the tip is %v", n.Tip())
				}
				return nil
			})
			hasty, cancel := context.WithCancel(t.Context())
			cancel()
			if when == "sync" {
				if _, err := r.Template(hasty); err == nil {
					t.Error("there is a template upon a block that is not on disk")
				}
			}
			if err := r.Settle(hasty); err == nil {
				t.Error("the node says that it is settled")
			}
			select {
			case err := <-submitted:
				t.Errorf("the block was acknowledged (%v)", err)
			default:
			}
			store.set("")
			close(store.goOn)
			if err := <-submitted; err != nil {
				t.Error(err)
			}
			if template, err := r.Template(t.Context()); err != nil || template.Parent != c.Hash("a3") {
				t.Errorf("template %+v, %v", template, err)
			}
		})
	}
}
