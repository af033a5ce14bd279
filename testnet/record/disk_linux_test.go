package record

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
)

const fullDiskEnv = "KAPOK_FULL_DISK"

// TestFullDisk writes a run on a disk that fills up: each method names its file in an
// error, all that was written before is read, and writing goes on where there is room.
//
// The disk is a tmpfs in a mount namespace of its own, so the test runs once more, as
// its own child there.
func TestFullDisk(t *testing.T) {
	if os.Getenv(fullDiskEnv) != "" {
		fillDisk(t)
		return
	}
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
}

func fillDisk(t *testing.T) {
	disk := t.TempDir()
	if err := errors.Join(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""), unix.Mount("tmpfs", disk, "tmpfs", 0, "size=128k")); err != nil {
		t.Skipf("no disk can be mounted here: %v", err)
	}
	defer unix.Unmount(disk, unix.MNT_DETACH)
	dir, r := filepath.Join(disk, "run"), goldenRun()
	w, err := Create(dir, r.Manifest, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Tables(r.Blocks, r.Payments); err != nil {
		t.Fatal(err)
	}
	// Lines of 3,000 bytes, so that the last one fits in half; the ballast leaves less
	// than another table needs.
	events, line := 0, Event{Kind: "stop", Text: strings.Repeat("x", 3000)}
	for err = error(nil); err == nil && events < 1000; events++ {
		err = w.Event(line)
	}
	events--
	full := func(name string, err error) {
		t.Helper()
		if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), filepath.Join(dir, name)+": ") {
			t.Errorf("%s on a full disk: %v", name, err)
		}
	}
	full(EventsFile, err)
	ballast := filepath.Join(disk, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 128<<10), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal("the disk has room: ", err)
	}
	full(BlocksFile, w.Tables(nil, nil))
	full(ManifestFile, w.Manifest(r.Manifest))
	full(SamplesFile, w.Samples(make([]Sample, 1000)))

	read := func(wantEvents int) {
		t.Helper()
		run, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprint(run.Manifest.Status, len(run.Blocks), len(run.Payments), len(run.Samples), len(run.Events), run.Notes)
		if want := fmt.Sprint(Running, len(r.Blocks), len(r.Payments), 0, wantEvents, []string(nil)); got != want {
			t.Errorf("read %s, want %s", got, want)
		}
	}
	read(events)
	if err := errors.Join(os.Remove(ballast), os.Remove(filepath.Join(dir, SpecFile))); err != nil {
		t.Fatal(err)
	}
	if err := w.Event(Event{Kind: "complete"}); err != nil {
		t.Error(err)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	read(events + 1)
}

// half is a disk that fills up in the middle of a line, and cannot take it back.
type half struct{ *os.File }

func (h half) Write(p []byte) (int, error) {
	n, err := h.File.Write(p[:len(p)/2])
	return n, errors.Join(syscall.ENOSPC, err)
}

func (h half) Truncate(int64) error { return syscall.EIO }

// TestHalfALine: nothing is written behind a line that stayed torn.
func TestHalfALine(t *testing.T) {
	dir := t.TempDir()
	w, err := Create(dir, testManifest(1), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Event(Event{Kind: "stop"}); err != nil {
		t.Fatal(err)
	}
	whole := w.events.file
	w.events.file = half{whole.(*os.File)}
	if err := w.Event(Event{Kind: "restart"}); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("half a line: %v", err)
	}
	w.events.file = whole
	if err := w.Event(Event{Kind: "restart"}); !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "events.jsonl ends in half a line") {
		t.Errorf("behind half a line: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	run, err := Open(dir)
	if err != nil || len(run.Events) != 1 || len(run.Notes) != 1 {
		t.Errorf("read %+v %v", run, err)
	}
}
