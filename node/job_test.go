package node

import (
	"errors"
	"log/slog"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/storage"
)

// A fault of ours while signatures are checked (here the coins are missing) is
// kept for Commit to return. It is no verdict, and above all not a good one.
func TestVerifyKeepsOurFaults(t *testing.T) {
	tx := &consensus.Tx{Inputs: make([]consensus.TxIn, 1)}
	job := &Job{checks: []poolCheck{{SigCheck: consensus.SigCheck{Tx: tx}}}}
	job.Verify(consensus.Verifier{})
	if job.rule != nil || job.err == nil {
		t.Errorf("rule %v, error %v", job.rule, job.err)
	}
}

// Who reads from the node waits while the tip is on its way to the disk, where the mempool
// does not know of it yet, and no longer than until the node ends.
func TestReadersWaitForTheDisk(t *testing.T) {
	for _, faulty := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			params := consensus.Regtest()
			n, err := New(Config{Params: params, Store: storage.OpenMemory(params, true), Rand: rand.New(rand.NewPCG(1, 1))})
			if err != nil {
				t.Fatal(err)
			}
			r := NewRunner(n, nil, consensus.Verifier{Workers: 1}, slog.New(slog.DiscardHandler))
			n.untold = true
			looked := false
			go r.look(func(*Node) { looked = true })
			synctest.Wait()
			if looked {
				t.Error("somebody read what is not on disk")
			}
			_ = r.Do(func(n *Node, _ time.Time) error {
				if faulty {
					return errors.New("the disk is broken")
				}
				n.untold = false
				return nil
			})
			synctest.Wait()
			if !looked {
				t.Errorf("faulty %v: the reader waits still", faulty)
			}
		})
	}
}
