package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/node"
	"github.com/kapok-chain/kapok/storage"
)

func chainExportCommand() *cli.Command {
	return &cli.Command{
		Name: "export", Usage: "write the blocks of a stopped node to a file", ArgsUsage: "FILE",
		Description: "Writes the active chain, or a part of it, to a file that another node imports:\n" +
			"before each block 4 bytes for the network (the first of its genesis hash) and 4 for\n" +
			"the block's length, as in Bitcoin Core's bootstrap.dat. The file takes its name when\n" +
			"it is complete. Nothing is written to the data directory.\n\n" +
			"Examples:\n" +
			"   kapok chain export blocks.dat\n" +
			"   kapok chain export --from 1000 --to 1999 some.dat",
		Flags: []cli.Flag{networkFlag, dataDirFlag, jsonFlag,
			&cli.Uint64Flag{Name: "from", Usage: "begin at block `HEIGHT`", DefaultText: "genesis"},
			&cli.Uint64Flag{Name: "to", Usage: "end with block `HEIGHT`", DefaultText: "the tip"},
		},
		Action: func(c *cli.Context) error {
			if err := exactArgs(c, 1); err != nil {
				return err
			}
			return chainExport(c)
		},
	}
}

// exportReport is the JSON document of `kapok chain export`.
type exportReport struct {
	Network  string  `json:"network"`
	DataDir  string  `json:"data_dir"`
	File     string  `json:"file"`
	From     uint32  `json:"from"`
	To       uint32  `json:"to"`
	Blocks   int     `json:"blocks"`
	Bytes    int64   `json:"bytes"`
	ElapsedS float64 `json:"elapsed_s"`
}

// heightFlag is a flag that names a block; nil where it is not given.
func heightFlag(c *cli.Context, name string) (*uint32, error) {
	height := uint32(c.Uint64(name))
	switch {
	case !c.IsSet(name):
		return nil, nil
	case uint64(height) != c.Uint64(name):
		return nil, usageError(fmt.Sprintf("--%s %d: no chain is that high", name, c.Uint64(name)))
	}
	return &height, nil
}

func chainExport(c *cli.Context) (err error) {
	began := time.Now()
	params, dir, err := directoryOf(c)
	if err != nil {
		return err
	}
	from, err := heightFlag(c, "from")
	if err != nil {
		return err
	}
	to, err := heightFlag(c, "to")
	if err != nil {
		return err
	}
	if from == nil {
		from = new(uint32)
	}
	store, err := node.OpenStored(params, dir)
	if err != nil {
		return unusable(dir, "export", err)
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	e, err := node.NewExport(params, store, *from, to)
	if err != nil {
		return unusable(dir, "export", err)
	}
	path := c.Args().First()
	w, err := storage.CreateBlockFile(params, path)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists already: name another file", path)
	}
	if err != nil {
		return err
	}
	if err := exportAll(c, e, w); err != nil {
		return errors.Join(unusable(dir, "export", err), w.Abort())
	}
	if err := w.Commit(); err != nil {
		return err
	}
	done, _ := e.Progress()
	r := exportReport{Network: params.Name, DataDir: dir, File: path, From: *from, To: *from + uint32(done) - 1, Blocks: done, Bytes: w.Bytes(), ElapsedS: time.Since(began).Seconds()}
	if c.Bool(jsonFlag.Name) {
		return printJSON(c.App.Writer, r)
	}
	_, err = fmt.Fprintf(c.App.Writer, "%s: blocks %d to %d, %s in %.1f s\n", path, r.From, r.To, formatBytes(r.Bytes), r.ElapsedS)
	return err
}

func exportAll(c *cli.Context, e *node.Export, w *storage.BlockWriter) (err error) {
	_, total := e.Progress()
	bar := progressOf(c, int64(total), "exporting", "blocks")
	defer func() { err = errors.Join(err, bar.Clear()) }()
	for more := true; more; {
		done, total := e.Progress()
		if c.Context.Err() != nil {
			return fmt.Errorf("interrupted after %d of %d blocks: no file was made", done, total)
		}
		if more, err = e.Step(w); err != nil {
			return err
		}
		if err := bar.Set(done); err != nil {
			return err
		}
	}
	return nil
}

func chainImportCommand() *cli.Command {
	return &cli.Command{
		Name: "import", Usage: "take the blocks of a file into a stopped node", ArgsUsage: "FILE",
		Description: "Reads what \"kapok chain export\" wrote, and judges each block by all rules, as one\n" +
			"that comes from a peer. The data directory is made where there is none. Blocks that\n" +
			"are there already are passed by: after Ctrl-C, the same command goes on. They need\n" +
			"not be in order. Where the file is damaged, the blocks before the damage stay.\n\n" +
			"Examples:\n" +
			"   kapok chain import blocks.dat\n" +
			"   kapok chain import --network regtest --datadir ./n2 blocks.dat",
		Flags: []cli.Flag{networkFlag, dataDirFlag, jsonFlag, noIndexFlag()},
		Action: func(c *cli.Context) error {
			if err := exactArgs(c, 1); err != nil {
				return err
			}
			return chainImport(c)
		},
	}
}

// importReport is the JSON document of `kapok chain import`.
type importReport struct {
	Network    string  `json:"network"`
	DataDir    string  `json:"data_dir"`
	File       string  `json:"file"`
	Imported   int     `json:"imported"`
	Known      int     `json:"known"` // were here already
	Height     uint32  `json:"height"`
	Tip        string  `json:"tip"`
	CoinSum    string  `json:"coin_sum"`
	ElapsedS   float64 `json:"elapsed_s"`
	BlocksPerS float64 `json:"blocks_per_s"`
}

// newVerifier checks signatures on all cores.
func newVerifier() consensus.Verifier {
	verifier := consensus.Verifier{Workers: runtime.GOMAXPROCS(0)}
	rand.Read(verifier.Secret[:]) // never fails (Go 1.24)
	return verifier
}

func chainImport(c *cli.Context) (err error) {
	began := time.Now()
	params, dir, err := directoryOf(c)
	if err != nil {
		return err
	}
	path := c.Args().First()
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("block file: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("block file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("block file %s: it is no regular file", path)
	}
	blocks := storage.NewBlockReader(params, path, file, info.Size())
	if err := blocks.Check(); err != nil { // before a directory is made for it
		return err
	}
	store, err := node.OpenStopped(params, dir, node.StoppedOptions{NoIndex: c.Bool("no-index")})
	if err != nil {
		return unusable(dir, "import to", err)
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	i, err := node.NewImport(params, store, newVerifier(), blocks)
	if err != nil {
		return unusable(dir, "import to", err)
	}
	err = importAll(c, i)
	imported, known := i.Blocks()
	tip, sum, took := i.Tip(), store.Sum(), time.Since(began)
	if err != nil {
		return fmt.Errorf("%w; %d blocks were imported, the tip is at height %d", unusable(dir, "import to", err), imported, tip.Height)
	}
	r := importReport{
		Network: params.Name, DataDir: dir, File: path, Imported: imported, Known: known, Height: tip.Height, Tip: tip.Hash.String(),
		CoinSum: fmt.Sprintf("%x", sum.Hash()), ElapsedS: took.Seconds(), BlocksPerS: float64(imported) / took.Seconds(),
	}
	if c.Bool(jsonFlag.Name) {
		return printJSON(c.App.Writer, r)
	}
	return table(c.App.Writer,
		[2]string{"imported", fmt.Sprintf("%d blocks in %.1f s (%.0f blocks/s)", r.Imported, r.ElapsedS, r.BlocksPerS)},
		[2]string{"were here", fmt.Sprintf("%d blocks", r.Known)},
		[2]string{"tip", fmt.Sprintf("%d  %s", r.Height, r.Tip)},
		[2]string{"coin sum", r.CoinSum},
	)
}

func importAll(c *cli.Context, i *node.Import) (err error) {
	_, total := i.Progress()
	bar := progressOf(c, total, "importing", "bytes")
	defer func() { err = errors.Join(err, bar.Clear()) }()
	for more := true; more; {
		more, err = i.Step(c.Context, time.Now())
		done, total := i.Progress()
		if c.Context.Err() != nil {
			return fmt.Errorf("interrupted at byte %d of %d: the same command goes on", done, total)
		}
		if err != nil {
			return err
		}
		if err := bar.Set64(done); err != nil {
			return err
		}
	}
	return nil
}
