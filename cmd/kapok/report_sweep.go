package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/kapok-chain/kapok/storage"
	"github.com/kapok-chain/kapok/testnet/record"
	"github.com/kapok-chain/kapok/testnet/report"
	"github.com/kapok-chain/kapok/testnet/spec"
)

// Bounds of a sweep.
const (
	maxIntervals = 8
	maxSizes     = 8
	maxReplicas  = 20
	maxBudget    = 7 * 24 * time.Hour // as long as a testnet may run

	// leastRunBlocks is how many blocks a run must have time for: fewer, and not even a
	// stale rate comes of it.
	leastRunBlocks = 30
	// drainIntervals is how many intervals the last payments of a run take to their sixth
	// confirmation, on average, with some luck less.
	drainIntervals = 8
	// mostSweepLag is the share of its hashes that the worst miner of a run may not have
	// done. Beyond it the machine was so busy with something else that the run says nothing
	// of the network it was to be: it does not count, and is run again.
	mostSweepLag = 0.2
	// mostFailures is how many runs in a row may fail before the sweep ends: one may have met
	// with an accident, and what two have met with, as a full disk, the others will.
	mostFailures = 2
	// startTime is what a run takes besides until the first one has shown it: chain and
	// coins are made, nodes start, all come to one tip.
	startTime = 12 * time.Second
)

// sweepSettings are what the runs are made by, and sweep.json: runs in one directory have
// the same ones.
type sweepSettings struct {
	Schema       int       `json:"schema"`
	KapokVersion string    `json:"kapok_version"`
	IntervalsS   []float64 `json:"intervals_s"`
	Sizes        []int     `json:"max_weight_units"`
	Replicas     int       `json:"replicas"`
	BudgetS      float64   `json:"budget_s"`
	Nodes        int       `json:"nodes"`
	HashesPerS   float64   `json:"hashes_per_s"`
	LatencyS     float64   `json:"latency_s"`
	PaymentsPerS float64   `json:"payments_per_s"`
	Seed         uint64    `json:"seed"`
}

// sweepSettingsOf reads and checks the flags.
func sweepSettingsOf(c *cli.Context) (s sweepSettings, err error) {
	s = sweepSettings{Schema: record.Schema, KapokVersion: version, Replicas: c.Int("replicas"), BudgetS: c.Duration("budget").Seconds(),
		Nodes: c.Int("nodes"), LatencyS: c.Duration("latency").Seconds(), PaymentsPerS: c.Float64("rate"), Seed: c.Uint64("seed")}
	if err := checkRanges(c, []flagRange{{"replicas", 1, maxReplicas}, {"nodes", 2, 50}}); err != nil {
		return s, err
	}
	if s.IntervalsS, err = numbers(c, "intervals", 0.25, 3600, maxIntervals); err != nil {
		return s, err
	}
	sizes, err := numbers(c, "sizes", 8000, 4_000_000, maxSizes)
	if err != nil {
		return s, err
	}
	for _, size := range sizes {
		if size != math.Trunc(size) {
			return s, usageError(fmt.Sprintf("--sizes %s: want whole weight units", c.String("sizes")))
		}
		s.Sizes = append(s.Sizes, int(size))
	}
	if s.HashesPerS, err = parseHashrate(c.String("hashrate")); err != nil {
		return s, err
	}
	switch budget := c.Duration("budget"); {
	case !(s.PaymentsPerS > 0):
		return s, usageError(fmt.Sprintf("--rate %g: choose more than 0 payments a second", s.PaymentsPerS))
	case budget <= 0 || budget > maxBudget:
		return s, usageError(fmt.Sprintf("--budget %s: choose up to %s", budget, maxBudget))
	}
	need := time.Duration(0)
	for _, run := range s.runs() {
		need += run.over(startTime) + run.blocks(leastRunBlocks)
	}
	if budget := c.Duration("budget"); need > budget {
		return s, usageError(fmt.Sprintf("--budget %s: %d runs of %d blocks each take about %s: raise it, or choose fewer --intervals, --sizes or --replicas",
			budget, len(s.runs()), leastRunBlocks, need.Round(time.Second)))
	}
	for _, run := range s.runs()[:len(s.Sizes)*len(s.IntervalsS)] { // what a testnet cannot be is said before the first one runs
		if _, err := spec.Parse([]byte(s.file(run, run.blocks(leastRunBlocks))), ".", time.Now()); err != nil {
			return s, usageError(fmt.Sprintf("such a testnet cannot run: %v", err))
		}
	}
	return s, nil
}

// sweepRun is one run of a sweep.
type sweepRun struct {
	interval float64 // seconds
	size     int
	replica  int // from 1
}

// runs are all that there are, each point once before any comes again, so that an
// interruption leaves as many points as it can.
func (s *sweepSettings) runs() (list []sweepRun) {
	for replica := range s.Replicas {
		for _, size := range s.Sizes {
			for _, interval := range s.IntervalsS {
				list = append(list, sweepRun{interval, size, replica + 1})
			}
		}
	}
	return list
}

func (r sweepRun) name() string {
	return fmt.Sprintf("%s-%d-%d", time.Duration(r.interval*float64(time.Second)), r.size, r.replica)
}

// blocks is how long so many blocks take.
func (r sweepRun) blocks(n float64) time.Duration {
	return time.Duration(n * r.interval * float64(time.Second))
}

// warmUp is as long as the mempool takes to be what it will be.
func (r sweepRun) warmUp() time.Duration { return max(3*time.Second, r.blocks(4)) }

// over is what a run takes beside its measured part.
func (r sweepRun) over(start time.Duration) time.Duration {
	return start + r.warmUp() + r.blocks(drainIntervals)
}

// file is the testnet's file.
func (s *sweepSettings) file(r sweepRun, length time.Duration) string {
	return fmt.Sprintf(`# Made by kapok report tradeoffs: replica %d of %d.
name = %q
description = "Blocks every %g s of at most %d weight units"
seed = %d
duration = %q
warm_up = %q

[network]
spacing = "%gs"
difficulty = "fixed"
max_weight = %d
coinbase_maturity = 10

[nodes]
count = %d
hashrate = "%s H/s"

[topology]
kind = "full"

[links]
preset = "constant"
latency = %q

[payments]
rate = %s
wallets = %d
`, r.replica, s.Replicas, r.name(), r.interval, r.size, s.seedOf(r), length.Round(time.Millisecond), r.warmUp().Round(time.Millisecond),
		r.interval, r.size, s.Nodes, plainNumber(s.HashesPerS), time.Duration(s.LatencyS*float64(time.Second)), decimal(s.PaymentsPerS), min(s.Nodes, 4))
}

// seedOf is a seed of a run's own.
func (s *sweepSettings) seedOf(r sweepRun) uint64 {
	for i, other := range s.runs() {
		if other == r {
			return s.Seed*1000 + uint64(i) + 1
		}
	}
	return s.Seed
}

// decimal writes a number that TOML takes for one with a point.
func decimal(v float64) string {
	text := plainNumber(v)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}

// sweep goes through the runs that are missing in its directory.
type sweep struct {
	sweepSettings
	dir  string
	now  func() time.Time
	say  func(string) // how far it is
	note func(string) // what is worth to be kept on the screen
	run  func(ctx context.Context, s *spec.Spec, dir string, progress func(string)) error

	start time.Duration // what runs took beside their parts, so far
}

// swept is what there is at the end, whatever ended it.
type swept struct {
	points     []report.SweepPoint
	incomplete string
}

// sweep runs what is missing, and gathers all that is complete. Where the error says why
// runs are missing still, what there is comes with it; without a directory to begin in
// there is nothing.
func (s *sweep) sweep(ctx context.Context) (*swept, error) {
	lock, err := s.claim()
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	missing, err := s.missing()
	if err != nil {
		return nil, err
	}
	why := s.runAll(ctx, missing)
	done, err := s.gather()
	if err != nil {
		return nil, errors.Join(why, err)
	}
	return done, why
}

// claim makes the directory, or makes sure that the one there is of such a sweep, and that
// no other process is at work in it. Whoever closes the lock gives it free, and so does the
// end of the process.
func (s *sweep) claim() (lock *os.File, err error) {
	if _, err := s.inspect(); err != nil {
		return nil, err // before anything is written into a directory of something else
	}
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return nil, err
	}
	lock, err = storage.LockFile(filepath.Join(s.dir, sweepLockFile))
	if errors.Is(err, storage.ErrLocked) {
		return nil, fmt.Errorf("another process is at work in %s: wait for it, or choose another directory", s.dir)
	}
	if err != nil {
		return nil, fmt.Errorf("locking the directory of the sweep: %w", err)
	}
	begun, err := s.inspect() // once more: another process may have begun in between
	if err == nil && !begun {
		err = record.Replace(filepath.Join(s.dir, sweepFile), func(w io.Writer) error { return printJSON(w, s.sweepSettings) })
	}
	if err == nil {
		err = os.MkdirAll(filepath.Join(s.dir, sweepRunsDir), 0o755)
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock, nil
}

// inspect says whether such a sweep has begun in the directory. It fails where that holds
// something else, and writes nothing.
func (s *sweep) inspect() (begun bool, err error) {
	there, err := readSweepSettings(filepath.Join(s.dir, sweepFile))
	if err == nil {
		if other := there.other(&s.sweepSettings); other != "" {
			return false, fmt.Errorf("%s holds a sweep with %s: choose another directory, or give the same flags to go on with that one", s.dir, other)
		}
		return true, nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return false, err
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return false, err
	}
	for _, e := range entries {
		if e.Name() != sweepLockFile {
			return false, fmt.Errorf("%s is not empty and holds no sweep (but %q): choose another directory", s.dir, e.Name())
		}
	}
	return false, nil
}

// maxSweepFile is more than the longest lists of settings take, in bytes.
const maxSweepFile = 64 << 10

func readSweepSettings(name string) (there sweepSettings, err error) {
	f, err := os.Open(name)
	if err != nil {
		return there, err
	}
	defer f.Close()
	if err := json.NewDecoder(io.LimitReader(f, maxSweepFile)).Decode(&there); err != nil {
		return there, fmt.Errorf("%s does not say what was swept: %w", name, err)
	}
	return there, nil
}

// other names a setting that is not the same.
func (there *sweepSettings) other(asked *sweepSettings) string {
	for _, c := range []struct {
		name         string
		there, asked any
	}{
		{"schema", there.Schema, asked.Schema}, {"kapok version", there.KapokVersion, asked.KapokVersion},
		{"intervals", there.IntervalsS, asked.IntervalsS}, {"sizes", there.Sizes, asked.Sizes}, {"replicas", there.Replicas, asked.Replicas},
		{"budget in seconds", there.BudgetS, asked.BudgetS}, {"nodes", there.Nodes, asked.Nodes}, {"hash rate", there.HashesPerS, asked.HashesPerS},
		{"latency in seconds", there.LatencyS, asked.LatencyS}, {"payments a second", there.PaymentsPerS, asked.PaymentsPerS}, {"seed", there.Seed, asked.Seed},
	} {
		if a, b := fmt.Sprint(c.there), fmt.Sprint(c.asked); a != b {
			return fmt.Sprintf("%s %s, not %s", c.name, a, b)
		}
	}
	return ""
}

func (s *sweep) runDir(r sweepRun) string { return filepath.Join(s.dir, sweepRunsDir, r.name()) }

// missing lists the runs that are not complete, and puts what there is of them aside.
func (s *sweep) missing() (list []sweepRun, err error) {
	for _, r := range s.runs() {
		run, err := s.there(r)
		switch {
		case err != nil:
			return nil, err
		case run == nil:
			if _, err := os.Lstat(s.runDir(r)); err == nil { // it had not even begun
				if err := s.putAside(r); err != nil {
					return nil, err
				}
			}
		case counts(run):
			continue
		default: // also one whose process was killed: no other is at work here
			if err := s.putAside(r); err != nil {
				return nil, err
			}
		}
		list = append(list, r)
	}
	if all := len(s.runs()); len(list) < all {
		s.note(fmt.Sprintf("%d of %d runs are in %s already", all-len(list), all, s.dir))
	}
	return list, nil
}

// counts reports whether a run came to its end on a machine that kept up.
func counts(run *record.Run) bool {
	m := &run.Manifest
	return m.Status == record.Complete && m.End != nil && m.End.WorstLag <= mostSweepLag
}

// there reads a run, complete or not; nil where it never began.
func (s *sweep) there(r sweepRun) (*record.Run, error) {
	dir := s.runDir(r)
	if _, err := os.Stat(filepath.Join(dir, record.ManifestFile)); errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	run, err := record.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("%w; remove %s to run it again", err, dir)
	}
	return run, nil
}

// putAside renames a run that did not end, so that it is kept and not counted.
func (s *sweep) putAside(r sweepRun) error {
	for i := 1; ; i++ {
		name := fmt.Sprintf("%s.partial-%d", s.runDir(r), i)
		if _, err := os.Lstat(name); errors.Is(err, os.ErrNotExist) {
			return os.Rename(s.runDir(r), name)
		} else if err != nil {
			return err
		}
	}
}

// runAll runs what is missing, each as long as the rest of the budget lets it be. Where a
// run fails, it goes on with the others; the error names all that did.
func (s *sweep) runAll(ctx context.Context, missing []sweepRun) (failed error) {
	if len(missing) == 0 {
		return nil
	}
	s.start = startTime
	inARow := 0
	end := s.now().Add(s.share(missing))
	for i, r := range missing {
		length := s.length(missing[i:], end.Sub(s.now()))
		began := s.now()
		what := fmt.Sprintf("run %d of %d: %s", i+1, len(missing), r.name())
		spec, err := spec.Parse([]byte(s.file(r, length)), s.dir, began)
		if err == nil {
			err = s.run(ctx, spec, s.runDir(r), func(text string) {
				s.say(fmt.Sprintf("%s · %s · %.0f s of about %.0f", what, text, s.now().Sub(began).Seconds(), (length + r.over(s.start)).Seconds()))
			})
		}
		if ctx.Err() != nil {
			return errors.Join(failed, ctx.Err())
		}
		if err != nil {
			err = fmt.Errorf("%s: %w", r.name(), err)
			failed = errors.Join(failed, err)
			if inARow++; inARow == mostFailures {
				return failed
			}
			s.note(fmt.Sprintf("failed: %v", err))
			continue
		}
		inARow = 0
		// What it took besides is what the next ones will: the mean of both, since one
		// may have had bad luck.
		s.start = (s.start + max(0, s.now().Sub(began)-length-r.over(0))) / 2
	}
	return failed
}

// share is the part of the budget that belongs to these runs.
func (s *sweep) share(runs []sweepRun) time.Duration {
	besides, intervals := 0.0, 0.0
	for _, r := range s.runs() {
		besides, intervals = besides+r.over(startTime).Seconds(), intervals+r.interval
	}
	blocks := (s.BudgetS - besides) / intervals // that each run gets
	sum := time.Duration(0)
	for _, r := range runs {
		sum += r.over(startTime) + r.blocks(blocks)
	}
	return sum
}

// length is how long the first of the runs may be measured, so that all of them get as
// many blocks and end in time; but no shorter than it must be.
func (s *sweep) length(runs []sweepRun, left time.Duration) time.Duration {
	sum := 0.0
	for _, r := range runs {
		left -= r.over(s.start)
		sum += r.interval
	}
	return max(time.Duration(float64(left)*runs[0].interval/sum), runs[0].blocks(leastRunBlocks)).Round(time.Second)
}

// gather reads what is complete.
func (s *sweep) gather() (*swept, error) {
	done := &swept{}
	there := 0
	var slow []string
	for _, size := range s.Sizes {
		for _, interval := range s.IntervalsS {
			p := report.SweepPoint{IntervalS: interval, MaxWeight: size, Replicas: s.Replicas}
			for replica := range s.Replicas {
				r := sweepRun{interval, size, replica + 1}
				run, err := s.there(r)
				switch {
				case err != nil:
					return nil, err
				case run == nil:
				case counts(run):
					p.Runs = append(p.Runs, run)
					there++
				case run.Manifest.Status == record.Complete:
					slow = append(slow, r.name())
				}
			}
			done.points = append(done.points, p)
		}
	}
	if all := len(s.runs()); there < all {
		done.incomplete = fmt.Sprintf("The sweep is not complete: %d of %d runs count.", there, all)
		if len(slow) > 0 {
			done.incomplete += fmt.Sprintf(" The machine did not keep up with %s: a miner did not do %.0f %% of its hashes or more.", strings.Join(slow, ", "), 100*mostSweepLag)
		}
		done.incomplete += " The same command runs the others."
	}
	return done, nil
}
