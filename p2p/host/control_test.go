package host

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/p2p"
	"github.com/kapok-chain/kapok/p2p/peers"
)

func TestKeepAndForget(t *testing.T) {
	a, b := start(t, lean()), start(t, lean())
	addr := b.ShortAddrs()[0]
	if err := a.Keep(addr); err != nil {
		t.Fatal(err)
	}
	if err := a.Keep(addr); err == nil {
		t.Error("an address was kept twice")
	}
	if err := a.Keep("nonsense"); err == nil {
		t.Error("nonsense was kept")
	}
	a.waitFor(t, "connected", b.ID(), 1)
	b.Disconnect(a.ID())
	a.waitFor(t, "connected", b.ID(), 2)
	if kept := a.Kept(); len(kept) != 1 || kept[0] != addr {
		t.Errorf("kept %v", kept)
	}
	if !a.Forget(addr) || a.Forget(addr) || len(a.Kept()) != 0 {
		t.Error("an address was not forgotten, or twice")
	}
	if a.session(b.ID()) == nil {
		t.Error("Forget ended the connection")
	}
}

// TestKeepForeignPeer: a wrong address given to a running node does not stop
// it, even one that is strict about its configuration.
func TestKeepForeignPeer(t *testing.T) {
	c := lean()
	c.GenesisHash = consensus.Hash{9}
	foreign := start(t, c)
	strict := lean()
	strict.StrictPeers = true
	a := start(t, strict)
	if err := a.Keep(foreign.ShortAddrs()[0]); err != nil {
		t.Fatal(err)
	}
	a.wait(t, "the reason in the log", func([]event) bool {
		return strings.Contains(a.log.String(), "another network")
	})
	b := start(t, lean())
	b.connect(t, a)
}

func TestBans(t *testing.T) {
	a, b := start(t, lean()), start(t, lean())
	soon := time.Now().Add(time.Hour)
	for i, ban := range []string{string(a.ID()), "127.0.0.1", "127.0.0.0/8"} {
		a.connect(t, b)
		b.waitFor(t, "connected", a.ID(), i+1)
		if err := b.Ban(ban, soon); err != nil {
			t.Fatal(err)
		}
		b.waitFor(t, "disconnected", a.ID(), i+1)
		a.waitFor(t, "disconnected", b.ID(), i+1)
		if err := a.Connect(within(t), b.Addrs()[0]); err == nil {
			t.Errorf("%s: got in", ban)
		}
		if bans := b.Bans(); len(bans) != 1 || bans[0].Target != ban {
			t.Errorf("bans %v", bans)
		}
		if !b.Unban(ban) || b.Unban(ban) {
			t.Errorf("%s was not taken back, or twice", ban)
		}
	}
	if err := b.Ban("nobody", soon); err == nil {
		t.Error("nobody was banned")
	}
	if err := b.Ban("127.0.0.1", time.Now()); err != nil {
		t.Fatal(err)
	}
	if bans := b.Bans(); len(bans) != 0 {
		t.Errorf("a ban that is over: %v", bans)
	}
}

func TestSetActive(t *testing.T) {
	a, b := start(t, lean()), start(t, lean())
	a.connect(t, b)
	b.waitFor(t, "connected", a.ID(), 1)
	b.SetActive(false)
	a.waitFor(t, "disconnected", b.ID(), 1)
	b.waitFor(t, "disconnected", a.ID(), 1)
	if err := a.Connect(within(t), b.Addrs()[0]); err == nil || b.Active() {
		t.Error("an inactive host let a peer in")
	}
	b.SetActive(true)
	a.connect(t, b)
	b.waitFor(t, "connected", a.ID(), 2)
	a.Send(p2p.Outgoing{To: b.ID(), Msg: &p2p.Ping{}})
	b.waitFor(t, "message", a.ID(), 1)
	info := b.Conn(a.ID())
	if info.Transport != "tcp" || info.Number != 2 || info.In == 0 || info.LastIn.IsZero() {
		t.Errorf("connection %+v", info)
	}
	if in, out := b.Totals(); in < info.In || out < info.Out {
		t.Errorf("totals %d in, %d out, less than one connection's", in, out)
	}
	if b.Conn("nobody") != (ConnInfo{}) {
		t.Error("a connection with nobody")
	}
}

// TestKeepBeforeRun: an address that is given before the node runs is dialed when it does.
func TestKeepBeforeRun(t *testing.T) {
	port, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer port.Close()
	h, err := New(lean())
	if err != nil {
		t.Fatal(err)
	}
	b := start(t, lean())
	for _, addr := range []string{port.Addr().String(), b.ShortAddrs()[0]} {
		if err := h.Keep(addr); err != nil {
			t.Fatal(err)
		}
	}
	if err := port.SetDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if conn, err := port.Accept(); err == nil {
		conn.Close()
		t.Error("dialed before there is a node to tell of it")
	}
	r := newRecorder()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx, r) }()
	r.waitFor(t, "connected", b.ID(), 1)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestBannedMeanwhile: a peer that is banned while its stream is being opened does not
// get in.
func TestBannedMeanwhile(t *testing.T) {
	a := start(t, lean())
	stream := newStuck(t)
	close(stream.release)
	s := a.newSession(stream, peers.Inbound)
	if err := a.Ban(string(s.peer.ID), time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if verdict := a.admit(s); verdict != answerBusy {
		t.Errorf("answer %d, expected %d", verdict, answerBusy)
	}
	if a.session(s.peer.ID) != nil {
		t.Error("there is a session with a banned peer")
	}
}

// TestBanSpelling: a subnet is known in each of its forms.
func TestBanSpelling(t *testing.T) {
	for _, c := range []struct{ target, want, addr string }{
		{"::ffff:11.2.3.4", "11.2.3.4", "/ip4/11.2.3.4/tcp/1"},
		{"::ffff:11.2.3.4/112", "11.2.0.0/16", "/ip4/11.2.99.4/tcp/1"},
		{"::ffff:11.2.3.4/128", "11.2.3.4/32", "/ip4/11.2.3.4/tcp/1"},
		{"11.2.3.4/16", "11.2.0.0/16", "/ip6/::ffff:11.2.99.4/tcp/1"},
		{"2600:1::7/32", "2600:1::/32", "/ip6/2600:1:5::1/tcp/1"},
	} {
		b, err := newBan(Ban{Target: c.target})
		if err != nil || b.Target != c.want || !b.means("", ma.StringCast(c.addr)) {
			t.Errorf("%s is understood as %s (%v), expected %s, which means %s", c.target, b.Target, err, c.want, c.addr)
		}
	}
}
