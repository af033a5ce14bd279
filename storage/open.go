package storage

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/ristretto/v2/z"
)

// remedied adds to an error of damage that Open cannot make good what is left to do.
func remedied(dir string, err error) error {
	if !errors.Is(err, ErrDamaged) {
		return err
	}
	return fmt.Errorf("%w; if there is no copy to put back, delete %s and start again: the blocks come from peers, and neither wallet nor keys are in it",
		err, filepath.Join(dir, chainDir))
}

// openBadger opens the database, after a look at its files: Badger panics on some kinds
// of damage, and takes others for a kill. kv.partial says that files, or
// commits, are missing of which the rest can do without.
func openBadger(o badger.Options, genesis string, log *badgerLog) (_ *kv, err error) {
	found, err := survey(o.Dir)
	if err != nil {
		return nil, err
	}
	ready := room(o)
	if o.ReadOnly {
		ready = found.checkClosed()
	}
	if ready != nil {
		return nil, ready
	}
	was, err := readInventory(o.Dir)
	if err != nil {
		return nil, err
	}
	whole := true
	if was != nil {
		lost, err := was.check(o.Dir, o.ReadOnly)
		if err != nil {
			return nil, err
		}
		if whole = len(lost) == 0; !whole {
			log.log.Error("value logs are cut or gone, and bodies or undo data with them", "dir", o.Dir, "files", lost)
		}
	}
	if err := checkTables(o.Dir); err != nil {
		return nil, err
	}
	var l *ledger
	if !o.ReadOnly {
		if l, err = openLedger(o.Dir, genesis, was); err != nil {
			return nil, err
		}
		if err := found.clearDead(); err != nil { // not before: the inventory may name them
			return nil, errors.Join(err, l.file.Close())
		}
	}
	db, err := openDB(o, log)
	if err != nil {
		if l != nil {
			err = errors.Join(err, l.file.Close())
		}
		return nil, err
	}
	k := newKV(db, log)
	k.ledger = l
	missing, err := k.missingCommits()
	if err != nil {
		return nil, errors.Join(err, k.close())
	}
	if missing > 0 {
		log.log.Error("the last writes to the disk are missing: the chain goes on from where it was before them", "dir", o.Dir, "writes", missing)
	}
	k.partial = !whole || missing > 0
	return k, nil
}

// openDB is badger.Open with errors that tell damage from a disk that fails.
func openDB(o badger.Options, log *badgerLog) (*badger.DB, error) {
	opened := make(chan *badger.DB, 1)
	err := log.wait(func() (err error) {
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("badger gave up: %v: %w", r, ErrDamaged)
			}
		}()
		db, err := badger.Open(o)
		opened <- db
		return err
	})
	if err == nil {
		db := <-opened
		log.watch.Store(&compactions{tables: db.Tables, running: make(map[int]*compaction)}) // none begins before
		return db, nil
	}
	for _, fault := range faults { // by its text alone: Badger does not wrap errors
		if strings.Contains(err.Error(), fault.Error()) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%v: %w", err, ErrDamaged)
}

// faults are errors of the machine, which say nothing about what is on the disk.
var faults = []error{
	syscall.EIO, syscall.EACCES, syscall.EPERM, syscall.ENOSPC, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EROFS,
	badger.ErrWindowsNotSupported, badger.ErrPlan9NotSupported,
}

// checkTables opens every table that the manifest names as Badger will, who does it on
// goroutines of its own, where a panic over a damaged one ends the process. Their
// checksums are compared.
func checkTables(dir string) error {
	f, err := os.Open(filepath.Join(dir, manifestName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	m, _, err := badger.ReplayManifestFile(f, 0, badger.DefaultOptions(dir))
	if err != nil {
		return fmt.Errorf("%s: %v: %w", f.Name(), err, ErrDamaged)
	}
	ids := slices.Sorted(maps.Keys(m.Tables))
	errs := make([]error, min(runtime.GOMAXPROCS(0), len(ids)))
	var workers sync.WaitGroup
	for n := range errs {
		workers.Go(func() {
			for i := n; i < len(ids) && errs[n] == nil; i += len(errs) {
				errs[n] = checkTable(table.NewFilename(ids[i], dir), m.Tables[ids[i]])
			}
		})
	}
	workers.Wait()
	return cmp.Or(errs...) // one is enough to say
}

func checkTable(path string, as badger.TableManifest) (err error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		return fmt.Errorf("%s is gone: %w", path, ErrDamaged)
	}
	if err != nil {
		return err
	}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%s does not decode: %w", path, ErrDamaged)
		}
	}()
	m, err := z.OpenMmapFile(path, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	t, err := table.OpenTable(m, table.Options{ChkMode: options.OnTableRead, Compression: as.Compression, BlockSize: 4 << 10})
	if err != nil {
		return fmt.Errorf("%s: %v: %w", path, err, ErrDamaged)
	}
	return t.Close(-1)
}
