package testnet

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"go.uber.org/goleak"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/p2p/host"
)

// A node's process ends when its input does, whatever has ended the run, and closes its
// store: it can be started again.
func TestChildEndsWithItsInput(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	s := setup{Params: *smallSpec(t, 2).Network, DataDir: t.TempDir(), Version: "0.0.0", Links: [][]host.Link{{{}}}, Uplinks: []int64{0}}
	for range 2 {
		in, requests := io.Pipe()
		answers, out := io.Pipe()
		ended := make(chan error, 1)
		go func() {
			ended <- Child(t.Context(), in, out, io.Discard)
			out.Close()
		}()
		if err := json.NewEncoder(requests).Encode(&s); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(answers)
		var ready, probed line
		next := func(l *line) {
			t.Helper()
			if !lines.Scan() {
				t.Fatal("the child has nothing to say")
			}
			if err := json.Unmarshal(lines.Bytes(), l); err != nil {
				t.Fatal(err)
			}
		}
		next(&ready)
		if ready.Ready == nil || ready.Ready.Listen == "" || ready.Ready.RPC == "" {
			t.Fatalf("the child's first line is %s", lines.Bytes())
		}
		if err := json.NewEncoder(requests).Encode(&request{7, command{Op: opProbe}}); err != nil {
			t.Fatal(err)
		}
		next(&probed)
		if probed.Reply == nil || probed.Reply.ID != 7 || probed.Reply.Probe == nil || probed.Reply.Probe.Tip != s.Params.GenesisHash() {
			t.Errorf("the child's answer is %s", lines.Bytes())
		}
		requests.Close()
		for lines.Scan() {
		}
		if err := <-ended; err != nil {
			t.Errorf("Child returned %v", err)
		}
	}
}

func TestChildIsToldNonsense(t *testing.T) {
	good, err := json.Marshal(&setup{Params: *smallSpec(t, 2).Network, DataDir: t.TempDir(), Links: [][]host.Link{{{}}}, Uplinks: []int64{0}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ input, says string }{
		{"", "it is started by `kapok testnet run`"},
		{"hello\n", "setup"},
		{"{}\n", "network"},
		{strings.Repeat("x", maxLine+1), "token too long"},
		{strings.Replace(string(good), `"links":[[`, `"links":[[],[`, 1) + "\n", "links"},
	} {
		var out bytes.Buffer
		if err := Child(t.Context(), strings.NewReader(tc.input), &out, io.Discard); err == nil || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%.40q: %v", tc.input, err)
		}
	}
	var out bytes.Buffer
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err = Child(ctx, io.MultiReader(strings.NewReader(string(good)+"\nhello\n"), iotest.ErrReader(errors.New("broken"))), &out, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "request") || !strings.Contains(out.String(), `"fault":`) {
		t.Errorf("a request that is none: %v, %s", err, &out)
	}
}

// A node's process tells when it saw something in time since the run's origin, which no
// setting of the machine's clock moves.
func TestChildCountsFromTheOrigin(t *testing.T) {
	now := time.Now()
	if o := (origin{time.Minute, now.Round(0)}); o.at(now.Add(time.Second)).Sub(now) != -time.Minute {
		t.Errorf("the origin is at %v, expected a minute before %v", o.at(now), now)
	}
	s := setup{Params: *smallSpec(t, 2).Network, DataDir: t.TempDir(), Version: "0.0.0", Links: [][]host.Link{{{}}}, Uplinks: []int64{0},
		HashesPerS: 1 << 20, Payout: consensus.PayToKey([32]byte{1}), Origin: origin{time.Hour, now}}
	in, requests := io.Pipe()
	answers, out := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- Child(t.Context(), in, out, io.Discard)
		out.Close()
	}()
	tell := json.NewEncoder(requests)
	if err := tell.Encode(&s); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(answers)
	seen := 0
	for lines.Scan() {
		var l line
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			t.Fatal(err)
		}
		if l.Ready != nil {
			if err := tell.Encode(&request{1, command{Op: opMine}}); err != nil {
				t.Fatal(err)
			}
		}
		if l.Sighting == nil {
			continue
		}
		if most := time.Hour + time.Since(now); l.After < time.Hour || l.After > most {
			t.Errorf("%s: expected %v to %v after the origin", lines.Bytes(), time.Hour, most)
		}
		if seen++; seen == 3 {
			requests.Close()
		}
	}
	if err := <-ended; err != nil || seen < 3 {
		t.Errorf("%d sightings, %v", seen, err)
	}
}
