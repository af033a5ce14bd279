package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/dgraph-io/badger/v4"
)

// Badger 4.9.6 drops what was to be in a table that a compaction could not make: the
// error goes nowhere (levels.go, subcompact). compactions finds that out. Badger says
// in its debug log how many keys go into each new table, and when a compaction is
// done: by then there must be a table of that many keys.
type compactions struct {
	tables func() []badger.TableInfo

	mu      sync.Mutex
	running map[int]*compaction // by compactor
}

type compaction struct {
	newest uint64   // table when it began
	keys   []uint64 // in each new table
}

// follow reads a line of Badger's debug log. It returns how many keys are lost.
func (c *compactions) follow(format string, args []any) (lost uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case strings.HasPrefix(format, "[%d] LOG Compact. Added %d keys"):
		id, ok := args[0].(int)
		keys, counts := args[1].(uint64)
		if !ok || !counts || keys == 0 {
			return 0
		}
		if c.running[id] == nil {
			c.running[id] = &compaction{newest: c.newest()}
		}
		c.running[id].keys = append(c.running[id].keys, keys)
	case strings.HasPrefix(format, "[Compactor: %d] Compaction for level: %d DONE"):
		id, _ := args[0].(int)
		if one := c.running[id]; one != nil {
			delete(c.running, id)
			return one.lost(c.tables())
		}
	}
	return 0
}

func (c *compactions) newest() (id uint64) {
	for _, t := range c.tables() {
		id = max(id, t.ID)
	}
	return id
}

// lost counts the keys that were to go into a table that is not there.
func (c *compaction) lost(tables []badger.TableInfo) (keys uint64) {
	made := make(map[uint64]int)
	for _, t := range tables {
		if t.ID > c.newest {
			made[uint64(t.KeyCount)]++
		}
	}
	for _, n := range c.keys {
		if made[n]--; made[n] < 0 {
			keys += n
		}
	}
	return keys
}

// lostFile says, in a data directory, that tables of its database are lost.
const lostFile = "kapok.lost"

// noteLost leaves word for the next start, which must not take what is left for all.
func noteLost(dir, text string) error {
	path := filepath.Join(dir, lostFile)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text + "\n")
	return errors.Join(err, f.Sync(), f.Close(), syncDir(dir))
}

// checkLost fails where tables are lost.
func checkLost(dir string) error {
	path := filepath.Join(dir, lostFile)
	_, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("storage: %w", err)
	}
	return fmt.Errorf("%w: a table could not be written when the node ran last (%s); move %s and that file away, and the node fetches the chain from its peers",
		ErrDamaged, path, filepath.Join(dir, chainDir))
}
