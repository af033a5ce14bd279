package storage

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const corruptionsEnv = "KAPOK_CORRUPTIONS" // cases of each kind of damage to each kind of file; the default is a short slice

// image is a data directory in memory, to be damaged again and again.
type image map[string]imageFile // by path in the directory

// imageFile is a file without the zeros at its end, which Badger's logs have millions of.
type imageFile struct {
	data []byte
	size int64
}

func takeImage(t testing.TB, dir string) image {
	t.Helper()
	m := make(image)
	must(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		m[name] = imageFile{bytes.Clone(bytes.TrimRight(data, "\x00")), int64(len(data))}
		return err
	}))
	return m
}

func (m image) write(t testing.TB, dir string) {
	t.Helper()
	for name, f := range m {
		path := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o700))
		must(t, os.WriteFile(path, f.data, 0o600))
		must(t, os.Truncate(path, f.size))
	}
}

// class is what kind of file a path names.
func class(name string) string {
	if ext := filepath.Ext(name); ext == ".sst" || ext == ".vlog" || ext == ".mem" {
		return ext
	}
	return filepath.Base(name)
}

// damages are what the suite does to a file.
var damages = map[string]func(*rand.Rand, imageFile) (imageFile, bool){
	"flip": func(rng *rand.Rand, f imageFile) (imageFile, bool) {
		if f.size == 0 {
			return f, true
		}
		f.data = bytes.Clone(f.data)
		if len(f.data) == 0 { // zeros only
			f.data = make([]byte, min(f.size, 64))
		}
		f.data[rng.IntN(len(f.data))] ^= 1 << rng.IntN(8)
		return f, true
	},
	"truncate": func(rng *rand.Rand, f imageFile) (imageFile, bool) {
		if f.size == 0 {
			return f, true
		}
		used := int64(max(len(f.data), 1)) // what is cut is not all zeros
		f.size = rng.Int64N(used)
		f.data = f.data[:min(f.size, int64(len(f.data)))]
		return f, true
	},
	"delete": func(*rand.Rand, imageFile) (imageFile, bool) { return imageFile{}, false },
}

// corrupted is a chain with the images of its directory.
type corrupted struct {
	*world
	tip            *node
	closed, killed sound
}

// sound is a directory without damage, and what is in it.
type sound struct {
	image
	at      *node
	nodes   []*node // those with a body
	records int
}

// newCorrupted makes a directory with several tables and value logs, bodies and undo data
// in both, and takes one image after it was closed, and one as a kill in the middle of the
// next life leaves it.
func newCorrupted(t *testing.T) *corrupted {
	c := &corrupted{world: newWorld(30)}
	dir := t.TempDir()
	o := Options{Dir: dir, Index: true, Lean: true}
	at := c.root
	grow := func(s *Badger, blocks int) {
		for n := range blocks {
			next := c.grow(at, c.rng.IntN(8))
			if n%4 == 1 {
				next = c.fan(at, 60, min(len(at.coins), 30))
			}
			must(t, attach(s, next))
			at = next
		}
	}
	for range 3 {
		s, err := Open(c.params, o)
		must(t, err)
		grow(s, 6)
		must(t, s.Close())
	}
	c.closed = sound{takeImage(t, dir), at, append([]*node{c.root}, at.chain()...), int(at.height)}
	s, err := Open(c.params, o)
	must(t, err)
	side := c.grow(at.parent, 3)
	must(t, s.PutBlock(side.record(hasBody), side.block))
	grow(s, 6)
	must(t, s.Flush())
	flushed := at
	grow(s, 4)
	c.killed = sound{takeImage(t, dir), flushed, append([]*node{c.root, side}, at.chain()...), int(at.height) + 1}
	must(t, s.Close())
	c.tip = at
	return c
}

// verdict is what came of one case.
type verdict string

const (
	identical verdict = "identical" // all is there, and nothing was said
	told      verdict = "repaired"  // something was found, or said, and is made good
	refusal   verdict = "refused"
	silent    verdict = "SILENT"
)

// try opens a damaged directory, looks at all that is in it, and repairs what was found.
func (c *corrupted) try(t *testing.T, dir string, was sound) (verdict, error) {
	s, err := Open(c.params, Options{Dir: dir, Index: true, Lean: true})
	if err != nil {
		return c.refused(dir, err)
	}
	defer func() { must(t, s.Close()) }()
	state, err := s.Load()
	if err != nil {
		return c.refused(dir, err)
	}
	at := find(t, was.nodes, s.Tip())
	var wrong []error
	coins := false // or what else is made anew with them
	if err := agree(s, at, true); err != nil {
		coins, wrong = true, append(wrong, err)
	}
	if at != was.at || len(state.Records) != was.records {
		coins = true
		wrong = append(wrong, fmt.Errorf("the tip is at height %d, not %d; %d headers, not %d", at.height, was.at.height, len(state.Records), was.records))
	}
	var lost []*node
	for _, n := range was.nodes {
		b, err := s.Block(n.hash)
		if err != nil {
			lost, wrong = append(lost, n), append(wrong, err)
		} else if !bytes.Equal(b.Bytes(), n.block.Bytes()) {
			return silent, errors.New("another body")
		}
		undo, err := s.Undo(n.hash)
		switch active := n.height <= at.height && n == slices.Concat([]*node{c.root}, at.chain())[n.height]; {
		case err != nil && active:
			coins, wrong = true, append(wrong, err)
		case err == nil && !slices.Equal(undo.Spent, n.delta.Undo.Spent):
			return silent, errors.New("other undo data")
		}
	}
	known := state.Suspect || s.damage.Load()
	if found, kept, err := s.Recount(t.Context()); err == nil && found != kept {
		known = true
	}
	switch {
	case len(wrong) == 0 && !known:
		return identical, nil
	case !known:
		return silent, errors.Join(wrong...)
	}
	for _, n := range lost { // as from peers
		must(t, s.PutBlock(n.record(hasBody), n.block))
	}
	if coins {
		must(t, s.ResetCoins())
		at = c.root
	}
	if err := walk(s, at, c.tip); err != nil {
		return silent, fmt.Errorf("repair of %w: %w", errors.Join(wrong...), err)
	}
	if err := agree(s, c.tip, true); err != nil {
		return silent, fmt.Errorf("repair of %w: %w", errors.Join(wrong...), err)
	}
	return told, errors.Join(wrong...)
}

// refused makes sure that a refusal says what to do.
func (c *corrupted) refused(dir string, err error) (verdict, error) {
	remedy := "delete " + filepath.Join(dir, chainDir) + " and start again"
	if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), remedy) {
		return silent, fmt.Errorf("the refusal does not say what to do: %w", err)
	}
	return refusal, err
}

// TestCorruption damages each kind of file in each way, one at a time: what is there
// afterwards is what was there, or it is said, and made good; or the start is refused.
// KAPOK_CORRUPTIONS=50 does each as often.
func TestCorruption(t *testing.T) {
	times := 1
	if text := os.Getenv(corruptionsEnv); text != "" {
		_, err := fmt.Sscan(text, &times)
		must(t, err)
	}
	c := newCorrupted(t)
	for name, of := range map[string]sound{"closed": c.closed, "killed": c.killed} {
		byClass := make(map[string][]string)
		for _, file := range slices.Sorted(maps.Keys(of.image)) {
			byClass[class(file)] = append(byClass[class(file)], file)
		}
		for _, kind := range slices.Sorted(maps.Keys(byClass)) {
			counts := make(map[verdict]int)
			for _, how := range slices.Sorted(maps.Keys(damages)) {
				for n := range times {
					seed := uint64(n)<<16 | uint64(len(kind))<<8 | uint64(len(how))
					rng := rand.New(rand.NewPCG(seed, uint64(os.Getpid()*min(times-1, 1))))
					file := byClass[kind][rng.IntN(len(byClass[kind]))]
					dir := t.TempDir()
					bad := maps.Clone(of.image)
					delete(bad, file)
					if f, left := damages[how](rng, of.image[file]); left {
						bad[file] = f
					}
					bad.write(t, dir)
					v, err := c.try(t, dir, of)
					counts[v]++
					if v == silent {
						t.Errorf("%s, %s of %s (%d): %v", name, how, file, n, err)
					}
					must(t, os.RemoveAll(dir))
				}
			}
			t.Logf("%s %-15s identical %d, repaired %d, refused %d, silent %d", name, kind, counts[identical], counts[told], counts[refusal], counts[silent])
		}
	}
}
