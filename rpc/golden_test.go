package rpc

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kapok-chain/kapok/consensus"
)

var update = flag.Bool("update", false, "write testdata and docs/rpc.md anew")

// names are what the requests in testdata write between $…$.
func (f *fake) names() *strings.Replacer {
	c := f.chain
	pay := c.Block("a105").Txs[1]
	text := func(v any) string { b, _ := json.Marshal(v); return strings.Trim(string(b), `"`) }
	pairs := []string{"$pay$", text(pay.TxID()), "$first$", text(f.pool[0].TxID), "$second$", text(f.pool[1].TxID),
		"$rawfirst$", hexOf(f.pool[0].Tx.Bytes()), "$coinbase$", text(c.Block("a2").Txs[0].TxID())}
	for _, name := range []string{"a1", "a2", "a105", "a109", "a110", "b2", "b3", "genesis"} {
		pairs = append(pairs, "$"+name+"$", text(c.Hash(name)), "$raw_"+name+"$", hexOf(c.Block(name).Bytes()))
	}
	for _, name := range []string{"bob", "carol", "miner", "nobody"} {
		pairs = append(pairs, "$"+name+"$", renderAddress(c.Params, c.Key(name)))
	}
	return strings.NewReplacer(pairs...)
}

func hexOf(b []byte) string {
	var out strings.Builder
	const digits = "0123456789abcdef"
	for _, c := range b {
		out.WriteByte(digits[c>>4])
		out.WriteByte(digits[c&15])
	}
	return out.String()
}

func newTestServer(t *testing.T, f *fake) *Server {
	t.Helper()
	s, err := NewServer(Config{User: "user", Password: "secret", Hosts: []string{"Node.Example"}}, NewAPI(f, "0.1.0"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func post(s *Server, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "http://localhost/", strings.NewReader(body))
	r.SetBasicAuth("user", "secret")
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

// Each file in testdata holds requests, one a line after "> ", each followed by
// the HTTP status and the answer. Names between dollars stand for hashes.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no testdata: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			f := newFake(t)
			s, names := newTestServer(t, f), f.names()
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var got strings.Builder
			for line := range strings.Lines(string(want)) {
				if strings.HasPrefix(line, "#") || line == "\n" && got.Len() == 0 {
					got.WriteString(line)
				}
				if !strings.HasPrefix(line, "> ") {
					continue
				}
				w := post(s, names.Replace(strings.TrimSpace(line[2:])))
				got.WriteString(line + http.StatusText(w.Code) + "\n" + indent(w.Body.Bytes()) + "\n")
			}
			if *update {
				if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got.String() != string(want) {
				t.Errorf("%s differs (run with -update and look at the diff); got:\n%s", file, got.String())
			}
		})
	}
}

func indent(answer []byte) string {
	var b bytes.Buffer
	if len(answer) == 0 || json.Indent(&b, bytes.TrimSpace(answer), "", " ") != nil {
		return string(answer)
	}
	return b.String() + "\n"
}

func TestReferenceIsCurrent(t *testing.T) {
	const file = "../docs/rpc.md"
	if *update {
		if err := os.WriteFile(file, []byte(Reference()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil || string(got) != Reference() {
		t.Errorf("%s is not what the method table says (go test ./rpc -run Reference -update): %v", file, err)
	}
}

// Every method is called with no parameters, and with null for each: none of
// them may panic or blame the node.
func TestEveryMethodBears(t *testing.T) {
	f := newFake(t)
	f.woken = nil
	api := NewAPI(f, "0.1.0")
	for _, m := range api.order {
		if strings.HasPrefix(m.name, "wait") {
			continue
		}
		for _, params := range []string{"", "[]", "null", "{}", "[" + strings.TrimSuffix(strings.Repeat("null,", len(m.params)), ",") + "]"} {
			_, err := api.Call(t.Context(), m.name, json.RawMessage(params))
			if err == nil {
				continue
			}
			if e, ours := asError(err); ours {
				t.Errorf("%s %s: %v", m.name, params, e)
			}
		}
		if m.about == "" || m.result == "" || m.group == "" {
			t.Errorf("%s is not described", m.name)
		}
	}
}

func TestAmountsAreExact(t *testing.T) {
	for text, want := range map[string]Amount{
		"0": 0, "1": 1e8, "0.00000001": 1, "-0.5": -5e7, "1e-8": 1, "1E2": 1e10, "20999999.99999999": 2099999999999999, "0.10": 1e7, "100e-2": 1e8,
	} {
		got, err := ParseAmount(text)
		if err != nil || got != want {
			t.Errorf("%s: %d, %v, not %d", text, got, err, want)
		}
		var back Amount
		raw, err := json.Marshal(want)
		if err != nil || json.Unmarshal(raw, &back) != nil || back != want {
			t.Errorf("%d is written as %s and read as %d", want, raw, back)
		}
	}
	for _, text := range []string{"", "-", ".", "1.", ".5", "0.000000001", "1e-9", "nan", "1e99", "99999999999999999999", "0x1", "1 ", "+1", "--1", "1e+"} {
		if got, err := ParseAmount(text); err == nil {
			t.Errorf("%q is taken for %d", text, got)
		}
	}
}

// Core's doc/descriptors.md and BIP380 give these.
func TestDescriptorChecksum(t *testing.T) {
	if got := descriptorChecksum("raw(deadbeef)"); got != "89f8spxm" {
		t.Errorf("raw(deadbeef) has the checksum %s", got)
	}
	key := [32]byte{1}
	p := consensus.Regtest()
	if got, err := parseDescriptor(p, addChecksum("addr("+renderAddress(p, key)+")")); err != nil || got != key {
		t.Error(err)
	}
	if _, err := parseDescriptor(p, "raw(deadbeef)#89f8spxn"); err == nil {
		t.Error("a wrong checksum is taken")
	}
}
