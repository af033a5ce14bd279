package rpc

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/kapok-chain/kapok/consensus"
)

// gathered is a fake that notes how many payments came together.
type gathered struct {
	*fake
	together []int
}

func (g *gathered) SubmitTxs(list []Submission) []error {
	g.together = append(g.together, len(list))
	return g.fake.SubmitTxs(list)
}

// Payments that follow each other in a batch reach the node together; each call has its
// own answer, in its place, as it would have alone.
func TestBatchOfPayments(t *testing.T) {
	f := newFake(t)
	send := func(id int, params ...any) string {
		raw, _ := json.Marshal(params)
		return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"sendrawtransaction","params":%s}`, id, raw)
	}
	hex := hexOf(f.pool[0].Tx.Bytes())
	requests := []string{
		send(0, hex), send(1, "zz"), send(2, hex, "0.00000001"), send(3), send(4, hex, 0),
		`{"jsonrpc":"2.0","id":5,"method":"getblockcount"}`,
		send(6, hex), strings.Replace(send(7, hex), `"id":7,`, "", 1), send(8, hex),
		`{"jsonrpc":"2.0","id":9}`, send(10, hex),
	}
	var alone []string
	for _, request := range requests {
		if answer := strings.TrimSpace(post(newTestServer(t, f), request).Body.String()); answer != "" {
			alone = append(alone, answer)
		}
	}
	g := &gathered{fake: f}
	s, err := NewServer(Config{User: "user", Password: "secret"}, NewAPI(g, "0.1.0"))
	if err != nil {
		t.Fatal(err)
	}
	f.sent = nil
	got := strings.TrimSpace(post(s, "["+strings.Join(requests, ",")+"]").Body.String())
	if want := "[" + strings.Join(alone, ",") + "]"; got != want {
		t.Errorf("together:\n%s\none by one:\n%s", got, want)
	}
	if want := "[3 3 1]"; fmt.Sprint(g.together) != want {
		t.Errorf("payments came in groups of %v, want %s", g.together, want)
	}
	if !strings.Contains(got, `"id":2}`) || !strings.Contains(got, "maxfeerate") || strings.Count(got, f.pool[0].TxID.String()) != 5 {
		t.Error(got)
	}
	f.refuse = &consensus.RuleError{Code: consensus.ErrSig, Kind: consensus.Invalid}
	if got := post(s, "["+send(1, hex)+","+send(2, hex)+"]").Body.String(); strings.Count(got, string(consensus.ErrSig)) != 2 {
		t.Error(got)
	}
	// A batch of nothing but mistakes asks the node nothing.
	g.together = nil
	if got := post(s, "["+send(1)+","+send(2, "zz")+"]").Body.String(); len(g.together) != 0 || strings.Count(got, `"code":-`) != 2 {
		t.Error(g.together, got)
	}
}
