package storage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/frugal"
)

// frames writes blocks as a block file.
func frames(p *consensus.Params, blocks ...*consensus.Block) []byte {
	var b []byte
	magic := BlockMagic(p)
	for _, block := range blocks {
		b = append(b, magic[:]...)
		b = binary.LittleEndian.AppendUint32(b, uint32(block.Size()))
		b = append(b, block.Bytes()...)
	}
	return b
}

// readFrames reads a file to its end, and what it says there.
func readFrames(p *consensus.Params, file []byte) (blocks []*consensus.Block, err error) {
	r := NewBlockReader(p, "some.dat", bytes.NewReader(file), int64(len(file)))
	for {
		f, err := r.Next()
		if err == io.EOF {
			return blocks, nil
		}
		if err != nil {
			return blocks, err
		}
		block, err := r.Block(f)
		if err != nil {
			return blocks, err
		}
		blocks = append(blocks, block)
	}
}

// The format is that of Bitcoin Core's files: this one is spelled out.
func TestBlockFileFormat(t *testing.T) {
	w := newWorld(1)
	dir := t.TempDir()
	path := filepath.Join(dir, "blocks.dat")
	f, err := CreateBlockFile(w.params, path)
	must(t, err)
	a := w.grow(w.root, 2)
	must(t, f.Write(w.params.Genesis().Bytes()))
	must(t, f.Write(a.block.Bytes()))
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file has its name before it is complete: %v", err)
	}
	must(t, f.Commit())
	got, err := os.ReadFile(path)
	must(t, err)
	hash := w.params.GenesisHash()
	want := append([]byte{}, hash[:4]...)
	size := w.params.Genesis().Size()
	want = append(want, byte(size), byte(size>>8), 0, 0)
	want = append(want, w.params.Genesis().Bytes()...)
	if !bytes.HasPrefix(got, want) || !bytes.Equal(got, frames(w.params, w.params.Genesis(), a.block)) || f.Bytes() != int64(len(got)) {
		t.Errorf("the file is %x", got)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("beside it: %v", left)
	}
	if _, err := CreateBlockFile(w.params, path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("an existing file is written over: %v", err)
	}
	g, err := CreateBlockFile(w.params, path+"2")
	must(t, err)
	must(t, g.Abort())
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("after Abort: %v", left)
	}
}

// What is wrong with a file is said with the offset of the frame that it is wrong
// with, and the blocks before it are read.
func TestBlockFileFaults(t *testing.T) {
	w := newWorld(1)
	a, genesis := w.grow(w.root, 2), w.params.Genesis()
	good := frames(w.params, genesis, a.block)
	second := len(frames(w.params, genesis))
	with := func(at int, b ...byte) []byte {
		file := bytes.Clone(good)
		copy(file[at:], b)
		return file
	}
	for name, test := range map[string]struct {
		file   []byte
		blocks int
		words  string
	}{
		"good":               {good, 2, ""},
		"empty":              {nil, 0, ""},
		"cut in the magic":   {good[:second+2], 1, "ends within the head of a block"},
		"cut in the length":  {good[:second+5], 1, "ends within the head of a block"},
		"cut in the header":  {good[:second+40], 1, "ends within a block"},
		"cut in the body":    {good[:len(good)-1], 1, "1 of whose"},
		"foreign":            {with(second, 0xf9, 0xbe, 0xb4, 0xd9), 1, "begins with f9beb4d9, not with"},
		"no file of blocks":  {[]byte("Dear diary, today"), 0, "no block of this network begins here"},
		"zeros behind":       {append(bytes.Clone(good), make([]byte, 4096)...), 2, "begins with 00000000"},
		"length of nothing":  {with(second+4, 80, 0, 0, 0), 1, "said to have 80 bytes; one has 81 to 4000000"},
		"enormous length":    {with(second+4, 0xff, 0xff, 0xff, 0xff), 1, "said to have 4294967295 bytes"},
		"damaged in a count": {with(second+8+80, 0xfd), 1, "the block is damaged: decode-"},
	} {
		t.Run(name, func(t *testing.T) {
			blocks, err := readFrames(w.params, test.file)
			if len(blocks) != test.blocks {
				t.Errorf("%d blocks are read, want %d", len(blocks), test.blocks)
			}
			if test.words == "" {
				must(t, err)
				return
			}
			var where *BlockFileError
			if !errors.As(err, &where) || !strings.Contains(err.Error(), test.words) || consensus.AsRuleError(err) != nil {
				t.Fatalf("it says %v, not %q", err, test.words)
			}
			want := []int{0, second, len(good)}[test.blocks]
			if where.Offset != int64(want) || !strings.Contains(err.Error(), "some.dat, at byte ") {
				t.Errorf("it names byte %d, not %d: %v", where.Offset, want, err)
			}
		})
	}
}

// Whatever a file holds, reading it ends, with blocks that write the same bytes, or
// with the offset of the frame that is none; and no more is held than the file has.
func FuzzBlockFile(f *testing.F) {
	p := consensus.Regtest()
	genesis := p.Genesis()
	good := frames(p, genesis, genesis)
	f.Add([]byte{})
	f.Add(good)
	f.Add(good[:len(good)-7])
	f.Add(append(bytes.Clone(good), 0))
	f.Add([]byte("Dear diary"))
	f.Fuzz(func(t *testing.T, file []byte) {
		var blocks []*consensus.Block
		var err error
		frugal.Call(t, "readFrames", len(file), func() { blocks, err = readFrames(p, file) })
		read := frames(p, blocks...)
		if !bytes.HasPrefix(file, read) {
			t.Fatalf("%d blocks are not what stands in the file", len(blocks))
		}
		var where *BlockFileError
		switch {
		case err == nil && len(read) != len(file):
			t.Fatalf("%d of %d bytes were read without a word", len(read), len(file))
		case err != nil && (!errors.As(err, &where) || where.Offset != int64(len(read))):
			t.Fatalf("after %d bytes: %v", len(read), err)
		}
	})
}
