package storage

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/kapok-chain/kapok/consensus"
)

// A block file is one frame after another, as in Bitcoin Core's blk files and
// bootstrap.dat, with nothing before, between or after them:
//
//	magic    4 bytes, the first of the network's genesis hash as on the wire
//	length   4 bytes, little-endian: of the block, at most the network's max_weight
//	block    as on the wire
const (
	magicSize      = 4
	frameHead      = magicSize + 4
	minBlockSize   = consensus.HeaderSize + 1
	blockFileWrite = 1 << 20 // bytes that are written at once
)

// BlockFileError says what is wrong with a block file, and where.
type BlockFileError struct {
	Path   string
	Offset int64 // in bytes, of the frame
	Detail string
}

func (e *BlockFileError) Error() string {
	return fmt.Sprintf("block file %s, at byte %d: %s", e.Path, e.Offset, e.Detail)
}

// BlockMagic is what each frame of a network begins with.
func BlockMagic(p *consensus.Params) [magicSize]byte {
	hash := p.GenesisHash()
	return [magicSize]byte(hash[:magicSize])
}

// Frame is a block in a file.
type Frame struct {
	Offset int64 // of its magic
	Size   uint32
	Header consensus.Header
}

// End is the offset of what comes after the frame.
func (f *Frame) End() int64 { return f.Offset + frameHead + int64(f.Size) }

// BlockReader reads a block file: headers one after another, and the blocks that are
// wanted. It never holds more than one of the largest blocks.
type BlockReader struct {
	path  string
	r     io.ReaderAt
	size  int64
	magic [magicSize]byte
	most  uint32 // bytes of a block
	next  int64
}

// NewBlockReader reads from r, which has size bytes; path is for messages.
func NewBlockReader(p *consensus.Params, path string, r io.ReaderAt, size int64) *BlockReader {
	return &BlockReader{path: path, r: r, size: size, magic: BlockMagic(p), most: uint32(p.MaxWeight)}
}

// Size is the length of the file in bytes.
func (b *BlockReader) Size() int64 { return b.size }

// Offset is where the next frame begins.
func (b *BlockReader) Offset() int64 { return b.next }

// Fail is an error about a frame.
func (b *BlockReader) Fail(offset int64, format string, args ...any) error {
	return &BlockFileError{b.path, offset, fmt.Sprintf(format, args...)}
}

// Next reads the next frame's head and the header of its block: io.EOF after the
// last one, a *BlockFileError where there is no frame, or a part of one.
func (b *BlockReader) Next() (f Frame, err error) {
	left := b.size - b.next
	if left == 0 {
		return f, io.EOF
	}
	var head [frameHead + consensus.HeaderSize]byte
	n := min(int64(len(head)), left)
	if err := b.read(head[:n], b.next); err != nil {
		return f, err
	}
	if n >= magicSize && [magicSize]byte(head[:]) != b.magic {
		return f, b.Fail(b.next, "no block of this network begins here: it begins with %x, not with %x", head[:magicSize], b.magic)
	}
	if n < frameHead {
		return f, b.Fail(b.next, "the file ends within the head of a block: it was cut short")
	}
	f = Frame{Offset: b.next, Size: binary.LittleEndian.Uint32(head[magicSize:])}
	switch {
	case f.Size < minBlockSize || f.Size > b.most:
		return f, b.Fail(b.next, "a block is said to have %d bytes; one has %d to %d", f.Size, minBlockSize, b.most)
	case f.End() > b.size:
		return f, b.Fail(b.next, "the file ends within a block, %d of whose %d bytes are missing: it was cut short", f.End()-b.size, f.Size)
	}
	if f.Header, err = consensus.DecodeHeader(head[frameHead:]); err != nil {
		return f, b.Fail(b.next, "%v", err)
	}
	b.next = f.End()
	return f, nil
}

// Check looks at the first frame, and leaves the next one where it is.
func (b *BlockReader) Check() error {
	first := *b
	if _, err := first.Next(); err != io.EOF {
		return err
	}
	return b.Fail(0, "it is empty")
}

// Block reads a frame's block.
func (b *BlockReader) Block(f Frame) (*consensus.Block, error) {
	raw := make([]byte, f.Size)
	if err := b.read(raw, f.Offset+frameHead); err != nil {
		return nil, err
	}
	block, err := consensus.DecodeBlock(raw)
	if err != nil {
		return nil, b.Fail(f.Offset, "the block is damaged: %v", err) // %v: no block was judged
	}
	return block, nil
}

func (b *BlockReader) read(p []byte, at int64) error {
	if n, err := b.r.ReadAt(p, at); n < len(p) {
		return fmt.Errorf("storage: read block file %s at byte %d: %w", b.path, at, err)
	}
	return nil
}

// BlockWriter writes a block file, which takes its name when it is complete and on
// disk.
type BlockWriter struct {
	path  string
	file  *os.File // of another name until then
	w     *bufio.Writer
	magic [magicSize]byte
	bytes int64
}

// CreateBlockFile begins a block file. It fails where there is something of that name
// already. The caller calls Commit or Abort.
func CreateBlockFile(p *consensus.Params, path string) (*BlockWriter, error) {
	switch _, err := os.Lstat(path); {
	case err == nil:
		return nil, fmt.Errorf("storage: block file %s: %w", path, fs.ErrExist)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("storage: block file: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp")
	if err != nil {
		return nil, fmt.Errorf("storage: block file: %w", err)
	}
	return &BlockWriter{path: path, file: f, w: bufio.NewWriterSize(f, blockFileWrite), magic: BlockMagic(p)}, nil
}

// Write adds a serialized block.
func (b *BlockWriter) Write(raw []byte) error {
	head := binary.LittleEndian.AppendUint32(b.magic[:], uint32(len(raw)))
	_, err := b.w.Write(head)
	if err == nil {
		_, err = b.w.Write(raw)
	}
	b.bytes += int64(len(head) + len(raw))
	return b.failed(err)
}

// Bytes is how many were written.
func (b *BlockWriter) Bytes() int64 { return b.bytes }

// Commit puts the file in its place, on disk.
func (b *BlockWriter) Commit() error {
	err := b.w.Flush()
	if err == nil {
		err = b.file.Sync()
	}
	if err = errors.Join(err, b.file.Close()); err == nil {
		err = os.Rename(b.file.Name(), b.path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(b.path))
	}
	if err != nil {
		os.Remove(b.file.Name())
	}
	return b.failed(err)
}

// Abort removes what was written.
func (b *BlockWriter) Abort() error {
	return b.failed(errors.Join(b.file.Close(), os.Remove(b.file.Name())))
}

func (b *BlockWriter) failed(err error) error {
	if err != nil {
		return fmt.Errorf("storage: write block file %s: %w", b.path, err)
	}
	return nil
}
