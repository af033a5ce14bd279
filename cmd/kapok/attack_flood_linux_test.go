package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Attack 4 runs in a network of its own, since the limits on addresses and net groups
// count public addresses only: TestAttacks runs itself there.

// apartEnv is set in the process that has a network of its own.
const apartEnv = "KAPOK_ATTACK_APART"

// apart runs one attack in a child with a network namespace.
func apart(t *testing.T) {
	cmd := exec.Command(os.Args[0], "-test.v", "-test.run", "^TestAttacks$/^"+regexp.QuoteMeta(t.Name()[strings.IndexByte(t.Name(), '/')+1:])+"$")
	cmd.Env = append(os.Environ(), apartEnv+"=1")
	attr := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if uid := os.Getuid(); uid != 0 {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{HostID: uid, Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	cmd.SysProcAttr = attr
	out, err := cmd.CombinedOutput()
	switch {
	case len(out) == 0 && err != nil:
		t.Skipf("no network namespace here: %v", err)
	case strings.Contains(string(out), noNetwork):
		t.Skip(noNetwork)
	case err != nil:
		t.Fatalf("%s", out)
	}
	lines := bufio.NewScanner(strings.NewReader(string(out)))
	for lines.Scan() {
		if _, line, ok := strings.Cut(lines.Text(), "attack 4, "); ok {
			t.Logf("attack 4, %s", line)
		}
	}
}

const noNetwork = "no network can be set up here"

// publicNet gives the process public addresses of its own, 11.0.0.0/8, and says which
// the nodes have.
func publicNet(t *testing.T) func(i int) string {
	for _, args := range []string{"link set lo up", "route add local 11.0.0.0/8 dev lo"} {
		if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
			t.Skipf("%s: ip %s: %v: %s", noNetwork, args, err, out)
		}
	}
	return func(i int) string { return fmt.Sprintf("11.%d.0.1", 2+i) }
}

// dialsPerSecond is how many connections the flood tries.
const dialsPerSecond = 200

// connectionFlood is attack 4: connections from one /24 and from 200 net groups, of which
// most say nothing and some begin a handshake.
func connectionFlood(a *assault) {
	to := netip.MustParseAddrPort(a.net.shortAddr())
	room := make(chan struct{}, 100) // dials at once
	var held sync.WaitGroup
	flood(a.ctx, dialsPerSecond, func(i int) error {
		from := [4]byte{11, 7, 7, byte(1 + i%250)}
		if i%2 == 0 {
			from = [4]byte{11, byte(20 + i/2%200), byte(i / 400 % 250), byte(1 + i/100_000)}
		}
		select {
		case room <- struct{}{}:
		default:
			return nil // the victim's backlog is full
		}
		a.rounds.Add(1)
		held.Go(func() {
			dialer := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.AddrFrom4(from), 0)), Timeout: 5 * time.Second}
			conn, err := dialer.DialContext(a.ctx, "tcp", to.String())
			<-room
			if err != nil {
				return
			}
			defer conn.Close()
			defer context.AfterFunc(a.ctx, func() { conn.Close() })()
			if i%4 == 0 {
				_, err = conn.Write([]byte("\x13/multistream/1.0.0\n\x07/noise\n"))
			}
			for b := make([]byte, 256); err == nil; {
				_, err = conn.Read(b)
			}
		})
		return nil
	})
	held.Wait()
}

// shortAddr is the victim's host:port.
func (n *attackNet) shortAddr() string {
	parts := strings.Split(n.victim.ready.Addresses[0], "/") // "", ip4, host, tcp, port
	return net.JoinHostPort(parts[2], parts[4])
}

// Limits on connections, as p2p/host has them.
const (
	mostConnections = 128 + 1024
	entryLimit      = 30 * time.Second
)

// newcomer checks, while the flood goes on, that an honest peer gets in, and that the
// victim keeps to its limits.
func newcomer(a *assault) {
	before, err := a.net.victim.files()
	a.net.ok(err)
	most := before
	began := time.Now()
	s := a.net.start(honestNodes)
	a.net.ok(s.Host.Keep(a.net.victim.ready.Addresses[0]))
	err = a.net.eventually(entryLimit, func() error {
		open, err := a.net.victim.files()
		most = max(most, open)
		if err == nil && s.Host.Conn(a.net.victimID()).Number == 0 {
			err = fmt.Errorf("an honest peer did not get in within %v", entryLimit)
		}
		return err
	})
	if err != nil {
		a.Error(err)
	}
	if most > a.before.files+mostConnections {
		a.Errorf("%d files are open, %d before", most, a.before.files)
	}
	a.notef("%d connections tried, %d held; an honest peer got in after %.2f s", a.rounds.Load(), most-a.before.files, time.Since(began).Seconds())
	a.net.ok(s.Close())
}
