package storage

import (
	"sync"

	"github.com/dgraph-io/badger/v4"
)

// views lets reads share a transaction, which is made anew after each commit. One of its
// own would wait, before it reads anything, for every commit that is under way, and so for
// the disk (Badger's oracle.readTs).
type views struct {
	db     *badger.DB
	mu     sync.Mutex
	latest *view // nil: closed
}

// view is what had been committed at some moment.
type view struct {
	txn   *badger.Txn
	users int // those who read, and views as long as it is the latest
}

func newViews(db *badger.DB) *views {
	return &views{db: db, latest: &view{txn: db.NewTransaction(false), users: 1}}
}

// take returns the latest view, or one of its own where there is none. Whoever takes it
// gives it back.
func (v *views) take() *view {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.latest == nil {
		return &view{txn: v.db.NewTransaction(false), users: 1}
	}
	v.latest.users++
	return v.latest
}

func (v *views) give(old *view) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.drop(old)
}

// drop is give for whoever holds the lock.
func (v *views) drop(old *view) {
	if old.users--; old.users == 0 {
		old.txn.Discard()
	}
}

// renew lets those who come from now on see what was committed until now. It waits for
// other commits that are under way.
func (v *views) renew() {
	next := &view{txn: v.db.NewTransaction(false), users: 1}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.latest != nil && next.txn.ReadTs() >= v.latest.txn.ReadTs() {
		next, v.latest = v.latest, next
	}
	v.drop(next) // of the two, the older one
}

// close is for before the database is closed.
func (v *views) close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.latest != nil {
		v.drop(v.latest)
		v.latest = nil
	}
}
