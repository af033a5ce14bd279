package host

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/p2p"
)

func logOf(l *testLog) *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func known(b *Book) []string {
	var addrs []string
	for _, k := range b.Known() {
		addrs = append(addrs, k.Addr)
	}
	slices.Sort(addrs)
	return addrs
}

// TestHeard: which of what peers state goes into the book, and under which address.
func TestHeard(t *testing.T) {
	b := OpenBook("", testGenesis, false, nil)
	from := p2p.Peer{Addr: "/ip4/11.1.2.3/tcp/50000", Inbound: true}
	b.Heard(time.Now(), from, []string{"/ip4/0.0.0.0/tcp/9420"}, true)
	b.Heard(time.Now(), from, []string{"/ip6/::/tcp/9420"}, false) // of whom?
	b.Heard(time.Now(), from, []string{
		"/ip4/12.0.0.1/tcp/9420", "/ip4/12.0.0.1/udp/9420/quic-v1", "/ip6/2600::7/tcp/9420/p2p/" + string(testPeer),
		"/dns4/example.com/tcp/9420", "/ip4/127.0.0.1/tcp/9420", "/ip4/192.168.0.1/tcp/9420", "12.0.0.2:9420", "", "/", "/ip4/12.0.0.3",
		"/ip4/12.0.0.4/tcp/0", strings.Repeat("/ip4/12.0.0.5", 100), "/ip4/12.0.0.6/tcp/9420/http/x",
	}, false)
	b.Heard(time.Now(), p2p.Peer{Addr: "nowhere"}, []string{"/ip4/12.0.0.9/tcp/9420"}, false)
	want := []string{"/ip4/11.1.2.3/tcp/9420", "/ip4/12.0.0.1/tcp/9420", "/ip6/2600::7/tcp/9420"}
	if got := known(b); !slices.Equal(got, want) && !slices.Equal(got, append(want[:2:2], "/ip4/12.0.0.6/tcp/9420", want[2])) {
		t.Errorf("the book holds %v, expected %v", got, want)
	}
	if sample := b.Sample(10); len(sample) == 0 || !slices.Contains(known(b), sample[0]) {
		t.Errorf("sample %v", sample)
	}
}

const testPeer p2p.PeerID = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"

func TestBookFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "deeper", "peers.json")
	var said testLog
	b := OpenBook(path, testGenesis, false, logOf(&said))
	from := p2p.Peer{Addr: "/ip4/11.1.2.3/tcp/50000"}
	b.Heard(time.Now(), from, []string{"/ip4/12.0.0.1/tcp/9420", "/ip4/13.0.0.1/tcp/9420"}, false)
	anchor, _ := textAddr("/ip4/14.0.0.1/tcp/9420")
	b.dialed(time.Now(), anchor, nil, true)
	b.save(nil)
	b.dialer.Anchors = append(b.dialer.Anchors, anchor) // not used yet: saved again
	b.save(nil)
	again := OpenBook(path, testGenesis, false, logOf(&said))
	if !slices.Equal(known(b), known(again)) || len(again.dialer.Anchors) != 1 || again.dialer.Anchors[0] != anchor {
		t.Errorf("saved %v, read %v with anchors %v", known(b), known(again), again.dialer.Anchors)
	}
	if said.String() != "" {
		t.Error(&said)
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("files left: %v", left)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, error %v", info.Mode(), err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"cut off": string(good[:len(good)/2]), "damaged": strings.Replace(string(good), "12.0.0.1", "12.0.0,1", 1),
		"empty": "", "long": strings.Repeat(" ", 5<<20),
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var said testLog
		bad := OpenBook(path, testGenesis, false, logOf(&said))
		if len(known(bad)) != 0 || len(bad.dialer.Anchors) != 0 || !strings.Contains(said.String(), "the address book cannot be used") {
			t.Errorf("%s: holds %v, said %q", name, known(bad), &said)
		}
		bad.Heard(time.Now(), from, []string{"/ip4/12.0.0.1/tcp/9420"}, false)
		bad.save(nil)
		if n := len(known(OpenBook(path, testGenesis, false, nil))); n != 1 {
			t.Errorf("%s: %d addresses after the next save", name, n)
		}
	}
	said = testLog{}
	if other := OpenBook(path, consensus.Hash{7}, false, logOf(&said)); len(known(other)) != 0 || !strings.Contains(said.String(), "of network") {
		t.Errorf("another network's book was read: %v, %s", known(other), &said)
	}
}

// TestBookThatCannotBeSaved: the old file stays, and it is said.
func TestBookThatCannotBeSaved(t *testing.T) {
	var said testLog
	dir := t.TempDir()
	path := filepath.Join(dir, "file", "peers.json")
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	OpenBook(path, testGenesis, false, logOf(&said)).save(nil)
	if !strings.Contains(said.String(), "cannot save the address book") {
		t.Errorf("said %q", &said)
	}
}

// TestOurselves: an address that turned out to be our own, or of another network, is
// dropped, and the first is not taken again.
func TestOurselves(t *testing.T) {
	b := OpenBook("", testGenesis, false, nil)
	from := p2p.Peer{Addr: "/ip4/11.1.2.3/tcp/50000"}
	ours, theirs := "/ip4/12.0.0.1/tcp/9420", "/ip4/13.0.0.1/tcp/9420"
	hear := func() { b.Heard(time.Now(), from, []string{ours, theirs}, false) }
	hear()
	addr, _ := textAddr(ours)
	b.dialed(time.Now(), addr, ErrSelf, false)
	addr, _ = textAddr(theirs)
	b.dialed(time.Now(), addr, ErrOtherNetwork, false)
	if len(known(b)) != 0 {
		t.Errorf("left: %v", known(b))
	}
	if hear(); !slices.Equal(known(b), []string{theirs}) {
		t.Errorf("told once more: %v", known(b))
	}
}

func TestBanFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bans.json")
	c := lean()
	c.BanFile = path
	a := start(t, c)
	soon, later := time.Now().Add(time.Second), time.Now().Add(time.Hour).Truncate(time.Second)
	for target, until := range map[string]time.Time{
		"11.2.3.4": later, "12.1.2.3/16": later, "::ffff:13.0.0.1": later, "2600:1::/32": later, string(testPeer): later, "14.0.0.1": soon,
	} {
		if err := a.Ban(target, until); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Ban("12.1.0.0/16", later); !errors.Is(err, ErrBanned) {
		t.Errorf("banned twice: %v", err)
	}
	if !a.Unban("13.0.0.1") || a.Unban("13.0.0.1") {
		t.Error("a ban was not taken back, or twice")
	}
	if err := a.stop(); err != nil {
		t.Fatal(err)
	}
	b, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	var targets []string
	for _, ban := range b.Bans() {
		if ban.Target != "14.0.0.1" { // which may have ended
			targets = append(targets, ban.Target)
			if !ban.Until.Equal(later) {
				t.Errorf("%s ends at %s, expected %s", ban.Target, ban.Until, later)
			}
		}
	}
	if want := []string{"11.2.3.4", "12.1.0.0/16", string(testPeer), "2600:1::/32"}; !slices.Equal(targets, want) {
		t.Errorf("bans %v, expected %v", targets, want)
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	var said testLog
	c.Logger = logOf(&said)
	d, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if len(d.Bans()) != 0 || !strings.Contains(said.String(), "the bans cannot be used") {
		t.Errorf("bans %v, said %q", d.Bans(), &said)
	}
}

func TestLoadPSK(t *testing.T) {
	path := filepath.Join(t.TempDir(), "net.key")
	good := "/key/swarm/psk/1.0.0/\n/base16/\n" + strings.Repeat("ab", 32) + "\n"
	for _, c := range []struct {
		text string
		ok   bool
	}{{good, true}, {strings.TrimSpace(good), true}, {good[:len(good)-8], false}, {"", false}, {strings.Repeat("ab", 32), false}, {good + strings.Repeat("x", 2000), false}} {
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if key, err := LoadPSK(path); (err == nil) != c.ok || c.ok && (len(key) != 32 || key[31] != 0xab) {
			t.Errorf("%q: key %x, error %v", c.text, key, err)
		}
	}
	if _, err := LoadPSK(path + "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

// TestSample: whoever asks again hears the same for a day, not the rest of the book. While
// the book is so small that all of it is told, what is new is told soon.
func TestSample(t *testing.T) {
	const n = 32
	b := OpenBook("", testGenesis, false, nil)
	hear := func(from, to int) {
		for i := range to - from {
			source := p2p.Peer{Addr: fmt.Sprintf("/ip4/11.%d.2.3/tcp/50000", i)}
			b.Heard(time.Now(), source, []string{fmt.Sprintf("/ip4/12.%d.0.1/tcp/9420", from+i)}, false)
		}
	}
	now := time.Now()
	if got := b.sample(now, n); len(got) != 0 {
		t.Errorf("an empty book tells %v", got)
	}
	hear(0, 1)
	if got := b.sample(now.Add(sampleSmall), n); len(got) != 1 {
		t.Errorf("a small book tells %v", got)
	}
	hear(1, 200)
	now = now.Add(2 * sampleSmall)
	first := b.sample(now, n)
	if len(first) != n {
		t.Fatalf("%d addresses, expected %d", len(first), n)
	}
	kept := slices.Clone(first)
	clear(first) // it is the caller's
	for _, later := range []time.Duration{0, time.Minute, sampleMin - time.Minute} {
		if got := b.sample(now.Add(later), n); !slices.Equal(got, kept) {
			t.Errorf("after %v another answer", later)
		}
	}
	for _, when := range []time.Time{now.Add(sampleMax), now.Add(-25 * time.Hour)} {
		if got := b.sample(when, n); len(got) != n || slices.Equal(got, kept) {
			t.Errorf("%v later, the answer is still the same", when.Sub(now))
		}
	}
}
