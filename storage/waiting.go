package storage

import (
	"sync"

	"github.com/kapok-chain/kapok/consensus"
)

// waiting are writes that are not on disk yet, in their order. Whoever adds to them holds
// Badger.mu; the lock of their own lets a body be read while others are synced.
type waiting struct {
	mu     sync.RWMutex
	list   []write
	bytes  int
	blocks map[consensus.Hash]*consensus.Block // the bodies among them
	// all of them by key. Whoever reads all records has them synced first.
	values map[string][]byte
}

// writeOverhead is what a write takes in memory beside its key and value, in bytes.
const writeOverhead = 100

// write is a value for a key: a body, undo data or a record.
type write struct{ key, value []byte }

func (w *waiting) put(key, value []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.add(key, value)
}

func (w *waiting) putBlock(hash consensus.Hash, b *consensus.Block) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.add(hashKey(prefixBlock, hash), b.Bytes())
	if w.blocks == nil {
		w.blocks = make(map[consensus.Hash]*consensus.Block)
	}
	w.blocks[hash] = b
}

func (w *waiting) add(key, value []byte) {
	w.list = append(w.list, write{key, value})
	w.bytes += len(key) + len(value) + writeOverhead
	if w.values == nil {
		w.values = make(map[string][]byte)
	}
	w.values[string(key)] = value
}

// get returns what waits under a key, or nil.
func (w *waiting) get(key []byte) []byte {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.values[string(key)]
}

// body returns a block and its bytes, or nil.
func (w *waiting) body(hash consensus.Hash) ([]byte, *consensus.Block) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.values[string(hashKey(prefixBlock, hash))], w.blocks[hash]
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
	w.list, w.bytes, w.blocks, w.values = nil, 0, nil, nil
}
