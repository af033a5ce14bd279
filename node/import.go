package node

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/storage"
)

const (
	// importBatch and importBytes bound the blocks whose headers are known before
	// their coins are looked at, and so what shares a sync: as much as a store lets
	// wait for one.
	importBatch = 500
	importBytes = 8 << 20
	// maxWaitingFrames bounds the blocks of a file that came before their parents:
	// 15 MB of places in it, not of blocks.
	maxWaitingFrames = 100_000
)

// Import takes the blocks of a file into a node that is not running, each judged by
// all rules on the road of a submitted block. Blocks that are stored already are
// passed by, so that an import that was cut short goes on where it was. Call Step
// until there is nothing left; however it ends, what was taken stays.
type Import struct {
	node    offline
	file    *storage.BlockReader
	waiting map[consensus.Hash][]storage.Frame // by the parent that they wait for
	held    int                                // frames in waiting
	queue   []storage.Frame                    // whose parents are here
	batch   map[consensus.Hash]storage.Frame   // taken, perhaps not connected yet
	last    error                              // why no more is read: io.EOF, or what is wrong

	imported, known int
}

// NewImport prepares to read a file into a store.
func NewImport(p *consensus.Params, store storage.Store, verifier consensus.Verifier, file *storage.BlockReader) (*Import, error) {
	n, err := newOffline(p, store, verifier)
	if err != nil {
		return nil, err
	}
	return &Import{node: n, file: file, waiting: make(map[consensus.Hash][]storage.Frame), batch: make(map[consensus.Hash]storage.Frame)}, nil
}

// Step connects one block, or takes a batch of them. It reports whether there is more
// to do. A *storage.BlockFileError says what is wrong with the file, after everything
// before it was connected. Any other error is a fault of ours, or that of ctx.
func (i *Import) Step(ctx context.Context, now time.Time) (more bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	job, err := i.node.step(now)
	switch {
	case err != nil:
		return false, err
	case job != nil:
		if job.rule != nil {
			f, ok := i.batch[job.step.Block.Hash]
			if !ok { // it was on a branch that is the best one since this batch
				f.Offset = i.file.Offset()
			}
			i.refuse(f, job.step.Block.Hash, job.rule)
		}
		return true, nil
	case i.last != nil && len(i.queue) == 0:
		return false, i.end()
	}
	return true, i.take(now)
}

// Progress is how far the file was read, in bytes.
func (i *Import) Progress() (done, total int64) { return i.file.Offset(), i.file.Size() }

// Tip is the last block of the active chain.
func (i *Import) Tip() *consensus.BlockIndex { return i.node.Tip() }

// Blocks counts the blocks that were taken, and those that were stored already.
func (i *Import) Blocks() (imported, known int) { return i.imported, i.known }

// take stores the next blocks. All before them are connected; theirs are the best
// headers then, so that only the last one of them waits for a sync.
func (i *Import) take(now time.Time) error {
	clear(i.batch)
	bytes := int64(0)
	for range importBatch {
		if len(i.queue) == 0 {
			i.read()
			continue
		}
		f := i.queue[0]
		i.queue = i.queue[1:]
		if err := i.submit(now, f); err != nil {
			return err
		}
		if bytes += int64(f.Size); bytes >= importBytes {
			break
		}
	}
	return nil
}

// read finds out about the next block of the file, by its header alone.
func (i *Import) read() {
	if i.last != nil {
		return
	}
	f, err := i.file.Next()
	if err != nil {
		i.last = err
		return
	}
	index := i.node.Lookup(f.Header.Hash())
	switch {
	case index != nil && index.HasBody() && !index.Failed():
		i.known++
	case i.node.Lookup(f.Header.Prev) != nil:
		i.queue = append(i.queue, f)
	case i.held == maxWaitingFrames:
		i.last = i.file.Fail(f.Offset, "%d blocks before this one wait for parents that did not come yet: the file is not in order", i.held)
	default:
		i.held++
		i.waiting[f.Header.Prev] = append(i.waiting[f.Header.Prev], f)
	}
}

// submit takes a block, and queues those that waited for it.
func (i *Import) submit(now time.Time, f storage.Frame) error {
	block, err := i.file.Block(f)
	if err != nil {
		i.stop(err)
		return nil
	}
	index, err := i.node.SubmitBlock(now, block)
	switch rule := consensus.AsRuleError(err); {
	case rule != nil && rule.Code == consensus.ErrDuplicate: // it stands in the file twice
		i.known++
		return nil
	case rule != nil:
		i.refuse(f, block.Hash(), rule)
		return nil
	case err != nil:
		return err
	}
	i.imported++
	i.batch[index.Hash] = f
	children := i.waiting[index.Hash]
	delete(i.waiting, index.Hash)
	i.held -= len(children)
	i.queue = append(i.queue, children...)
	return nil
}

// refuse ends the import for a block that breaks a rule.
func (i *Import) refuse(f storage.Frame, hash consensus.Hash, rule *consensus.RuleError) {
	i.stop(i.file.Fail(f.Offset, "block %s is refused: %v", hash, rule))
}

// stop ends the reading. What was taken before is still connected.
func (i *Import) stop(err error) { i.last, i.queue = err, nil }

// end says why no more is read, if it is not that all was.
func (i *Import) end() error {
	if err := i.node.Sync(); err != nil || i.last != io.EOF {
		return errors.Join(err, i.last)
	}
	if i.held == 0 {
		return nil
	}
	first := storage.Frame{Offset: i.file.Size()}
	for _, frames := range i.waiting {
		if frames[0].Offset < first.Offset {
			first = frames[0]
		}
	}
	return i.file.Fail(first.Offset, "neither the file nor the node has the parent %s of this block (blocks without one: %d): import what comes before it first", first.Header.Prev, i.held)
}
