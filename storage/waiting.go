package storage

import (
	"slices"
	"sync"

	"github.com/kapok-chain/kapok/consensus"
)

// waiting are writes that are not on disk yet, in their order. Whoever adds to them holds
// Badger.mu; the lock of their own lets a body be read while others are synced.
type waiting struct {
	mu     sync.RWMutex
	list   []write
	gone   int // writes that were in front of the list
	bytes  int
	blocks map[consensus.Hash]*consensus.Block // the bodies among them
	// the last write under each key, counted from the first one that ever waited.
	// Whoever reads all records has them synced first.
	last map[string]int
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
	w.add(hashKey(prefixBlock, hash), b.Append(make([]byte, 0, b.Size()+sealSize)))
	if w.blocks == nil {
		w.blocks = make(map[consensus.Hash]*consensus.Block)
	}
	w.blocks[hash] = b
}

func (w *waiting) add(key, value []byte) {
	if w.last == nil {
		w.last = make(map[string]int)
	}
	w.last[string(key)] = w.gone + len(w.list)
	w.list = append(w.list, write{key, value})
	w.bytes += len(key) + len(value) + writeOverhead
}

// get returns what waits under a key, or nil.
func (w *waiting) get(key []byte) []byte {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.value(key)
}

func (w *waiting) value(key []byte) []byte {
	if n, ok := w.last[string(key)]; ok {
		return slices.Clip(w.list[n-w.gone].value) // the room behind it is for the seal
	}
	return nil
}

// body returns a block and its bytes, or nil.
func (w *waiting) body(hash consensus.Hash) ([]byte, *consensus.Block) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.value(hashKey(prefixBlock, hash)), w.blocks[hash]
}

// written forgets the first n of them, which are on disk.
func (w *waiting) written(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, one := range w.list[:n] {
		w.bytes -= len(one.key) + len(one.value) + writeOverhead
		if w.last[string(one.key)] == w.gone+i {
			delete(w.last, string(one.key))
			if one.key[0] == prefixBlock {
				delete(w.blocks, consensus.Hash(one.key[1:]))
			}
		}
	}
	w.list, w.gone = append([]write(nil), w.list[n:]...), w.gone+n // the bodies written can be collected
}
