package storage

import (
	"maps"
	"slices"
	"sync"

	"github.com/kapok-chain/kapok/consensus"
)

// freshBodies are the bodies that are not on disk yet. Whoever changes them holds
// Badger.mu; the lock of their own lets a body be read while another is synced.
type freshBodies struct {
	mu      sync.RWMutex
	records []consensus.Record // in the order in which they came
	bodies  map[consensus.Hash][]byte
	bytes   int
}

// add returns how many bytes wait now.
func (f *freshBodies) add(rec consensus.Record, body []byte) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.bodies == nil {
		f.bodies = make(map[consensus.Hash][]byte)
	}
	f.records = append(f.records, rec)
	f.bodies[rec.Hash] = body
	f.bytes += len(body)
	return f.bytes
}

// get returns the body of a block, or nil.
func (f *freshBodies) get(hash consensus.Hash) []byte {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.bodies[hash]
}

// over returns the records of the disk with those that are not there yet.
func (f *freshBodies) over(disk []consensus.Record) []consensus.Record {
	f.mu.RLock()
	defer f.mu.RUnlock()
	last := make(map[consensus.Hash]consensus.Record, len(f.records))
	for _, rec := range f.records {
		last[rec.Hash] = rec
	}
	for i := range disk {
		if rec, ok := last[disk[i].Hash]; ok {
			disk[i] = rec
			delete(last, rec.Hash)
		}
	}
	return slices.AppendSeq(disk, maps.Values(last))
}

// clear forgets them, once they are on disk.
func (f *freshBodies) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.records, f.bodies, f.bytes = nil, nil, 0
}
