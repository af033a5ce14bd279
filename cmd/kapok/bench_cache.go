package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/mempool"
	"github.com/kapok-chain/kapok/node"
	"github.com/kapok-chain/kapok/p2p"
	"github.com/kapok-chain/kapok/storage"
)

// Chains to measure with take longer to make than to measure. They are kept in the
// system's temporary directory, from one run to the next; whoever wants the room back,
// or has changed what a node stores, removes cacheDir.

// cacheDir is where, for this user and this version.
func cacheDir() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("kapok-bench-%s-%d", version, max(0, os.Getuid())))
}

// cached returns a directory of the cache. Where it is not there yet, fill makes it; one
// that was not filled to the end is not kept.
func cached(name string, fill func(dir string) error) (dir string, err error) {
	if err := os.MkdirAll(cacheDir(), 0o700); err != nil {
		return "", err
	}
	// Somebody else's directory may hold anything, and what is ours nobody else can write to.
	info, err := os.Lstat(cacheDir())
	if err != nil {
		return "", err
	}
	if !info.IsDir() || info.Mode().Perm()&0o077 != 0 && os.PathSeparator == '/' {
		return "", fmt.Errorf("%s is not a directory of yours alone (mode %v): remove it", cacheDir(), info.Mode())
	}
	dir = filepath.Join(cacheDir(), name)
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return dir, err
	}
	fresh, err := os.MkdirTemp(cacheDir(), "making-")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(fresh)) }()
	if err := fill(fresh); err != nil {
		return "", err
	}
	err = os.Rename(fresh, dir)
	if _, there := os.Stat(dir); there == nil {
		err = nil // another bench made it meanwhile
	}
	return dir, err
}

// copied makes a copy of a directory, for a node to work in.
func copied(dir string) (work string, remove func() error, err error) {
	if work, err = os.MkdirTemp("", "kapok-bench-"); err != nil {
		return "", nil, err
	}
	remove = func() error { return os.RemoveAll(work) }
	if err := os.CopyFS(work, os.DirFS(dir)); err != nil {
		return "", nil, errors.Join(err, remove())
	}
	return work, remove, nil
}

// storeEvery is how many blocks are stored before they are connected: the disk waits
// for the last of them only.
const storeEvery = 500

// storeChain puts a chain into a node's directory.
func storeChain(ctx context.Context, params *consensus.Params, dir string, blocks []*consensus.Block, p progress) (err error) {
	store, err := storage.Open(params, storage.Options{Dir: dir, Index: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	n, err := node.New(node.Config{
		Params: params, Store: store, Mempool: mempool.DefaultConfig(),
		P2P: p2p.Config{Params: params, Agent: agent}, Rand: rand.New(rand.NewPCG(1, 1)),
	})
	if err != nil {
		return err
	}
	verifier, now := consensus.Verifier{Workers: thisMachine().Cores}, time.Now()
	for i, block := range blocks {
		if _, err := n.SubmitBlock(now, block); err != nil {
			return fmt.Errorf("block %d: %w", i+1, err)
		}
		if i%storeEvery < storeEvery-1 && i < len(blocks)-1 {
			continue
		}
		p.show("  storing block %d of %d", i+1, len(blocks))
		if err := errors.Join(n.Advance(now, verifier), ctx.Err()); err != nil {
			return err
		}
		n.Changes() // nobody else is told
		n.Outbox()
	}
	if tip := blocks[len(blocks)-1].Hash(); n.Tip().Hash != tip {
		return fmt.Errorf("block %s is not the tip", tip)
	}
	return nil
}

// benchNode is the command line of a node to be measured.
func benchNode(dir string, more ...string) []string {
	return append([]string{"--no-quic", "--log", "error", "--network", "regtest", "--datadir", dir, "--rpc", "127.0.0.1:0"}, more...)
}

// writeJSON and readJSON keep beside a chain what is known of it.
func writeJSON(path string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}

func readJSON(path string, v any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, v)
}

// blocksFile holds blocks in hex, a line each.
const blocksFile = "blocks.hex"

func writeBlocks(path string, blocks []*consensus.Block) error {
	var text []byte
	for _, block := range blocks {
		text = append(hex.AppendEncode(text, block.Bytes()), '\n')
	}
	return os.WriteFile(path, text, 0o600)
}

func readBlocks(path string) (blocks []*consensus.Block, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for line := range bytes.FieldsSeq(text) {
		raw, err := hex.DecodeString(string(line))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		block, err := consensus.DecodeBlock(raw)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		blocks = append(blocks, block)
	}
	return blocks, nil
}
