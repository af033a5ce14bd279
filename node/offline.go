package node

import (
	"math/rand/v2"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/mempool"
	"github.com/kapok-chain/kapok/p2p"
	"github.com/kapok-chain/kapok/storage"
)

// offline is a Node without peers and payments, which takes its blocks from this
// machine by the road of all others.
type offline struct {
	*Node
	verifier consensus.Verifier
}

func newOffline(p *consensus.Params, store storage.Store, verifier consensus.Verifier) (offline, error) {
	n, err := New(Config{
		Params: p, Store: store, Mempool: mempool.DefaultConfig(), P2P: p2p.Config{Params: p},
		Rand: rand.New(rand.NewPCG(0, 0)), // there is nobody to tell anything from
	})
	return offline{n, verifier}, err
}

// step takes one step towards the best branch, and nil where there is none. The
// job has a rule where the block of the step broke it.
func (o *offline) step(now time.Time) (*Job, error) {
	job, err := o.Gather()
	if err != nil || job == nil {
		return nil, err
	}
	job.Verify(o.verifier)
	if err := o.Commit(now, job); err != nil {
		return nil, err
	}
	o.Changes() // nobody observes
	o.Outbox()
	return job, nil
}
