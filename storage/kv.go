package storage

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"
)

// kv is Badger with sealed values. All writes go through a writer, and all
// commits through one function, which is the seam where tests make disks fail.
type kv struct {
	db      *badger.DB
	views   *views
	log     *badgerLog
	commit  func(*badger.Txn) error
	partial bool         // files or commits are missing, and the rest can do without them
	ledger  *ledger      // counts the commits; nil in a read-only store
	room    func() error // says before each commit whether the disk has room for it
}

func newKV(db *badger.DB, log *badgerLog) *kv {
	return &kv{
		db: db, views: newViews(db), log: log,
		commit: func(txn *badger.Txn) error { return log.wait(txn.Commit) },
		room:   func() error { return room(db.Opts()) },
	}
}

// get returns a copy of a key's value: ErrNotFound, ErrDamaged.
func (k *kv) get(key []byte) ([]byte, error) {
	var value []byte
	err := k.view(func(txn *badger.Txn) (err error) {
		value, err = getIn(txn, key)
		return err
	})
	return value, err
}

// has reports whether a key exists, without reading its value.
func (k *kv) has(key []byte) (bool, error) {
	err := k.view(func(txn *badger.Txn) error {
		_, err := txn.Get(key)
		return err
	})
	if errors.Is(err, badger.ErrKeyNotFound) {
		return false, nil
	}
	return err == nil, err
}

// view reads what was committed until now. It waits for no commit that is under way.
func (k *kv) view(f func(*badger.Txn) error) error {
	v := k.views.take()
	defer k.views.give(v)
	return f(v.txn)
}

func getIn(txn *badger.Txn, key []byte) ([]byte, error) {
	item, err := txn.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	sealed, err := item.ValueCopy(nil)
	if err != nil {
		return nil, err
	}
	return unseal(key, sealed)
}

// each calls f with the keys that have the prefix, from the key `from` on, in
// order, until f returns false. Key and value are valid during the call only.
// No value that is iterated over lies in the value log: there is nothing to
// fetch ahead.
func each(txn *badger.Txn, prefix, from []byte, f func(key, value []byte) (bool, error)) error {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
	defer it.Close()
	for it.Seek(from); it.ValidForPrefix(prefix); it.Next() {
		item := it.Item()
		var more bool
		err := item.Value(func(sealed []byte) error {
			value, err := unseal(item.Key(), sealed)
			if err != nil {
				return fmt.Errorf("key %x: %w", item.Key(), err)
			}
			more, err = f(item.Key(), value)
			return err
		})
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// writer collects writes and commits them. What fits into one transaction of
// Badger is committed as one; what does not is committed in pieces, in the
// order of the calls, each synced; a piece may end between any two calls.
// Whoever may write that much first puts a state that names what is going on,
// and last, under the same key, the state that it leads to: in one transaction
// the last one wins, in several the first is on disk until the last one is.
type writer struct {
	kv     *kv
	txn    *badger.Txn
	ledger *ledger // of kv, unless its commits are not counted
	any    bool    // there is something to commit
	err    error   // the first one sticks
}

// writer begins a write. There is one at a time, but for those beside it.
func (k *kv) writer() *writer {
	w := &writer{kv: k, ledger: k.ledger}
	w.begin()
	return w
}

// besideWriter begins a write of index or coins, beside which there may be others. It is
// not counted: an index that lost its last steps takes them again, and coins stand between
// two writes that are.
func (k *kv) besideWriter() *writer {
	w := &writer{kv: k}
	w.begin()
	return w
}

// begin begins a piece. It says which commit it is, so that a database that lost its
// last ones can be told.
func (w *writer) begin() {
	w.txn = w.kv.db.NewTransaction(true)
	if l := w.ledger; l != nil {
		key := metaKey(metaCommits)
		w.err = w.txn.Set(key, seal(key, binary.BigEndian.AppendUint64(nil, l.commits+1)))
	}
}

func (w *writer) put(key, value []byte) {
	value = seal(key, value)
	w.write(func() error { return w.txn.Set(key, value) })
}

func (w *writer) putAll(list []write) {
	for _, one := range list {
		w.put(one.key, one.value)
	}
}

func (w *writer) del(key []byte) {
	w.write(func() error { return w.txn.Delete(key) })
}

func (w *writer) write(op func() error) {
	if w.err != nil {
		return
	}
	err := op()
	if errors.Is(err, badger.ErrTxnTooBig) {
		if w.flush(); w.err != nil {
			return
		}
		if w.begin(); w.err != nil {
			return
		}
		err = op()
	}
	w.any, w.err = true, err
}

func (w *writer) flush() {
	if w.ledger != nil && !w.any {
		return
	}
	if w.err = w.kv.room(); w.err != nil {
		return
	}
	w.err = w.kv.commit(w.txn)
	if failure := w.kv.log.failure(); failure != nil {
		w.txn = nil // Badger may be at it still
		if w.err == nil {
			w.err = failure
		}
	}
	if w.err == nil && w.ledger != nil {
		w.err = w.ledger.committed()
	}
	if w.err == nil {
		w.err = w.kv.log.wait(func() error { w.kv.views.renew(); return nil })
	}
}

// discard gives up what was not committed. After commit it does nothing.
func (w *writer) discard() {
	if w.txn != nil {
		w.txn.Discard()
	}
}

// commit writes what is left and returns the first error of all calls.
func (w *writer) commit() error {
	defer w.discard()
	if w.err == nil {
		w.flush()
	}
	if w.err != nil {
		return fmt.Errorf("storage: write to disk: %w", w.err)
	}
	return nil
}

// drop removes every key of the prefixes.
func (k *kv) drop(prefixes ...byte) error {
	var list [][]byte
	for _, p := range prefixes {
		list = append(list, []byte{p})
	}
	if err := k.room(); err != nil {
		return err
	}
	return k.log.wait(func() error {
		defer k.views.renew()
		return k.db.DropPrefix(list...)
	})
}

// missingCommits compares the database with the inventory: how many commits it lost.
func (k *kv) missingCommits() (uint64, error) {
	if k.ledger == nil {
		return 0, nil
	}
	var there uint64
	switch value, err := k.get(metaKey(metaCommits)); {
	case err == nil && len(value) == 8:
		there = binary.BigEndian.Uint64(value)
	case err == nil:
		return 0, fmt.Errorf("number of commits: %w", ErrDamaged)
	case !errors.Is(err, ErrNotFound):
		return 0, err
	}
	known := k.ledger.commits
	k.ledger.commits = there
	return max(known, there) - there, nil
}

// close closes the database, and then lists its files.
func (k *kv) close() error {
	k.views.close()
	err := k.log.wait(k.db.Close)
	if k.ledger == nil {
		return err
	}
	if err != nil {
		return errors.Join(err, k.ledger.file.Close())
	}
	return k.ledger.close()
}
