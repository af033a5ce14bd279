//go:build linux && (amd64 || arm64)

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/node"
)

// fullDiskEnv is set in the child of TestFullDisk that may mount.
const fullDiskEnv = "KAPOK_FULL_DISK"

// TestFullDisk lets a small disk fill up under a node. It must stop by itself and say
// why, refuse to start while there is no room, and have all that it acknowledged when
// there is.
//
// The disk is a tmpfs in a mount namespace of its own, so the test runs once more, as
// its own child there.
func TestFullDisk(t *testing.T) {
	if os.Getenv(fullDiskEnv) == "" {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestFullDisk$", "-test.v")
		cmd.Env = append(os.Environ(), fullDiskEnv+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
		if uid := os.Getuid(); uid != 0 {
			cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
			cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
			cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
		}
		out, err := cmd.CombinedOutput()
		t.Logf("%s", out)
		var exit *exec.ExitError
		switch {
		case strings.Contains(string(out), "no disk can be mounted here"):
			t.Skip("no disk can be mounted here")
		case err != nil && !errors.As(err, &exit):
			t.Skipf("no mount namespace here: %v", err)
		case err != nil:
			t.Fatal(err)
		}
		return
	}
	for _, left := range []int64{100 << 20, 0} {
		t.Run(fmt.Sprintf("%d MB left", left>>20), func(t *testing.T) { fillDisk(t, left) })
	}
}

func fillDisk(t *testing.T, left int64) {
	root := t.TempDir()
	if err := errors.Join(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""), unix.Mount("tmpfs", root, "tmpfs", 0, "size=300m")); err != nil {
		t.Skipf("no disk can be mounted here: %v", err)
	}
	defer unix.Unmount(root, unix.MNT_DETACH)
	network := filepath.Join(t.TempDir(), "kills.toml")
	if err := os.WriteFile(network, []byte(killNetwork), 0o600); err != nil {
		t.Fatal(err)
	}
	params, err := node.Network(network)
	if err != nil {
		t.Fatal(err)
	}
	chain := chaintest.New(t, params)
	chain.Grow("genesis - a1..a20")
	dir, ballast := filepath.Join(root, "node"), filepath.Join(root, "ballast")
	said := filepath.Join(t.TempDir(), "stderr")

	p := startProcess(t, network, dir)
	for n := 1; n <= 9; n++ {
		hand(t, p, chain, n)
	}
	fill(t, root, ballast, left)
	_, err = p.client.SubmitBlock(t.Context(), chain.Block("a10"))
	if err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Fatalf("a block on a full disk: %v", err)
	}
	p.read.Wait() // its output ends
	if err := p.cmd.Wait(); p.cmd.ProcessState.ExitCode() != exitFailed {
		t.Errorf("it ended with %v, want status %d", err, exitFailed)
	}

	stderr, err := os.Create(said)
	if err != nil {
		t.Fatal(err)
	}
	defer stderr.Close()
	again := exec.Command("kapok", "node", "--network", network, "--datadir", dir, "--rpc", "none", "--listen", "none", "--lean")
	again.Stderr = stderr
	if err = again.Run(); again.ProcessState.ExitCode() != exitFailed {
		t.Errorf("started on a full disk it ended with %v, want status %d", err, exitFailed)
	}
	if text, err := os.ReadFile(said); err != nil || !strings.Contains(string(text), "no space left: ") || strings.Contains(string(text), "goroutine") {
		t.Errorf("started on a full disk it says %q (%v)", text, err)
	}

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	p = startProcess(t, network, dir)
	hand(t, p, chain, 9) // its answer waits until all that is stored is connected
	for n := 1; n <= 9; n++ {
		var header struct {
			Confirmations int `json:"confirmations"`
		}
		err := p.client.Call(t.Context(), "getblockheader", &header, chain.Hash(fmt.Sprintf("a%d", n)).String())
		if err != nil || header.Confirmations < 1 {
			t.Errorf("block a%d was acknowledged, and is lost: %v", n, err)
		}
	}
	for n := 10; n <= 20; n++ {
		hand(t, p, chain, n)
	}
}

// hand submits a block that must be taken.
func hand(t *testing.T, p *process, chain *chaintest.Chain, n int) {
	t.Helper()
	reason, err := p.client.SubmitBlock(t.Context(), chain.Block(fmt.Sprintf("a%d", n)))
	if err != nil || reason != "" && reason != "duplicate" {
		t.Fatalf("block a%d: %q %v", n, reason, err)
	}
}

// fill takes the room of a disk but for so many bytes.
func fill(t *testing.T, root, ballast string, left int64) {
	t.Helper()
	var s unix.Statfs_t
	if err := unix.Statfs(root, &s); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(ballast)
	if err == nil {
		err = errors.Join(unix.Fallocate(int(f.Fd()), 0, 0, int64(s.Bavail)*s.Bsize-left), f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}
