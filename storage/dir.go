package storage

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/kapok-chain/kapok/consensus"
)

// A data directory is marked by a text file that names its network. Open reads
// the mark before it writes anything, so that a directory of something else is
// left as it was found.
// The mark ends with a checksum of what is before it; those of earlier versions have
// none. Where a damaged or lost one belongs to a chain whose inventory names the
// network asked for, it is written anew.
const (
	markFile  = "kapok.network"
	markTitle = "kapok data directory"
	markLimit = 4096 // bytes; a mark has about 150
	lockFile  = "kapok.lock"
	chainDir  = "chain"

	// Schema is the number of the layout of keys and values that this version writes.
	Schema = 1
)

// mark is what the mark file says.
type mark struct {
	network string
	genesis string
	schema  int
}

func markOf(p *consensus.Params) mark {
	return mark{network: p.Name, genesis: p.GenesisHash().String(), schema: Schema}
}

func (m mark) String() string {
	text := fmt.Sprintf("%s\nnetwork=%s\ngenesis=%s\nschema=%d\n", markTitle, m.network, m.genesis, m.schema)
	return text + fmt.Sprintf("checksum=%08x\n", crc32.Checksum([]byte(text), castagnoli))
}

// inspect says whether dir is marked for the network. It fails where the
// directory is somebody else's, and writes nothing.
func inspect(dir string, want mark, beside []string) (marked bool, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("storage: data directory: %w", err)
	}
	named := func(e os.DirEntry) bool { return e.Name() == markFile }
	if !slices.ContainsFunc(entries, named) {
		ours := append([]string{lockFile, markFile + ".tmp"}, beside...)
		for _, e := range entries {
			if !slices.Contains(ours, e.Name()) {
				return false, fmt.Errorf("%w: %s is not empty and is no data directory of kapok (it holds %q); name an empty or a new one",
					ErrForeign, dir, e.Name())
			}
		}
		return false, nil
	}
	have, err := readMark(filepath.Join(dir, markFile))
	switch {
	case err != nil:
		return false, err
	case have.schema > want.schema:
		return false, fmt.Errorf("%w: %s has schema %d, this version knows %d; use the kapok that wrote it, or another directory",
			ErrNewerSchema, dir, have.schema, want.schema)
	case have.network != want.network || have.genesis != want.genesis:
		return false, fmt.Errorf("%w: %s belongs to network %s (genesis %s), not to %s (genesis %s)",
			ErrForeign, dir, have.network, have.genesis, want.network, want.genesis)
	}
	return true, nil
}

func readMark(path string) (m mark, err error) {
	f, err := os.Open(path)
	if err != nil {
		return m, fmt.Errorf("storage: %w", err)
	}
	defer f.Close()
	text := make([]byte, markLimit)
	n, err := f.Read(text)
	if err != nil && err != io.EOF {
		return m, fmt.Errorf("storage: %w", err)
	}
	lines := strings.Split(string(text[:n]), "\n")
	if strings.TrimSpace(lines[0]) != markTitle {
		return m, fmt.Errorf("%w: %s does not begin with %q", ErrForeign, path, markTitle)
	}
	if text, sum, ok := strings.Cut(string(text[:n]), "checksum="); ok && sum != fmt.Sprintf("%08x\n", crc32.Checksum([]byte(text), castagnoli)) {
		return m, fmt.Errorf("storage: %s fails its checksum: %w", path, ErrDamaged)
	}
	for _, line := range lines[1:] {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch key {
		case "network":
			m.network = value
		case "genesis":
			m.genesis = value
		case "schema":
			m.schema, _ = strconv.Atoi(value)
		}
	}
	if m.schema < 1 {
		return m, fmt.Errorf("storage: %s states no schema: %w", path, ErrDamaged)
	}
	return m, nil
}

func writeMark(dir string, m mark) error {
	if err := replaceFile(filepath.Join(dir, markFile), []byte(m.String())); err != nil {
		return fmt.Errorf("storage: mark the data directory: %w", err)
	}
	return nil
}

// replaceFile puts a file in place in one step: a kill leaves the old one or the new.
func replaceFile(path string, text []byte) error {
	f, err := os.OpenFile(path+".tmp", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // directories cannot be synced there, and need not be
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// look is inspect for who may write: a mark that was lost or damaged is as good as none
// where the chain itself says whose it is.
func look(dir string, want mark, beside []string) (marked bool, err error) {
	marked, err = inspect(dir, want, beside)
	if errors.Is(err, ErrForeign) || errors.Is(err, ErrDamaged) {
		v, failed := readInventory(filepath.Join(dir, chainDir))
		if failed != nil {
			return false, errors.Join(err, failed)
		}
		if v != nil && v.genesis == want.genesis {
			return false, nil
		}
	}
	return marked, err
}

// claim makes dir ours: inspected, locked, marked. The lock is given free by
// closing it, or by the end of the process.
func claim(dir string, p *consensus.Params, beside []string) (lock *os.File, err error) {
	want := markOf(p)
	if _, err := look(dir, want, beside); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("storage: data directory: %w", err)
	}
	if lock, err = lockDir(dir, LockFile); err != nil {
		return nil, err
	}
	// Once more: another process may have marked it in between.
	marked, err := look(dir, want, beside)
	if err == nil && !marked {
		err = writeMark(dir, want)
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock, nil
}

func lockDir(dir string, lock func(path string) (*os.File, error)) (*os.File, error) {
	f, err := lock(filepath.Join(dir, lockFile))
	if errors.Is(err, ErrLocked) {
		return nil, fmt.Errorf("%w: another process has %s open; stop it, talk to it by RPC, or name another directory", ErrLocked, dir)
	}
	if err != nil {
		return nil, fmt.Errorf("storage: lock the data directory: %w", err)
	}
	return f, nil
}

// visit is claim for who wants what is there: the directory must be marked, and is
// locked against everybody else. It leaves everything as it is.
func visit(dir string, p *consensus.Params, beside []string) (lock *os.File, err error) {
	marked, err := inspect(dir, markOf(p), beside)
	if err != nil {
		return nil, err
	}
	_, err = os.Stat(filepath.Join(dir, chainDir))
	if _, old := os.Stat(filepath.Join(dir, oldChainDir)); old == nil {
		err = nil // finishSwap has a word about it
	}
	if !marked || errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: there is no chain in %s", ErrNotFound, dir)
	}
	lock, err = lockDir(dir, lockExisting)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("storage: %s: %w; %s is a copy without it: make it, empty, so that no node can write there meanwhile", lockFile, fs.ErrNotExist, dir)
	}
	return lock, err
}

// traces are what files tell of how Badger ended.
type traces struct {
	manifest  bool     // it was here
	memtable  bool     // it did not close: that is its log of what is in no table yet
	stillborn []string // paths of files that were left between their creation and their first byte
	// spent are paths of files that Badger would remove, or began to: value logs
	// with nothing in them, and memtables whose entries are in tables.
	spent []string
}

// survey reads the traces in a directory, which need not be there. Only the newest
// memtable and the newest value log can be stillborn. Any other empty file but a spent
// one was emptied by something else: Badger, opened a second time, would take it for a
// new one, and its contents would be missing without a word.
func survey(dir string) (t traces, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return t, nil
	}
	if err != nil {
		return t, err
	}
	newest := make(map[string]string) // by extension; the numbers are padded with zeros
	for _, e := range entries {
		name := e.Name()
		if ext := filepath.Ext(name); longer(name, newest[ext]) {
			newest[ext] = name
		}
		t.manifest = t.manifest || name == "MANIFEST"
	}
	for _, e := range entries {
		name, ext := e.Name(), filepath.Ext(e.Name())
		if ext != ".mem" && ext != ".vlog" && ext != ".sst" {
			continue
		}
		if !t.manifest {
			return t, fmt.Errorf("%s holds %s but no MANIFEST: %w", dir, name, ErrDamaged)
		}
		info, err := e.Info()
		if err != nil {
			return t, err
		}
		t.memtable = t.memtable || ext == ".mem"
		switch {
		case ext == ".vlog" && info.Size() == logHeader && name != newest[ext]:
			t.spent = append(t.spent, filepath.Join(dir, name))
		case info.Size() > 0 || ext == ".sst": // Badger removes tables that its manifest does not name
		case name == newest[ext]:
			t.stillborn = append(t.stillborn, filepath.Join(dir, name))
		default:
			spent := false
			if next := after(entries, name); ext == ".mem" && next != "" {
				if spent, err = inTables(dir, next); err != nil {
					return t, fmt.Errorf("%s is empty: %w", filepath.Join(dir, name), err)
				}
			}
			if !spent {
				return t, fmt.Errorf("%s is empty: %w", filepath.Join(dir, name), ErrDamaged)
			}
			t.spent = append(t.spent, filepath.Join(dir, name))
		}
	}
	return t, nil
}

// after is the memtable that follows one, and is not empty either.
func after(entries []os.DirEntry, name string) string {
	next := ""
	for _, e := range entries {
		if filepath.Ext(e.Name()) != ".mem" || !longer(e.Name(), name) || next != "" && !longer(next, e.Name()) {
			continue
		}
		if info, err := e.Info(); err == nil && info.Size() > 0 {
			next = e.Name()
		}
	}
	return next
}

// clearDead removes the files on which Badger would refuse to open, and those that it
// would remove in two steps, between which a kill may come.
func (t *traces) clearDead() error {
	for _, path := range append(t.stillborn, t.spent...) {
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return nil
}

// checkClosed makes sure that there is a database, and that it was closed. In its
// read-only mode Badger cannot cut off the end that a kill leaves unwritten, and
// fails with a sentence about data loss.
func (t *traces) checkClosed() error {
	switch {
	case !t.manifest:
		return fmt.Errorf("there is none yet: %w", ErrNotFound)
	case t.memtable || len(t.stillborn) > 0:
		return ErrUnclean
	}
	return nil
}

// longer orders numbered file names: a longer number is the higher one.
func longer(a, b string) bool {
	return len(a) > len(b) || len(a) == len(b) && a > b
}
