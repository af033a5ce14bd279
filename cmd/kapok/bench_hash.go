package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/energy"
	"github.com/kapok-chain/kapok/internal/sha256d"
)

// Bounds and defaults of `kapok bench hash`.
const (
	benchHashSeconds = 10
	maxBenchSeconds  = 24 * 3600
	maxBenchThreads  = 1024

	// hashSlice is for how long one contender works before the next one does:
	// long against the clocks' steps, short against what else the machine does.
	hashSlice = 40 * time.Millisecond
	// hashSliceLimit is when a slice ends on a machine that leaves us hardly any
	// CPU time.
	hashSliceLimit = 20 * hashSlice
)

func benchHashCommand() *cli.Command {
	return &cli.Command{
		Name:  "hash",
		Usage: "how fast the mining kernels search, and for how many joules",
		Description: "All kernels for this CPU, and crypto/sha256 with and without the midstate, take\n" +
			"turns in short slices in random order, so that whatever else the machine does\n" +
			"meets all of them alike.\n\n" +
			"Examples:\n" +
			"   kapok bench hash                      one thread, 10 s\n" +
			"   kapok bench hash --threads 8          eight threads at once; figures are of all together\n" +
			"   kapok bench hash --seconds 60 --json",
		Flags: []cli.Flag{
			&cli.Float64Flag{Name: "seconds", Value: benchHashSeconds, Usage: "measure for `S` seconds in all"},
			&cli.IntFlag{Name: "threads", Value: 1, Usage: "search with `N` threads at once"},
			jsonFlag,
		},
		Action: func(c *cli.Context) error {
			if err := exactArgs(c, 0); err != nil {
				return err
			}
			seconds, threads := c.Float64("seconds"), c.Int("threads")
			if !(seconds > 0 && seconds <= maxBenchSeconds) {
				return usageError(fmt.Sprintf("--seconds %g: choose more than 0, at most %d", seconds, maxBenchSeconds))
			}
			if threads < 1 || threads > maxBenchThreads {
				return usageError(fmt.Sprintf("--threads %d: choose 1 to %d", threads, maxBenchThreads))
			}
			report, err := benchHash(c.Context, seconds, threads, newProgress(c.App.ErrWriter))
			if err != nil {
				return err
			}
			if c.Bool(jsonFlag.Name) {
				return printJSON(c.App.Writer, report)
			}
			report.print(c.App.Writer)
			return nil
		},
	}
}

// benchHash lets all contenders take turns for so many seconds.
func benchHash(ctx context.Context, seconds float64, threads int, p progress) (*hashReport, error) {
	began := time.Now()
	header := consensus.Dev().Genesis().Header
	contenders, err := hashContenders([sha256d.HeaderSize]byte(header.Append(nil)))
	if err != nil {
		return nil, err
	}
	crew := newHashCrew(threads)
	defer crew.dismiss()
	meter := energy.NewMeter()
	random := rand.New(rand.NewPCG(1, 1)) // of the order only
	tallies := make([]hashTally, len(contenders))
	var used energy.Reading
	rounds := 0
	for ; ctx.Err() == nil && (rounds == 0 || time.Since(began).Seconds() < seconds); rounds++ {
		p.show("  measuring %d contenders, %.0f of %g s", len(contenders), time.Since(began).Seconds(), seconds)
		samples := make([]hashSample, len(contenders))
		for _, i := range random.Perm(len(contenders)) {
			samples[i] = crew.slice(contenders[i])
			now := meter.Read(used.Hashes + samples[i].hashes)
			samples[i].joules = now.Joules - used.Joules
			used = now
		}
		for i := range tallies { // whole rounds only: each ratio is of one round
			tallies[i].add(samples[i], samples[midstateAt(contenders)])
		}
	}
	p.clear()
	if rounds == 0 {
		return nil, ctx.Err()
	}
	complete := time.Since(began).Seconds() >= seconds
	return newHashReport(contenders, tallies, used, threads, time.Since(began), complete), nil
}

// hashSample is one slice of one contender, all threads together.
type hashSample struct {
	rate   float64 // hashes per second of thread CPU time, summed over the threads
	hashes float64
	joules float64
}

// hashCrew is threads that search side by side, slice by slice.
type hashCrew struct {
	jobs []chan hashContender
	done chan hashSample
}

// newHashCrew starts the threads, which wait for work.
func newHashCrew(threads int) *hashCrew {
	crew := &hashCrew{done: make(chan hashSample)}
	for i := range threads {
		jobs := make(chan hashContender)
		crew.jobs = append(crew.jobs, jobs)
		nonce := uint32(i) << 24
		go func() {
			defer lockThread()()
			for job := range jobs {
				var s hashSample
				s, nonce = searchSlice(job.search(), job.batch, nonce)
				crew.done <- s
			}
		}()
	}
	return crew
}

// slice lets all threads search with one contender and returns what they did.
func (crew *hashCrew) slice(c hashContender) (sum hashSample) {
	for _, jobs := range crew.jobs {
		jobs <- c
	}
	for range crew.jobs {
		s := <-crew.done
		sum.rate += s.rate
		sum.hashes += s.hashes
	}
	return sum
}

// dismiss ends the threads.
func (crew *hashCrew) dismiss() {
	for _, jobs := range crew.jobs {
		close(jobs)
	}
}

// searchSlice searches for a slice of the thread's CPU time and returns the
// nonce to go on with.
func searchSlice(search func(start, n uint32) int, batch, nonce uint32) (hashSample, uint32) {
	search(nonce, batch) // what the last contender left in the caches is not our business
	nonce += batch
	limit := time.Now().Add(hashSliceLimit)
	start := workClock()
	var hashes int
	var worked time.Duration
	for worked < hashSlice && (hashes == 0 || time.Now().Before(limit)) {
		hashes += search(nonce, batch)
		nonce += batch
		worked = workClock() - start
	}
	seconds := max(worked.Seconds(), 1e-9) // a clock that stood still
	return hashSample{rate: float64(hashes) / seconds, hashes: float64(hashes)}, nonce
}

// print writes the report for people.
func (r *hashReport) print(w io.Writer) {
	fmt.Fprintf(w, "%s\n%d thread(s), %d rounds in %.1f s, by %s\n\n", r.Machine, r.Threads, r.Rounds, r.ElapsedS, r.Method.Clock)
	fmt.Fprintf(w, "%-34s %9s %9s %8s %11s %12s\n", "contender", "MH/s p50", "MH/s p90", "spread", "x midstate", "J per hash")
	for _, c := range r.Contenders {
		fmt.Fprintf(w, "%-34s %9.3f %9.3f %7.1f%% %11.3f %12.3g\n", c.label(), c.MedianHashesPerS/1e6, c.P90HashesPerS/1e6,
			100*c.Spread, c.RatioToMidstate, c.JoulesPerHash)
	}
	fmt.Fprintf(w, "\nspread: %s; x midstate: %s.\n", r.Method.Spread, r.Method.Ratio)
	fmt.Fprintf(w, "energy: %s.\n", r.Energy.Method)
	if r.Threads > runtime.NumCPU() {
		fmt.Fprintf(w, "More threads than this machine has cores (%d): the rate is per CPU time, not per second.\n", runtime.NumCPU())
	}
	fmt.Fprint(w, complaint(r.Complete))
}
