package node_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/node"
	"github.com/kapok-chain/kapok/rpc"
	"github.com/kapok-chain/kapok/storage"
)

// hearer is a log that tells of one message.
type hearer struct {
	slog.Handler
	text  string
	heard chan struct{}
}

func listenFor(text string) *hearer {
	return &hearer{slog.DiscardHandler, text, make(chan struct{}, 1)}
}

func (h *hearer) Enabled(context.Context, slog.Level) bool { return true }

func (h *hearer) Handle(_ context.Context, r slog.Record) error {
	if strings.Contains(r.Message, h.text) {
		select {
		case h.heard <- struct{}{}:
		default:
		}
	}
	return nil
}

// After an unclean stop the coins are counted in the background; where the disk holds
// others than were kept count of, they are made anew without anybody's doing.
func TestCoinsAreMadeAnewAfterAnUncleanStop(t *testing.T) {
	needReadOnly(t)
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	c := payments(t)
	for name, test := range map[string]struct {
		twist map[string]func(*consensus.Delta)
		said  string
	}{
		"the same":  {nil, "recounted the coins"},
		"one fewer": {map[string]func(*consensus.Delta){"a50": func(d *consensus.Delta) { d.Created = append(d.Created, d.Created[0]) }}, "making them anew"},
	} {
		t.Run(name, func(t *testing.T) {
			was := planted(t, c, "a105", test.twist)
			s, err := storage.Open(c.Params, storage.Options{Dir: was, Lean: true})
			must(t, err)
			dir := t.TempDir()
			must(t, os.CopyFS(dir, os.DirFS(was))) // as a kill would leave it
			must(t, s.Close())

			log := listenFor(test.said)
			service, err := node.Open(node.ServiceConfig{Params: c.Params, DataDir: dir, Lean: true, RPCListen: "127.0.0.1:0", Logger: slog.New(log)})
			must(t, err)
			h := &house{Service: service, ended: make(chan error, 1)}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // for slow machines
			defer cancel()
			h.stop = cancel
			go func() { h.ended <- service.Run(ctx) }()
			select {
			case <-log.heard:
			case <-ctx.Done():
				t.Fatal("the coins were not counted")
			}
			must(t, service.Runner.Do(func(*node.Node, time.Time) error { return nil })) // behind the reset
			must(t, service.Runner.Settle(ctx))
			h.reach(t, ctx, c, "a105")
			h.close(t)
			if codes, _ := verifyDir(t, c, dir); len(codes) > 0 {
				t.Errorf("found %v", codes)
			}
		})
	}
}

// A body that cannot be read stops the node that was asked for it, with a word on what to
// do; started again, it has the body from a peer, and all the rest as it was.
func TestDamagedBodyStopsTheNodeAndComesBack(t *testing.T) {
	needReadOnly(t)
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	c := wide(t)
	dir, other := planted(t, c, "a108", nil), planted(t, c, "a108", nil)
	h := openHouse(t, c.Params, dir) // makes the index
	h.close(t)
	logs, err := filepath.Glob(filepath.Join(dir, "chain", "*.vlog"))
	must(t, err)
	body := c.Block("a106").Bytes()
	flipped := 0
	for _, path := range logs {
		data, err := os.ReadFile(path)
		must(t, err)
		for at := 0; ; {
			next := bytes.Index(data[at:], body)
			if next < 0 {
				break
			}
			at += next + 200
			data[at] ^= 1
			flipped++
		}
		must(t, os.WriteFile(path, data, 0o600))
	}
	if flipped == 0 {
		t.Fatal("the body is in no value log")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // for slow machines
	defer cancel()
	getblock := func(h *house) error {
		client := rpc.NewClient(rpc.Dial{URL: "http://" + h.RPCAddr(), CookieFile: h.CookieFile()})
		defer client.Close()
		return client.Call(ctx, "getblock", nil, c.Hash("a106").String(), 0)
	}

	h = openHouse(t, c.Params, dir)
	if err := getblock(h); err == nil {
		t.Error("a damaged block was answered")

	}
	var ended error
	select {
	case ended = <-h.ended:
	case <-ctx.Done():
		t.Fatal("the node goes on")
	}
	if err := ended; err == nil || !strings.Contains(err.Error(), c.Hash("a106").String()) || !strings.Contains(err.Error(), "start it again") {
		t.Errorf("the node ended with %v", err)
	}

	full := openHouse(t, c.Params, other)
	h = openHouse(t, c.Params, dir, full.Host.Addrs()[0])
	h.reach(t, ctx, c, "a108")
	for lost := true; lost; {
		must(t, h.Runner.Do(func(n *node.Node, _ time.Time) error { lost = n.Lookup(c.Hash("a106")).Lost(); return nil }))
		must(t, ctx.Err())
		if lost {
			wait(t, ctx, h)
		}
	}
	must(t, getblock(h))
	h.close(t)
	full.close(t)
	h = openHouse(t, c.Params, dir) // looks once more
	h.close(t)
	codes, _ := verifyDir(t, c, dir)
	if !slices.Equal(codes, nil) {
		t.Errorf("found %v", codes)
	}
}

// wait lets the service go on for a tick.
func wait(t *testing.T, ctx context.Context, h *house) {
	t.Helper()
	select {
	case <-time.After(20 * time.Millisecond):
	case <-ctx.Done():
		t.Fatal(ctx.Err())
	}
}

// A directory that is suspect, and whose coins are wrong: they are made anew before
// anything is judged by them.
func TestSuspectWithWrongCoins(t *testing.T) {
	needReadOnly(t)
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	c := payments(t)
	dir := planted(t, c, "a105", map[string]func(*consensus.Delta){"a50": func(d *consensus.Delta) { d.Created = append(d.Created, d.Created[0]) }})
	logs, err := filepath.Glob(filepath.Join(dir, "chain", "*.vlog"))
	must(t, err)
	for _, path := range logs {
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		must(t, err)
		_, err = f.Write([]byte{0})
		must(t, err)
		must(t, f.Close())
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // for slow machines
	defer cancel()
	for range 2 { // it looks once more at the second start
		h := openHouse(t, c.Params, dir)
		must(t, h.Runner.Settle(ctx))
		h.reach(t, ctx, c, "a105")
		h.close(t)
	}
	if codes, _ := verifyDir(t, c, dir); len(codes) > 0 {
		t.Errorf("found %v", codes)
	}
}
