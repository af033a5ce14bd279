package storage

import "sync"

// waiting are writes that are not on disk yet, in their order. Whoever adds to them holds
// Badger.mu; the lock of their own lets a body be read while others are synced.
type waiting struct {
	mu    sync.RWMutex
	list  []write
	bytes int
	// bodies, undo data and records by key. Whoever reads the index, or all records, has
	// them synced first.
	values map[string][]byte
}

// writeOverhead is what a write takes in memory beside its key and value, in bytes.
const writeOverhead = 100

// write is a value for a key, or the key's removal.
type write struct {
	key, value []byte
	remove     bool
}

// sink takes writes: for later, or for a transaction.
type sink interface {
	put(key, value []byte)
	del(key []byte)
}

func (w *waiting) put(key, value []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.list = append(w.list, write{key: key, value: value})
	w.bytes += len(key) + len(value) + writeOverhead
	switch key[0] {
	case prefixBlock, prefixUndo, prefixRecord:
		if w.values == nil {
			w.values = make(map[string][]byte)
		}
		w.values[string(key)] = value
	}
}

func (w *waiting) del(key []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.list = append(w.list, write{key: key, remove: true})
	w.bytes += len(key) + writeOverhead
}

// get returns a body, undo data or a record, or nil.
func (w *waiting) get(key []byte) []byte {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.values[string(key)]
}

func (w *waiting) none() bool {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return len(w.list) == 0
}

// clear forgets them, once they are on disk.
func (w *waiting) clear() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.list, w.bytes, w.values = nil, 0, nil
}
