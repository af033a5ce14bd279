package rpc

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/frugal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The table of attack 19: what a stranger, or a page in a browser, is answered.
func TestStrangersAreRefused(t *testing.T) {
	type change func(*http.Request)
	header := func(name, value string) change { return func(r *http.Request) { r.Header.Set(name, value) } }
	host := func(name string) change { return func(r *http.Request) { r.Host = name } }
	call := `{"method":"getblockcount","id":1}`
	for _, test := range []struct {
		name   string
		body   string
		change change
		status int
	}{
		{"good", call, nil, 200},
		{"no login", call, func(r *http.Request) { r.Header.Del("Authorization") }, 401},
		{"wrong password", call, func(r *http.Request) { r.SetBasicAuth("user", "guess") }, 401},
		{"wrong user", call, func(r *http.Request) { r.SetBasicAuth("root", "secret") }, 401},
		{"empty login", call, func(r *http.Request) { r.SetBasicAuth("", "") }, 401},
		{"password with a colon moved", call, func(r *http.Request) { r.SetBasicAuth("user:secret", "") }, 401},
		{"broken base64", call, header("Authorization", "Basic !!!"), 401},
		{"bearer", call, header("Authorization", "Bearer secret"), 401},
		{"foreign host", call, host("evil.com"), 403},
		{"foreign host with a port", call, host("evil.com:19421"), 403},
		{"host that begins like ours", call, host("localhost.evil.com"), 403},
		{"no host", call, host(""), 403},
		{"host in upper case", call, host("LOCALHOST:19421"), 200},
		{"allowed host in another case", call, host("nOdE.eXaMpLe"), 200},
		{"address", call, host("127.0.0.1:19421"), 200},
		{"address of version 6", call, host("[::1]:19421"), 200},
		{"origin", call, header("Origin", "http://evil"), 403},
		{"origin null", call, header("Origin", "null"), 403},
		{"own origin", call, header("Origin", "http://localhost"), 403},
		{"form", call, header("Content-Type", "application/x-www-form-urlencoded"), 400},
		{"text", call, header("Content-Type", "text/plain"), 400},
		{"charset", call, header("Content-Type", "Application/JSON; charset=utf-8"), 200},
		{"no type", call, func(r *http.Request) { r.Header.Del("Content-Type") }, 200},
		{"get", call, func(r *http.Request) { r.Method = http.MethodGet }, 405},
		{"options", call, func(r *http.Request) { r.Method = http.MethodOptions }, 405},
		{"path", call, func(r *http.Request) { r.URL.Path = "/wallet/x" }, 404},
		{"path traversal", call, func(r *http.Request) { r.URL.Path = "/../../etc/passwd" }, 404},
		{"long body", `{"method":"help","params":["` + strings.Repeat("a", maxBody) + `"]}`, nil, 413},
		{"deep body", strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000), nil, 400},
		{"deep parameter", `{"method":"help","params":[` + strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40) + "]}", nil, 400},
		{"brackets in a string", `{"method":"help","params":["` + strings.Repeat("[", 100) + `"]}`, nil, 200},
		{"batch of a million", "[" + strings.Repeat("1,", 1_000_000) + "1]", nil, 400},
		{"empty body", "", nil, 400},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // so that the delay costs nothing
				s := newTestServer(t, &fake{chain: nil, t: t, main: true})
				s.dispatch = dispatchFunc(func(context.Context, string, json.RawMessage) (any, error) { return 1, nil })
				r := httptest.NewRequest(http.MethodPost, "http://localhost/", strings.NewReader(test.body))
				r.SetBasicAuth("user", "secret")
				r.Header.Set("Content-Type", "application/json")
				if test.change != nil {
					test.change(r)
				}
				begin, w := time.Now(), httptest.NewRecorder()
				s.ServeHTTP(w, r)
				if w.Code != test.status {
					t.Errorf("status %d, not %d: %s", w.Code, test.status, w.Body)
				}
				if waited := time.Since(begin); (waited >= failedLoginDelay) != (test.status == 401) {
					t.Errorf("answered after %v", waited)
				}
				for name := range w.Header() {
					if strings.HasPrefix(name, "Access-Control") {
						t.Errorf("a page is let in by %s", name)
					}
				}
			})
		})
	}
}

type dispatchFunc func(context.Context, string, json.RawMessage) (any, error)

func (f dispatchFunc) Call(ctx context.Context, method string, params json.RawMessage) (any, error) {
	return f(ctx, method, params)
}

// start runs a server on a port of its own until the test ends.
func start(t *testing.T, config Config, d Dispatcher) (url string, stop func()) {
	t.Helper()
	s, err := NewServer(config, d)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, listener) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
	t.Cleanup(stop)
	return "http://" + listener.Addr().String(), stop
}

func TestCookie(t *testing.T) {
	file := filepath.Join(t.TempDir(), ".cookie")
	f := newFake(t)
	url, stop := start(t, Config{CookieFile: file}, NewAPI(f, "0.1.0"))
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	text, err := os.ReadFile(file)
	if err != nil || !strings.HasPrefix(string(text), "__cookie__:") || len(text) != len("__cookie__:")+64 {
		t.Fatalf("%q, %v", text, err)
	}
	client := NewClient(Dial{URL: url, CookieFile: file})
	defer client.Close()
	if chain, err := client.Chain(t.Context()); err != nil || chain.Height != 110 || chain.Tip != f.chain.Hash("a110") {
		t.Errorf("%+v, %v", chain, err)
	}
	// A node that was started anew has another cookie: the client reads it again.
	url, stopSecond := start(t, Config{CookieFile: file}, NewAPI(f, "0.1.0"))
	client.dial.URL = url
	if _, err := client.Chain(t.Context()); err != nil {
		t.Error(err)
	}
	stop()
	if _, err := os.Stat(file); err != nil {
		t.Error("the first server removed the cookie of the second")
	}
	client.Close()
	stopSecond()
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Error("the cookie is still there")
	}
	if err := client.Call(t.Context(), "uptime", nil); !errors.Is(err, ErrNoServer) {
		t.Error(err)
	}
}

func TestClient(t *testing.T) {
	f := newFake(t)
	url, _ := start(t, Config{User: "user", Password: "secret"}, NewAPI(f, "0.1.0"))
	client := NewClient(Dial{URL: url, User: "user", Password: "secret"})
	defer client.Close()
	ctx := t.Context()
	var refused *Error
	if err := client.Call(ctx, "getblockhash", nil, 5000); !errors.As(err, &refused) || refused.Code != CodeInvalidParameter {
		t.Error(err)
	}
	bob, miner := renderAddress(f.chain.Params, f.chain.Key("bob")), renderAddress(f.chain.Params, f.chain.Key("miner"))
	if coins, err := client.AddressUTXOs(ctx, []string{bob, miner}); err != nil || len(coins) != 1+109+1 || coins[0].Value != 30e8 || coins[0].SpentIn == nil {
		t.Errorf("%d coins, %v", len(coins), err)
	}
	if events, err := client.AddressHistory(ctx, []string{bob, miner}); err != nil || len(events) != 1+110+2 {
		t.Errorf("%d events, %v", len(events), err)
	}
	if deltas, err := client.AddressMempool(ctx, []string{bob}); err != nil || len(deltas) != 2 || deltas[0].Value != -30e8 || deltas[1].Value != 28e8 {
		t.Errorf("%+v, %v", deltas, err)
	}
	pay := f.chain.Block("a105").Txs[1].TxID()
	details, err := client.Transactions(ctx, []consensus.Hash{pay, {1}, f.pool[0].TxID})
	if err != nil || details[0].TxID != pay || int64(*details[0].Fee) != 1000 || !details[1].TxID.IsZero() || details[2].Time != 1700000000 {
		t.Errorf("%+v, %v", details, err)
	}
	if rate, err := client.FeeRate(ctx, 2); err != nil || rate != 1000 {
		t.Error(rate, err)
	}
	if hash, height, err := client.WaitHeight(ctx, 110, time.Second); err != nil || height != 110 || hash != f.chain.Hash("a110") {
		t.Error(hash, height, err)
	}
	template, id, err := client.BlockTemplate(ctx, "")
	if err != nil || template.Height != 111 || len(template.Txs) != 2 || id == "" || template.Bits != f.NextBits() {
		t.Errorf("%+v, %v", template, err)
	}
	if txid, err := client.Send(ctx, f.pool[0].Tx); err != nil || txid != f.pool[0].TxID || len(f.sent) != 1 {
		t.Error(txid, err)
	}
	block := f.chain.Mine("a110", "a111")
	if reason, err := client.SubmitBlock(ctx, block); err != nil || reason != "" {
		t.Error(reason, err)
	}
	if reason, err := client.SubmitBlock(ctx, block); err != nil || reason != "duplicate" {
		t.Error(reason, err)
	}
	stranger := NewClient(Dial{URL: url, User: "user", Password: "guess"})
	defer stranger.Close()
	if err := stranger.Call(ctx, "uptime", nil); !errors.Is(err, ErrNotAllowed) {
		t.Error(err)
	}
}

// What Core answers to payments that it refuses.
func TestRefusedPayments(t *testing.T) {
	for code, want := range map[consensus.Code]int{
		"missing-inputs": CodeVerify, "txn-already-known": CodeAlreadyInChain, "dust": CodeVerifyRejected,
		consensus.ErrSig: CodeVerifyRejected, "txn-already-in-mempool": 0,
	} {
		f := newFake(t)
		f.refuse = fmt.Errorf("wrapped: %w", &consensus.RuleError{Code: code, Kind: consensus.Policy})
		raw, err := json.Marshal([]string{hexOf(f.pool[0].Tx.Bytes())})
		if err != nil {
			t.Fatal(err)
		}
		_, err = NewAPI(f, "").Call(t.Context(), "sendrawtransaction", raw)
		if err == nil && want == 0 {
			continue
		}
		if got := errorCode(err); got != want {
			t.Errorf("%s is answered with %d, not %d", code, got, want)
		}
	}
}

// A coinbase without its witness gets the reserved value; what is broken stays so.
func TestSubmitBlock(t *testing.T) {
	f := newFake(t)
	api := NewAPI(f, "")
	submit := func(b *consensus.Block) any {
		raw, err := json.Marshal([]string{hexOf(b.Bytes())})
		if err != nil {
			t.Fatal(err)
		}
		answer, err := api.Call(t.Context(), "submitblock", raw)
		if err != nil {
			t.Error(err)
		}
		return answer
	}
	block := f.chain.Mine("a110", "a111")
	block.Txs[0].Inputs[0].Witness = nil
	if got := submit(block); got != nil {
		t.Errorf("without a witness: %v", got)
	}
	if got := submit(f.chain.Block("b3")); got != consensus.ErrDuplicate || f.duplicates != 1 {
		t.Errorf("again: %v; the node, which alone knows whether it is on disk, was asked %d times", got, f.duplicates)
	}
	if got := submit(f.chain.Mine("b3", "b4")); got != "inconclusive" {
		t.Errorf("on a branch: %v", got)
	}
	f.chain.Mine("b4", "b5")
	if got := submit(f.chain.Mine("b5", "b6")); got != consensus.ErrPrevNotFound {
		t.Errorf("without a parent: %v", got)
	}
	f.refuse = &consensus.RuleError{Code: consensus.ErrCoinbaseAmount, Kind: consensus.Invalid}
	if got := submit(f.chain.Mine("a111", "a112")); got != consensus.ErrCoinbaseAmount {
		t.Errorf("invalid: %v", got)
	}
}

// What Core makes of the parameters of verifychain.
func TestVerifyChainParameters(t *testing.T) {
	f := newFake(t)
	api := NewAPI(f, "")
	for params, want := range map[string][2]int{
		"[]": {3, 6}, "[4]": {4, 6}, "[0,0]": {0, 0}, "[5,7]": {4, 7}, "[-1,-1]": {0, 0}, "[1,99999999999]": {1, 1<<32 - 1}, `{"nblocks":2}`: {3, 2},
	} {
		answer, err := api.Call(t.Context(), "verifychain", json.RawMessage(params))
		if got := f.verified[len(f.verified)-1]; err != nil || answer != true || got != want {
			t.Errorf("%s: level and depth %v, want %v (%v, %v)", params, got, want, answer, err)
		}
	}
	if answer, ours := asError(ErrVerifying); ours || answer.Code != CodeMisc {
		t.Errorf("a second call is told %v, as a fault of ours: %v", answer, ours)
	}
}

// A long poll ends with a new tip at once, and with a changed mempool in time.
func TestLongPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		api := NewAPI(f, "")
		poll := func(sequence string) (time.Duration, error) {
			begin := time.Now()
			raw := json.RawMessage(`[{"longpollid":"` + f.chain.Hash("a110").String() + sequence + `"}]`)
			_, err := api.Call(t.Context(), "getblocktemplate", raw)
			return time.Since(begin), err
		}
		if waited, err := poll("6"); err != nil || waited != longPollQuiet {
			t.Errorf("the mempool has changed: answered after %v, %v", waited, err)
		}
		timer := time.AfterFunc(5*time.Second, func() { close(f.woken) })
		defer timer.Stop()
		if waited, err := poll("7"); err != nil || waited != 5*time.Second {
			t.Errorf("a new tip: answered after %v, %v", waited, err)
		}
	})
}

// A fault of our own is no fault of the caller's, and never "not found".
func TestOurFault(t *testing.T) {
	f := newFake(t)
	f.disk = errors.New("input/output error")
	for _, call := range []string{
		`{"method":"getblock","params":["$a1$"]}`, `{"method":"gettxout","params":["$coinbase$",0]}`, `{"method":"getrawtransaction","params":["$pay$"]}`,
	} {
		var r reply
		w := post(newTestServer(t, f), f.names().Replace(call))
		if err := json.Unmarshal(w.Body.Bytes(), &r); err != nil || r.Error == nil || r.Error.Code != CodeInternal {
			t.Errorf("%s: %s", call, w.Body)
		}
	}
}

func TestRefusedOnMain(t *testing.T) {
	f := newFake(t)
	f.main = true
	api := NewAPI(f, "")
	key := renderAddress(f.Params(), [32]byte{1})
	for call, want := range map[string]int{
		"generatetoaddress [1,\"" + key + "\"]": CodeMisc, "setmocktime [1]": CodeMisc, "getblocktemplate []": CodeNotConnected,
	} {
		name, params, _ := strings.Cut(call, " ")
		if _, err := api.Call(t.Context(), name, json.RawMessage(params)); errorCode(err) != want {
			t.Errorf("%s: %v", call, err)
		}
	}
}

// A header that never ends is cut off, and a flood of connections waits outside.
func TestSlowHeaders(t *testing.T) {
	url, stop := start(t, Config{User: "u", Password: "p"}, NewAPI(newFake(t), ""))
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: localhost\r\nX: "+strings.Repeat("a", 3*maxHeader)+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil || !strings.Contains(line, "431") {
		t.Errorf("%q, %v", line, err)
	}
	conn.Close()
	stop()
}

func TestConnectionsAreBounded(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := limitListener(inner, 1)
	for range 2 {
		dialed, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer dialed.Close()
	}
	first, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan error, 1)
	go func() {
		second, err := l.Accept()
		if err == nil {
			err = second.Close()
		}
		accepted <- err
	}()
	select {
	case <-accepted:
		t.Error("a second connection is let in beside the first")
	default:
	}
	if err := errors.Join(first.Close(), first.Close()); err == nil {
		t.Error("closing twice goes unnoticed")
	}
	if err := <-accepted; err != nil {
		t.Error(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

// Whatever a body holds, the answer is JSON with both fields, and no fault is
// ours.
func FuzzRequest(f *testing.F) {
	f.Fuzz(func(t *testing.T, body string) {
		node := &fake{t: t, chain: nil, tree: consensus.NewTree(consensus.Regtest()), main: true}
		s := newTestServer(t, node)
		s.dispatch = dispatchFunc(func(ctx context.Context, method string, params json.RawMessage) (any, error) {
			m := apiOf(node).methods[method]
			if m == nil {
				return nil, fail(CodeNoMethod, "Method not found")
			}
			return m.bind(apiOf(node), params)
		})
		var status int
		var answer []byte
		frugal.Call(t, "handle", len(body), func() { status, answer = s.handle(t.Context(), []byte(body)) })
		if len(answer) == 0 && status == http.StatusNoContent {
			return
		}
		var replies []map[string]json.RawMessage
		if len(answer) > 0 && answer[0] == '{' {
			answer = append(append([]byte{'['}, answer...), ']')
		}
		if err := json.Unmarshal(answer, &replies); err != nil {
			t.Fatalf("%q: %v", answer, err)
		}
		for _, r := range replies {
			if r["result"] == nil || r["error"] == nil || r["id"] == nil || strings.Contains(string(r["error"]), "-32603") {
				t.Errorf("%s", answer)
			}
		}
	})
}

func apiOf(f *fake) *API { return NewAPI(f, "0.1.0") }
