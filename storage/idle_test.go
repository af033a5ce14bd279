package storage

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/kapok-chain/kapok/consensus"
)

const idleEnv = "KAPOK_STORAGE_IDLE" // what an idle child of TestIdle keeps its blocks in: nothing, or a directory

// What an idle lean node may cost, of which many run on one machine.
const (
	idleBlocks  = 1000
	leanMemory  = 20 << 20  // bytes of resident memory
	leanOnDisk  = 200 << 20 // bytes of apparent file size
	idleNothing = "nothing"
)

// asIdle turns the test binary into a process that holds a store and does nothing. It
// prints how much memory it has: anonymous, and of files.
func asIdle() bool {
	what := os.Getenv(idleEnv)
	if what == "" {
		return false
	}
	if err := idleLife(what); err != nil {
		fmt.Println("error", err)
	}
	return true
}

// idleLife makes a thousand blocks, keeps them in a store where it is to have one, and
// says how much memory is left once it has nothing to do any more.
func idleLife(what string) (err error) {
	w := newWorld(childSeed)
	keep, sync := func(_, _ *node) error { return nil }, func() error { return nil }
	if what != idleNothing {
		dir, lean := strings.CutPrefix(what, "lean:")
		s, err := Open(w.params, Options{Dir: dir, Index: true, Lean: lean})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.Close()) }()
		sync = s.Sync
		keep = func(from, to *node) error { return walk(lazy{s}, from, to) }
	}
	at := w.root
	for n := range idleBlocks {
		next := w.grow(at, n%2)
		if err := keep(at, next); err != nil {
			return err
		}
		at.coins, at.parent, at = nil, nil, next
	}
	at = nil
	if err := sync(); err != nil {
		return err
	}
	debug.FreeOSMemory() // as the runtime does by itself in a minute or two
	anonymous, files, err := resident()
	if err == nil {
		fmt.Println("resident", anonymous, files)
	}
	return err
}

// resident is this process's memory in bytes.
func resident() (anonymous, files int64, err error) {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		key, value, _ := strings.Cut(lines.Text(), ":")
		var kb int64
		fmt.Sscanf(value, "%d kB", &kb)
		switch key {
		case "RssAnon":
			anonymous = kb << 10
		case "RssFile":
			files = kb << 10
		}
	}
	return anonymous, files, nil
}

func idle(t *testing.T, what string) (anonymous, files int64) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), idleEnv+"="+what)
	out, err := cmd.Output()
	must(t, err)
	if _, err := fmt.Sscanf(string(out), "resident %d %d", &anonymous, &files); err != nil {
		t.Fatalf("the child says %q", out)
	}
	return anonymous, files
}

// TestIdle measures what a store that took a thousand small blocks, and is idle, takes, beyond a process
// without one: memory, and disk.
func TestIdle(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("memory is read from /proc")
	}
	if testing.Short() {
		t.Skip("the race detector, with which short tests are run, takes memory of its own")
	}
	dir := t.TempDir()
	baseAnonymous, baseFiles := idle(t, idleNothing)
	for name, what := range map[string]string{"lean": "lean:" + dir, "fast": t.TempDir()} {
		anonymous, files := idle(t, what)
		anonymous, files = anonymous-baseAnonymous, files-baseFiles
		t.Logf("%s: %.1f MB of memory of its own, %.1f MB of files", name, float64(anonymous)/1e6, float64(files)/1e6)
		if name == "lean" && anonymous+files > leanMemory {
			t.Errorf("a lean store takes %d bytes of memory, want at most %d", anonymous+files, leanMemory)
		}
	}
}

// TestNewChainOnDisk measures the apparent size of a directory with an open store.
func TestNewChainOnDisk(t *testing.T) {
	for name, lean := range map[string]bool{"lean": true, "fast": false} {
		dir := t.TempDir()
		s, err := Open(consensus.Regtest(), Options{Dir: dir, Index: true, Lean: lean})
		must(t, err)
		var apparent int64
		must(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err == nil && !e.IsDir() {
				var info fs.FileInfo
				if info, err = e.Info(); err == nil {
					apparent += info.Size()
				}
			}
			return err
		}))
		must(t, s.Close())
		t.Logf("%s: %.1f MB of apparent disk", name, float64(apparent)/1e6)
		if lean && apparent > leanOnDisk {
			t.Errorf("a lean store takes %d bytes of apparent disk, want at most %d", apparent, leanOnDisk)
		}
	}
}
