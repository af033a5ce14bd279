//go:build linux && (amd64 || arm64)

package trap

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const workerEnv = "KAPOK_WORKER_DIR"

// TestMain turns the binary into a program that writes in many ways.
func TestMain(m *testing.M) {
	if dir := os.Getenv(workerEnv); dir != "" {
		if err := work(dir); err != nil {
			os.Stderr.WriteString(err.Error() + "\n")
			os.Exit(3)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func work(dir string) error {
	in := func(name string) string { return filepath.Join(dir, name) }
	mapped, err := os.Create(in("mapped"))
	if err == nil {
		err = mapped.Truncate(3 * pageSize)
	}
	if err != nil {
		return err
	}
	memory, err := unix.Mmap(int(mapped.Fd()), 0, 3*pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	copy(memory, "synced")
	if err := unix.Msync(memory, unix.MS_SYNC); err != nil {
		return err
	}
	copy(memory[2*pageSize:], "not synced")
	through, err := os.OpenFile(in("through"), os.O_CREATE|os.O_WRONLY|unix.O_DSYNC, 0o600)
	if err != nil {
		return err
	}
	if _, err := through.WriteString("through"); err != nil {
		return err
	}
	lost, err := os.Create(in("lost"))
	if err == nil {
		_, err = lost.WriteString("never synced")
	}
	if err != nil {
		return err
	}
	moved, err := os.Create(in("moved.tmp"))
	if err == nil {
		_, err = moved.WriteString("moved")
	}
	err = errors.Join(err, moved.Sync(), os.Rename(in("moved.tmp"), in("moved")))
	if err != nil {
		return err
	}
	folder, err := os.Open(dir)
	if err == nil {
		err = folder.Sync()
	}
	return errors.Join(err, os.Remove(in("moved")))
}

func run(t *testing.T, dir string, calls []string, answer func(Call) Answer) (said string, err error) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), workerEnv+"="+dir)
	var out bytes.Buffer
	cmd.Stderr = &out
	joined, err := Start(cmd, dir, calls, answer)
	if err != nil {
		t.Skipf("calls cannot be trapped here: %v", err)
	}
	err = cmd.Wait()
	joined()
	return out.String(), err
}

// All calls are seen, in order, with their files.
func TestCalls(t *testing.T) {
	dir := t.TempDir()
	var seen []string
	calls := slices.Compact(slices.Sorted(slices.Values(append(Syncs(), Changes()...))))
	said, err := run(t, dir, calls, func(c Call) Answer {
		text := c.Name + " " + filepath.Base(c.Path)
		if c.Through {
			text += " through"
		}
		seen = append(seen, strings.Replace(text, "renameat", "rename", 1))
		return Pass()
	})
	if err != nil {
		t.Fatal(err, said)
	}
	want := []string{
		"openat mapped", "ftruncate mapped", "msync mapped", "openat through", "write through through", "openat lost", "write lost",
		"openat moved.tmp", "write moved.tmp", "fsync moved.tmp", "rename moved.tmp", "fsync " + filepath.Base(dir), "unlinkat moved",
	}
	if !slices.Equal(seen, want) {
		t.Errorf("saw  %v\nwant %v", seen, want)
	}
}

func TestFail(t *testing.T) {
	said, err := run(t, t.TempDir(), []string{"fsync"}, func(Call) Answer { return Fail(int32(unix.ENOSPC)) })
	if err == nil || !strings.Contains(said, "moved.tmp: no space left on device") {
		t.Errorf("ended with %v, said %q", err, said)
	}
}

func TestKill(t *testing.T) {
	dir := t.TempDir()
	_, err := run(t, dir, []string{"rename", "renameat"}, func(Call) Answer { return Kill() })
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.String() != "signal: killed" {
		t.Errorf("ended with %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "moved.tmp")); err != nil {
		t.Errorf("the call was made: %v", err)
	}
}

// A power cut leaves what was synced: the first page of what was mapped, what was
// written through, and the name that a directory's sync kept, but not the removal.
func TestCut(t *testing.T) {
	dir := t.TempDir()
	disk, err := NewDisk(dir)
	if err != nil {
		t.Fatal(err)
	}
	said, err := run(t, dir, Syncs(), func(c Call) Answer {
		if err := disk.Note(c); err != nil {
			t.Error(err)
		}
		return Pass()
	})
	if err != nil {
		t.Fatal(err, said)
	}
	for _, test := range []struct {
		name   string
		chance func() bool
		files  map[string]string
	}{
		{"nothing kept", nil, map[string]string{
			"mapped": "synced" + strings.Repeat("\x00", 3*pageSize-len("synced")), "through": "through", "moved": "moved", "lost": ""}},
	} {
		if err := disk.Cut(test.chance); err != nil {
			t.Fatal(err)
		}
		found := make(map[string]string)
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			data, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			found[e.Name()] = string(data)
		}
		for name, want := range test.files {
			if got, ok := found[name]; !ok || got != want {
				t.Errorf("%s: %s is %.20q (there: %v), want %.20q", test.name, name, got, ok, want)
			}
		}
		if len(found) != len(test.files) {
			t.Errorf("%s: %d files, want %d", test.name, len(found), len(test.files))
		}
	}
}
