package storage

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4/options"

	"github.com/kapok-chain/kapok/consensus"
)

// built makes a closed store with a few blocks, the last of which lies in the
// value log; not in the newest one, which Badger reads through when it opens
// and cuts off at the first damage.
func built(t *testing.T, dir string) (*world, *node) {
	t.Helper()
	w := newWorld(20)
	tip := w.fan(w.grow(w.grow(w.root, 0), 3), 100, 2)
	s, err := Open(w.params, Options{Dir: dir, Index: true, Lean: true})
	must(t, err)
	must(t, walk(s, w.root, tip))
	must(t, s.Close())
	s, err = Open(w.params, Options{Dir: dir, Index: true, Lean: true})
	must(t, err)
	must(t, s.Close())
	return w, tip
}

func files(t *testing.T, dir, ext string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, chainDir, "*"+ext))
	must(t, err)
	return list
}

// flip changes one byte in the middle of the first occurrence of a text.
func flip(t *testing.T, paths []string, text []byte) {
	t.Helper()
	for _, path := range paths {
		data, err := os.ReadFile(path)
		must(t, err)
		if at := bytes.Index(data, text); at >= 0 {
			data[at+len(text)/2] ^= 1
			must(t, os.WriteFile(path, data, 0o600))
			return
		}
	}
	t.Fatal("the text is not on disk")
}

// A byte that flips in a body, wherever it is, is damage: no other block, and
// nothing that a peer did.
func TestFlippedByteInBody(t *testing.T) {
	for name, part := range map[string]func(*consensus.Block) []byte{
		"header":  func(b *consensus.Block) []byte { h := b.Header.Bytes(); return h[:] },
		"tx":      func(b *consensus.Block) []byte { return b.Txs[0].AppendStripped(nil)[4:60] },
		"witness": func(b *consensus.Block) []byte { return b.Txs[1].Bytes()[b.Txs[1].StrippedSize()-30:] },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			w, tip := built(t, dir)
			flip(t, files(t, dir, ".vlog"), part(tip.block))
			s, err := Open(w.params, Options{Dir: dir, Index: true, Lean: true})
			must(t, err)
			defer func() { kill(s) }()
			_, err = s.Block(tip.hash)
			wantIs(t, "Block", err, ErrDamaged)
			if errors.Is(err, ErrNotFound) {
				t.Error("a damaged body was called missing")
			}
			_, err = s.RawBlock(tip.hash)
			wantIs(t, "RawBlock", err, ErrDamaged)
			if _, err := s.Block(tip.parent.hash); err != nil {
				t.Errorf("another block: %v", err)
			}
		})
	}
}

// A value log that is gone: Badger says "empty, no error".
func TestLostValueLog(t *testing.T) {
	dir := t.TempDir()
	w, tip := built(t, dir)
	for _, path := range files(t, dir, ".vlog") {
		must(t, os.Remove(path))
	}
	s, err := Open(w.params, Options{Dir: dir, Index: true, Lean: true})
	must(t, err)
	defer func() { kill(s) }()
	_, err = s.Block(tip.hash)
	wantIs(t, "Block", err, ErrDamaged)
	_, err = s.Undo(tip.hash)
	if err != nil && !errors.Is(err, ErrDamaged) {
		t.Errorf("Undo: %v", err)
	}
}

// A byte that flips in a table of keys and small values is found on Open.
func TestFlippedByteInTable(t *testing.T) {
	dir := t.TempDir()
	w, tip := built(t, dir)
	flip(t, files(t, dir, ".sst"), encodeRecord(ptr(tip.record(connected))))
	for _, readOnly := range []bool{true, false} {
		s, err := Open(w.params, Options{Dir: dir, Index: true, Lean: true, ReadOnly: readOnly && runtime.GOOS != "windows"})
		if err == nil {
			_, err = s.Load()
			kill(s)
		}
		wantIs(t, "a flipped byte in a table", err, ErrDamaged)
	}
}

func ptr[T any](v T) *T { return &v }

// A coin that the disk lost is found by its sum, and a reset brings it back.
func TestLostCoin(t *testing.T) {
	dir := t.TempDir()
	w, tip := built(t, dir)
	s, err := Open(w.params, Options{Dir: dir, Index: true, Lean: true})
	must(t, err)
	defer func() { kill(s) }()
	for op := range tip.coins {
		wr := s.kv.writer()
		wr.del(coinKey(op))
		must(t, wr.commit())
		break
	}
	found, kept, err := s.Recount(t.Context())
	must(t, err)
	if found == kept || found.Count != kept.Count-1 {
		t.Errorf("found %v, kept %v", found, kept)
	}
	must(t, s.ResetCoins())
	must(t, walk(s, w.root, tip))
	must(t, agree(s, tip, true))
}

// What a kill leaves between the creation of a file and its first byte.
func TestStillborn(t *testing.T) {
	for _, name := range []string{"00099.mem", "000099.vlog"} {
		dir := t.TempDir()
		w, tip := built(t, dir)
		path := filepath.Join(dir, chainDir, name)
		must(t, os.WriteFile(path, nil, 0o600))
		s, err := Open(w.params, Options{Dir: dir, Index: true, Lean: true})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		must(t, agree(s, tip, true))
		must(t, s.Close())
	}
}

// A file that was emptied by something else is damage, also on a second try.
func TestEmptiedFile(t *testing.T) {
	dir := t.TempDir()
	w, _ := built(t, dir)
	logs := files(t, dir, ".vlog")
	if len(logs) < 2 {
		t.Fatalf("%d value logs", len(logs))
	}
	must(t, os.Truncate(logs[0], 0))
	for range 2 {
		refused(t, w.params, Options{Dir: dir, Index: true, Lean: true}, ErrDamaged, filepath.Base(logs[0]))
	}
}

func TestLostManifest(t *testing.T) {
	dir := t.TempDir()
	w, _ := built(t, dir)
	must(t, os.Remove(filepath.Join(dir, chainDir, "MANIFEST")))
	before := len(files(t, dir, ".sst"))
	refused(t, w.params, Options{Dir: dir, Index: true, Lean: true}, ErrDamaged, "MANIFEST")
	if after := len(files(t, dir, ".sst")); after != before {
		t.Errorf("%d of %d tables are left", after, before)
	}
}

// Values swapped between keys, or cut, do not pass.
func TestSeal(t *testing.T) {
	sealed := seal([]byte("key"), []byte("value"))
	if got, err := unseal([]byte("key"), sealed); err != nil || string(got) != "value" {
		t.Errorf("unseal = %q, %v", got, err)
	}
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 0x10
		_, err := unseal([]byte("key"), bad)
		wantIs(t, "flipped", err, ErrDamaged)
		_, err = unseal([]byte("key"), sealed[:i])
		wantIs(t, "cut", err, ErrDamaged)
	}
	_, err := unseal([]byte("other key"), sealed)
	wantIs(t, "swapped", err, ErrDamaged)
}

// Badger logs a failed sync of its value log and goes on; we do not.
func TestFailedSync(t *testing.T) {
	w := newWorld(21)
	var text strings.Builder
	log := newBadgerLog(slog.New(slog.NewTextHandler(&text, nil)))
	s, err := open(w.params, newKV(tinyDB(t), log), Options{})
	must(t, err)
	must(t, attach(s, w.grow(w.root, 0)))
	log.Errorf("Error while curlf sync: %v\n", errors.New("input/output error"))
	a := w.grow(w.root, 0)
	must(t, s.PutBlock(a.record(hasBody), a.block))
	if err := s.Sync(); err == nil || !strings.Contains(err.Error(), "input/output error") {
		t.Errorf("acknowledged after a failed sync: %v", err)
	}
	if !strings.Contains(text.String(), "input/output error") {
		t.Error("the message got lost")
	}
}

// A body that is whole, and not the one of that hash.
func TestWrongBody(t *testing.T) {
	w := newWorld(22)
	s, err := open(w.params, newKV(tinyDB(t), newBadgerLog(nil)), Options{})
	must(t, err)
	a, b := w.grow(w.root, 0), w.grow(w.root, 0)
	mixed := &consensus.Block{Header: a.block.Header, Txs: b.block.Txs}
	for name, body := range map[string]*consensus.Block{"another block": b.block, "another block's transactions": mixed} {
		must(t, s.PutBlock(a.record(hasBody), body))
		must(t, s.Sync())
		_, err := s.Block(a.hash)
		wantIs(t, name, err, ErrDamaged)
	}
}

// What a kill -9 cannot show, because the page cache outlives it.
func TestSettings(t *testing.T) {
	for _, lean := range []bool{false, true} {
		o := settings("x", lean, newBadgerLog(nil))
		if !o.SyncWrites || o.DetectConflicts || o.NumVersionsToKeep != 1 || o.ChecksumVerificationMode != options.OnTableRead ||
			o.ValueLogFileSize != 64<<20 || o.ValueThreshold > 4<<10 || o.Compression != options.None {
			t.Errorf("lean %v: %+v", lean, o)
		}
		if o.BlockCacheSize != 0 || o.IndexCacheSize != 0 { // 0 means none at all
			t.Errorf("lean %v: caches of %d and %d bytes, for nothing", lean, o.BlockCacheSize, o.IndexCacheSize)
		}
	}
}

// All writes go through writer: Badger's WriteBatch commits in pieces of its own choosing,
// and a transaction committed elsewhere would not be counted in the inventory.
func TestOneRoadForWrites(t *testing.T) {
	sources, err := filepath.Glob("*.go")
	must(t, err)
	for _, path := range sources {
		text, err := os.ReadFile(path)
		must(t, err)
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		if bytes.Contains(text, []byte("WriteBatch(")) || path != "kv.go" && bytes.Contains(text, []byte("NewTransaction(true)")) {
			t.Errorf("%s writes by a road of its own", path)
		}
	}
}
