package storage

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/dgraph-io/badger/v4"
)

// Badger takes less than it wrote for a database all the same: it cuts its logs
// off at the first entry that it cannot read, removes tables that its manifest does
// not name, and starts afresh over files that are gone. The inventory is a file
// beside Badger's that says what must be there: while the store is open, how many
// commits there were, and the manifest; once it is closed, every file.
//
// Each commit writes it anew, in place and without a sync: a kill does not lose it, and
// after a power failure it says less than is there, never more.
const (
	inventoryFile  = "INVENTORY"
	inventoryTitle = "kapok inventory"
	inventoryLimit = 16 << 20 // bytes; a file takes about 40, and there are two for each 64 MB
	manifestName   = "MANIFEST"
	registryName   = "KEYREGISTRY"
	discardName    = "DISCARD"
	tableExt       = ".sst"
)

// listed is a file as the inventory remembers it.
type listed struct {
	name string
	size int64
	sum  uint32 // CRC-32C of all that is in it; 0 for the large ones, which have checksums of their own
}

// inventory is what the file says.
type inventory struct {
	genesis  string // whose chain it is
	commits  uint64
	manifest listed // as it was at the last commit: it only grows, unless it is written anew
	closed   bool
	files    []listed // where it is closed
}

// encode returns the text, with a checksum in its last line. That of an open store
// has always the same length.
func (v *inventory) encode() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\ngenesis=%s\ncommits=%020d\nmanifest=%020d %08x\n", inventoryTitle, v.genesis, v.commits, v.manifest.size, v.manifest.sum)
	if v.closed {
		fmt.Fprintln(&b, "closed")
	}
	for _, f := range v.files {
		fmt.Fprintf(&b, "file=%s %d %08x\n", f.name, f.size, f.sum)
	}
	fmt.Fprintf(&b, "checksum=%08x\n", crc32.Checksum(b.Bytes(), castagnoli))
	return b.Bytes()
}

// decodeInventory reads the text: an error where it is not whole.
func decodeInventory(text []byte) (v inventory, err error) {
	body, last, _ := strings.Cut(string(text), "checksum=")
	if last != fmt.Sprintf("%08x\n", crc32.Checksum([]byte(body), castagnoli)) {
		return v, fmt.Errorf("the inventory fails its checksum: %w", ErrDamaged)
	}
	for line := range strings.Lines(body) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch key {
		case "genesis":
			v.genesis = value
		case "commits":
			_, err = fmt.Sscanf(value, "%d", &v.commits)
		case "manifest":
			_, err = fmt.Sscanf(value, "%d %x", &v.manifest.size, &v.manifest.sum)
		case "closed":
			v.closed = true
		case "file":
			var f listed
			_, err = fmt.Sscanf(value, "%s %d %x", &f.name, &f.size, &f.sum)
			v.files = append(v.files, f)
		}
		if err != nil {
			return v, fmt.Errorf("line %q of the inventory: %w: %w", line, err, ErrDamaged)
		}
	}
	return v, nil
}

// readInventory returns the inventory of a directory, or nil where there is none that
// can be read: it was lost, or an earlier version wrote the directory.
func readInventory(dir string) (*inventory, error) {
	f, err := os.Open(filepath.Join(dir, inventoryFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, inventoryLimit))
	if err != nil {
		return nil, err
	}
	v, err := decodeInventory(text)
	if err != nil {
		return nil, nil // it guards the rest, and is needed by nothing
	}
	return &v, nil
}

// sumFile returns the CRC-32C of a file's first n bytes: io.EOF where it has fewer.
func sumFile(path string, n int64) (uint32, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	h := crc32.New(castagnoli)
	_, err = io.CopyN(h, f, n)
	return h.Sum32(), err
}

// takeInventory lists the files of a closed database.
func takeInventory(dir string) (files []listed, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		f := listed{name: e.Name(), size: info.Size()}
		switch {
		case f.name == inventoryFile || f.name == inventoryFile+".tmp" || strings.ContainsAny(f.name, " \n"):
			continue
		case f.name == manifestName || f.name == registryName:
			if f.sum, err = sumFile(filepath.Join(dir, f.name), f.size); err != nil {
				return nil, err
			}
		}
		files = append(files, f)
	}
	return files, nil
}

// check compares a directory with its inventory, before Badger sees it. What cannot
// be made good is an error; the names of lost returned are files of the value log that are gone
// or cut, whose bodies and undo data can be had again. Files without which Badger
// can do are removed, unless nothing may be written: the keys of an encryption that is
// not used, and statistics.
func (v *inventory) check(dir string, readOnly bool) (lost []string, err error) {
	if !v.closed {
		if !readOnly {
			if err := os.Remove(filepath.Join(dir, registryName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
		}
		return nil, v.checkManifest(dir)
	}
	files, err := takeInventory(dir)
	if err != nil {
		return nil, err
	}
	found := make(map[string]listed, len(files))
	for _, f := range files {
		found[f.name] = f
	}
	for _, want := range v.files {
		got, ok := found[want.name]
		switch {
		case ok && got == want, want.name == discardName && ok && got.size == want.size:
		case want.name == registryName, want.name == discardName:
			if ok && !readOnly {
				if err := os.Remove(filepath.Join(dir, want.name)); err != nil {
					return nil, err
				}
			}
		case filepath.Ext(want.name) == ".vlog" && (!ok || got.size > 0):
			lost = append(lost, want.name)
		case !ok:
			return nil, fmt.Errorf("%s is gone: %w", filepath.Join(dir, want.name), ErrDamaged)
		default:
			return nil, fmt.Errorf("%s is not what was written (%d bytes, then %d): %w", filepath.Join(dir, want.name), want.size, got.size, ErrDamaged)
		}
	}
	return lost, nil
}

// checkManifest makes sure that the manifest begins with what it was at the last commit.
// If not, Badger may have written it anew, which shortens it: then it is whole, and
// names every table that is there.
func (v *inventory) checkManifest(dir string) error {
	if v.manifest.size == 0 {
		return nil // there was no commit yet
	}
	path := filepath.Join(dir, manifestName)
	sum, err := sumFile(path, v.manifest.size)
	if err == nil && sum == v.manifest.sum {
		return nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is gone: %w", path, ErrDamaged)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	bad := fmt.Errorf("%s is not what was written: %w", path, ErrDamaged)
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	m, end, err := badger.ReplayManifestFile(f, 0, badger.DefaultOptions(dir))
	if err != nil {
		return fmt.Errorf("%v: %w", err, bad)
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	tables, err := filepath.Glob(filepath.Join(dir, "*"+tableExt))
	if err != nil || end != info.Size() || len(tables) != len(m.Tables) || len(tables) == 0 {
		return bad
	}
	return nil
}

// ledger keeps the inventory of an open store.
type ledger struct {
	dir  string
	file *os.File
	inventory
}

// openLedger says that the store is open from here on. It is on disk when it returns,
// before Badger changes anything.
func openLedger(dir, genesis string, was *inventory) (_ *ledger, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	l := &ledger{dir: dir, inventory: inventory{genesis: genesis}}
	if was != nil {
		l.commits, l.manifest = was.commits, was.manifest
	}
	if l.file, err = os.OpenFile(filepath.Join(dir, inventoryFile), os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return nil, err
	}
	text := l.encode()
	_, err = l.file.WriteAt(text, 0)
	err = errors.Join(err, l.file.Truncate(int64(len(text))))
	if err := errors.Join(err, l.file.Sync(), syncDir(dir)); err != nil {
		return nil, errors.Join(err, l.file.Close())
	}
	return l, nil
}

// committed counts one more commit that is on disk.
func (l *ledger) committed() error {
	l.commits++
	path := filepath.Join(l.dir, manifestName)
	info, err := os.Stat(path)
	if err == nil && info.Size() != l.manifest.size {
		l.manifest.size = info.Size()
		if l.manifest.sum, err = sumFile(path, l.manifest.size); errors.Is(err, io.EOF) { // written anew in between
			l.manifest, err = listed{}, nil
		}
	}
	if err == nil {
		_, err = l.file.WriteAt(l.encode(), 0)
	}
	if err != nil {
		return fmt.Errorf("inventory: %w", err)
	}
	return nil
}

// close lists the files of the database, once it is closed.
func (l *ledger) close() error {
	err := l.file.Close()
	if err != nil {
		return err
	}
	l.inventory.closed = true
	if l.files, err = takeInventory(l.dir); err != nil {
		return err
	}
	return replaceFile(filepath.Join(l.dir, inventoryFile), l.encode())
}
