package consensus

import (
	"github.com/btcsuite/btcd/btcutil/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/database"
)

// memoryDB is what btcd's block chain needs of a database, in maps. What it
// does not need is the embedded interface's, which is nil: a call would panic.
type memoryDB struct {
	database.DB
	meta   *memoryBucket
	blocks map[chainhash.Hash]*btcutil.Block
}

func newMemoryDB() *memoryDB {
	return &memoryDB{meta: newMemoryBucket(), blocks: map[chainhash.Hash]*btcutil.Block{}}
}

func (db *memoryDB) View(f func(database.Tx) error) error   { return f(memoryTx{db: db}) }
func (db *memoryDB) Update(f func(database.Tx) error) error { return f(memoryTx{db: db}) }

type memoryTx struct {
	database.Tx
	db *memoryDB
}

func (tx memoryTx) Metadata() database.Bucket { return tx.db.meta }

func (tx memoryTx) StoreBlock(b *btcutil.Block) error {
	tx.db.blocks[*b.Hash()] = b
	return nil
}

func (tx memoryTx) HasBlock(hash *chainhash.Hash) (bool, error) {
	return tx.db.blocks[*hash] != nil, nil
}

// restOfBucket is what btcd's chain does not call.
type restOfBucket = database.Bucket

type memoryBucket struct {
	restOfBucket
	values  map[string][]byte
	buckets map[string]*memoryBucket
}

func newMemoryBucket() *memoryBucket {
	return &memoryBucket{values: map[string][]byte{}, buckets: map[string]*memoryBucket{}}
}

func (b *memoryBucket) Bucket(key []byte) database.Bucket {
	if in := b.buckets[string(key)]; in != nil {
		return in
	}
	return nil
}

func (b *memoryBucket) CreateBucket(key []byte) (database.Bucket, error) {
	in := newMemoryBucket()
	b.buckets[string(key)] = in
	return in, nil
}

func (b *memoryBucket) Get(key []byte) []byte { return b.values[string(key)] }

func (b *memoryBucket) Put(key, value []byte) error {
	b.values[string(key)] = append([]byte{}, value...)
	return nil
}

func (b *memoryBucket) Delete(key []byte) error {
	delete(b.values, string(key))
	return nil
}
