package testnet

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/kapok-chain/kapok/testnet/record"
)

// A run whose disk fills up ends by itself and says so, in its record, too: the nodes'
// chains make room for that when they are removed.
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
	if err := errors.Join(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""), unix.Mount("tmpfs", disk, "tmpfs", 0, "size=200m")); err != nil {
		t.Skipf("no disk can be mounted here: %v", err)
	}
	defer unix.Unmount(disk, unix.MNT_DETACH)
	s := smallSpec(t, 2)
	s.Blocks = 1 << 20
	o := smallOptions(t, s)
	o.Dir, o.Data = filepath.Join(disk, "run"), ""
	t.Setenv("TMPDIR", disk)
	o.Progress = func(text string) {
		if text != "measuring" {
			return
		}
		// Some is left for the record: a store that could not be closed in order keeps its
		// files until the process ends.
		var free unix.Statfs_t
		err := unix.Statfs(disk, &free)
		ballast, created := os.Create(filepath.Join(disk, "ballast"))
		if err = errors.Join(err, created); err == nil {
			err = errors.Join(unix.Fallocate(int(ballast.Fd()), 0, 0, int64(free.Bavail)*free.Bsize-8<<20), ballast.Close())
		}
		if err != nil {
			t.Error(err)
		}
	}
	_, err := Run(t.Context(), o)
	if err == nil || !strings.Contains(strings.ToLower(err.Error()), "space") {
		t.Errorf("Run returned %v", err)
	}
	r, opened := record.Open(o.Dir)
	if opened != nil {
		t.Fatal(opened)
	}
	if m := r.Manifest; m.Status != record.Failed || !strings.Contains(strings.ToLower(m.Reason), "space") {
		t.Errorf("the manifest says %s, %q", m.Status, m.Reason)
	}
	t.Log(err)
	if left, err := filepath.Glob(filepath.Join(disk, "kapok-*")); err != nil || len(left) > 0 {
		t.Errorf("what the nodes stored is left: %v, %v", left, err)
	}
}
