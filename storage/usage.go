package storage

import (
	"context"
	"io/fs"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
)

// Usage is what the things of one kind take on disk.
type Usage struct {
	Count int64
	Bytes int64 // of keys and values with their seals, before what Badger adds to them
}

// DiskUsage says what the chain's folder is full of.
type DiskUsage struct {
	Bodies, Undo, Headers, Coins, Index Usage
	Apparent                            int64 // bytes of the folder's files, by their lengths
	Allocated                           int64 // bytes that the file system gave them: less where they have holes
}

// DiskUsage counts what is on disk, without reading bodies or undo data.
func (s *Badger) DiskUsage(ctx context.Context) (u DiskUsage, err error) {
	if err := s.reading(); err != nil {
		return u, err
	}
	defer s.life.RUnlock()
	classes := map[byte]*Usage{
		prefixBlock: &u.Bodies, prefixUndo: &u.Undo, prefixRecord: &u.Headers, prefixCoin: &u.Coins,
		prefixTx: &u.Index, prefixHistory: &u.Index,
	}
	err = s.kv.view(func(txn *badger.Txn) error {
		return eachItem(ctx, txn, nil, func(item *badger.Item) error {
			if class := classes[item.Key()[0]]; class != nil {
				class.Count++
				class.Bytes += item.EstimatedSize()
			}
			return nil
		})
	})
	if err == nil {
		u.Apparent, u.Allocated, err = folderSize(s.kv.db.Opts().Dir)
	}
	return u, err
}

// eachItem calls f with every key that has the prefix, in order; values are read where
// f does it.
func eachItem(ctx context.Context, txn *badger.Txn, prefix []byte, f func(*badger.Item) error) error {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := f(it.Item()); err != nil {
			return err
		}
	}
	return nil
}

// folderSize sums the files of a folder.
func folderSize(dir string) (apparent, allocated int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			apparent += info.Size()
			allocated += allocatedBytes(info)
		}
		return err
	})
	return apparent, allocated, err
}
