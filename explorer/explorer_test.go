package explorer

import (
	"bufio"
	"errors"
	"flag"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/kapok-chain/kapok/address"
	"github.com/kapok-chain/kapok/consensus"
)

// serve lets a person look at the pages: go test ./explorer -run Look -serve :8080
var serve = flag.String("serve", "", "address to serve the fake chain's pages at, until killed")

func TestLook(t *testing.T) {
	if *serve == "" {
		t.Skip("for people: -serve ADDRESS")
	}
	f := newFake(t)
	t.Log(f.pay.TxID(), f.pool[0].TxID)
	if err := os.WriteFile(os.TempDir()+"/kapok-look.txt", []byte(f.pay.TxID().String()+" "+f.pool[0].TxID.String()+" "+address.Encode("kpkrt", f.chain.Key("miner"))), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Fatal(http.ListenAndServe(*serve, newSite(t, f)))
}

func newSite(t *testing.T, f *fake) *Site {
	t.Helper()
	s, err := New(f, "0.1.0", nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func get(s *Site, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w
}

// Each page answers with its status and says what it is for.
func TestPages(t *testing.T) {
	f := newFake(t)
	s, c := newSite(t, f), f.chain
	bob, miner := address.Encode("kpkrt", c.Key("bob")), address.Encode("kpkrt", c.Key("miner"))
	unknown := strings.Repeat("ab", 32)
	for _, test := range []struct {
		path   string
		status int
		says   []string
	}{
		{"/", 200, []string{"Latest blocks", "110", "next", `href="/block/` + c.Hash("a110").String(), "http-equiv=\"refresh\""}},
		{"/strip", 200, []string{`class="strip"`}},
		{"/block/110", 200, []string{"1 confirmation<", "50<i>.00000000</i>", miner}},
		{"/block/" + c.Hash("a105").String(), 200, []string{"62 transactions", "1 to 50", "?page=2", "of which fees"}},
		{"/block/105?page=2", 200, []string{"51 to 62", "?page=1"}},
		{"/block/105?page=99", 200, []string{"51 to 62"}},
		{"/block/" + c.Hash("b2").String(), 200, []string{"not in the best chain"}},
		{"/block/0", 200, []string{"Block 0"}},
		{"/block/111", 404, []string{"no block at height 111 yet"}},
		{"/block/" + unknown, 404, []string{"No block here has this hash"}},
		{"/block/xyz", 400, []string{"This is no block"}},
		{"/tx/" + f.pay.TxID().String(), 200, []string{"6 confirmations", "3 inputs", "4 outputs", "<svg", "&lt;script&gt;", "42.12345678", "being spent", `href="/tx/` + f.pool[0].TxID.String()}},
		{"/tx/" + f.pool[0].TxID.String(), 200, []string{"waiting", "unspent", "0.12345678"}},
		{"/tx/" + c.Block("a110").Txs[0].TxID().String(), 200, []string{"New coins", "after 99 more blocks"}},
		{"/tx/" + unknown, 404, []string{"No transaction here has this id"}},
		{"/tx/1", 400, []string{"64 hex digits"}},
		{"/address/" + bob, 200, []string{"Balance", "History"}},
		{"/address/" + miner, 200, []string{"mined", "after=50.0.true.0"}},
		{"/address/" + miner + "?after=50.0.true.0", 200, []string{">51<", "from the beginning"}},
		{"/address/" + miner + "?after=x", 400, []string{"damaged"}},
		{"/address/" + address.Encode("kpkrt", c.Key("nobody")), 200, []string{"Nothing has come to this address yet"}},
		{"/address/kpk1zzz", 400, []string{"no address of this network"}},
		{"/mempool", 200, []string{"Mempool", f.pool[0].TxID.String()}},
		{"/peers", 200, []string{"198.51.100.7", "&lt;b&gt;evil", "1.5 ms"}},
		{"/nothing", 404, []string{"There is no such page"}},
		{"/style.css", 200, []string{"prefers-color-scheme"}},
		{"/live.js", 200, []string{"EventSource"}},
		{"/icon.svg", 200, []string{"<svg"}},
		{"/search?q=%20110%20", 303, []string{"/block/110"}},
		{"/search?q=" + c.Hash("a3").String(), 303, []string{"/block/" + c.Hash("a3").String()}},
		{"/search?q=" + unknown, 303, []string{"/tx/" + unknown}},
		{"/search?q=" + strings.ToUpper(bob), 303, []string{"/address/" + bob}},
		{"/search?q=", 303, nil},
		{"/search?q=" + url.QueryEscape(`"><script>`), 404, []string{"Nothing is named like this", "&#34;&gt;&lt;script&gt;"}},
	} {
		w := get(s, test.path)
		body := w.Body.String()
		if w.Code != test.status {
			t.Errorf("%s: status %d, not %d", test.path, w.Code, test.status)
		}
		for _, text := range test.says {
			if !strings.Contains(body, text) {
				t.Errorf("%s does not say %q:\n%s", test.path, text, body)
			}
		}
		if strings.Contains(body, "<script>") || strings.Contains(body, "<b>evil") || strings.Contains(body, "ZgotmplZ") || strings.Contains(body, "http://") && !strings.Contains(test.path, ".svg") {
			t.Errorf("%s lets something through that it should not", test.path)
		}
		if !strings.HasPrefix(w.Header().Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s has no policy", test.path)
		}
	}
}

func TestNothingCanBeChanged(t *testing.T) {
	s := newSite(t, newFake(t))
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete} {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(method, "/", nil))
		if w.Code != http.StatusMethodNotAllowed {
			t.Errorf("%s is answered with %d", method, w.Code)
		}
	}
}

// Without an index blocks can be seen, and the rest says why not.
func TestNoIndex(t *testing.T) {
	f := newFake(t)
	f.index = false
	s := newSite(t, f)
	if w := get(s, "/block/105"); w.Code != 200 {
		t.Errorf("block: %d", w.Code)
	}
	for _, path := range []string{"/tx/" + f.pay.TxID().String(), "/address/" + address.Encode("kpkrt", f.chain.Key("bob"))} {
		if w := get(s, path); w.Code != 404 || !strings.Contains(w.Body.String(), "keeps no index") {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

// A failing disk never looks like something that does not exist.
func TestOurFault(t *testing.T) {
	f := newFake(t)
	f.disk = errors.New("input/output error")
	if w := get(newSite(t, f), "/block/105"); w.Code != 500 || strings.Contains(w.Body.String(), "input/output") {
		t.Errorf("status %d:\n%s", w.Code, w.Body)
	}
}

func TestEmptyChain(t *testing.T) {
	f := newFake(t)
	f.tree = consensus.NewTree(f.chain.Params)
	f.pool, f.peers = nil, nil
	s := newSite(t, f)
	for path, says := range map[string]string{"/": "genesis", "/mempool": "Nothing waits", "/peers": "Nobody is connected", "/block/0": "Block 0"} {
		if w := get(s, path); w.Code != 200 || !strings.Contains(w.Body.String(), says) {
			t.Errorf("%s: %d:\n%s", path, w.Code, w.Body)
		}
	}
}

func TestEventsTellOfTips(t *testing.T) {
	f := newFake(t)
	server := httptest.NewServer(newSite(t, f))
	defer server.Close()
	response, err := http.Get(server.URL + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	for range 2 {
		if !lines.Scan() || lines.Text() != "event: tip" || !lines.Scan() || lines.Text() != "data: 110" || !lines.Scan() {
			t.Fatalf("%q, %v", lines.Text(), lines.Err())
		}
		f.tips <- struct{}{}
	}
	close(f.tips) // the node ends, and the stream with it
	for lines.Scan() {
	}
}

func TestStreamsAreBounded(t *testing.T) {
	s := newSite(t, newFake(t))
	for range maxStreams {
		s.streams <- struct{}{}
	}
	if w := get(s, "/events"); w.Code != http.StatusServiceUnavailable {
		t.Errorf("status %d", w.Code)
	}
}

func TestFlowKeepsValue(t *testing.T) {
	if drawFlow(nil, []side{{5, "out", ""}}) != nil || drawFlow([]side{{0, "in", ""}}, nil) != nil {
		t.Error("a flow of nothing is drawn")
	}
	many := make([]side, 40)
	for i := range many {
		many[i] = side{value: int64(i + 1), class: "in"}
	}
	f := drawFlow(many, many[:1])
	if got := len(f.Ribbons); got != maxRibbons+2 {
		t.Errorf("%d ribbons", got)
	}
}
