package node

import (
	"testing"

	"github.com/kapok-chain/kapok/consensus"
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
