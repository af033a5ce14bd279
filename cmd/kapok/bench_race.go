package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/kapok-chain/kapok/energy"
	"github.com/kapok-chain/kapok/internal/sha256d"
)

// Bounds and defaults of a race.
const (
	raceSeconds     = 10
	maxBenchSeconds = 24 * 3600
	maxBenchThreads = 1024

	// raceSlice is for how long one contender works before the next one does:
	// long against the clocks' steps, short against what else the machine does.
	raceSlice = 40 * time.Millisecond
	// raceSliceLimit is when a slice ends on a machine that leaves us hardly any
	// CPU time.
	raceSliceLimit = 20 * raceSlice
	// probeSlice is that of a probe.
	probeSlice = 5 * time.Millisecond
)

// race is a measurement in which contenders take turns, in short slices and in
// random order, so that whatever else the machine does meets all of them alike.
type race struct {
	bench      string // the name of the command
	unit       string // what is counted
	contenders []contender
	baseline   int // the contender that all others are compared with
	// rounds is how many SHA256RNDS2 one of the unit takes at least; 0 where a
	// contender's limit is something else.
	rounds int
}

// contender is one way to do the work.
type contender struct {
	name     string
	kind     string // kernel or baseline
	versions int    // of the header that share one nonce's message schedule
	batch    uint32 // what one call does: in half a millisecond or less, or one piece of work
	sha      bool   // it lives on the CPU's SHA instructions, two rounds each

	// start returns a function with buffers of its own, for one thread: it does n
	// pieces of work from number at on, and returns how many of the unit that was.
	start func() func(at, n uint32) int
}

// raceFlags are the flags of all races.
func raceFlags() []cli.Flag {
	return []cli.Flag{
		&cli.Float64Flag{Name: "seconds", Value: raceSeconds, Usage: "measure for `S` seconds in all"},
		&cli.IntFlag{Name: "threads", Value: 1, Usage: "work with `N` threads at once, each on a core of its own"},
		&cli.StringFlag{Name: "svg", Usage: "draw the result into `FILE`"},
		jsonFlag,
	}
}

// raceAction runs a race as its flags say.
func raceAction(prepare func() (*race, error)) cli.ActionFunc {
	return func(c *cli.Context) error {
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
		r, err := prepare()
		if err != nil {
			return err
		}
		report, err := r.run(c.Context, seconds, threads, newProgress(c.App.ErrWriter))
		if err != nil {
			return err
		}
		err = show(c, report)
		if file := c.String("svg"); file != "" {
			err = errors.Join(err, writeChart(file, report))
		}
		return err
	}
}

// run lets all contenders take turns for so many seconds.
func (r *race) run(ctx context.Context, seconds float64, threads int, p progress) (*raceReport, error) {
	began := time.Now()
	crew := newCrew(threads)
	defer crew.dismiss()
	meter := restedMeter(ctx)
	random := rand.New(rand.NewPCG(1, 1)) // of the order only
	tallies := make([]tally, len(r.contenders))
	var probes probeRates
	var used energy.Reading
	rounds := 0
	for ; ctx.Err() == nil && (rounds == 0 || time.Since(began).Seconds() < seconds); rounds++ {
		p.show("  measuring %d contenders, %.0f of %g s", len(r.contenders), time.Since(began).Seconds(), seconds)
		samples := make([]sample, len(r.contenders))
		for _, i := range random.Perm(len(r.contenders)) {
			samples[i] = crew.slice(r.contenders[i])
			now := meter.Read(used.Hashes + samples[i].count)
			samples[i].joules = now.Joules - used.Joules
			used = now
		}
		probes.add(probe(sha256d.ClockProbe()), probe(sha256d.UnitProbe()))
		used = meter.Read(used.Hashes) // the probes' energy is nobody's
		for i := range tallies {       // whole rounds only: each ratio is of one round
			tallies[i].add(samples[i], samples[r.baseline])
		}
	}
	p.clear()
	if rounds == 0 {
		return nil, ctx.Err()
	}
	complete := time.Since(began).Seconds() >= seconds
	return r.report(tallies, &probes, used, threads, time.Since(began), complete), nil
}

// sample is one slice of one contender, all threads together.
type sample struct {
	rate   float64 // of the unit per second of thread CPU time, summed over the threads
	count  float64
	joules float64
}

// probeRates are instructions per second by round, of one thread.
type probeRates struct{ clock, unit []float64 }

func (p *probeRates) add(clock, unit float64) {
	p.clock = append(p.clock, clock)
	p.unit = append(p.unit, unit)
}

// probe runs a probe for a moment on this thread: instructions per second, 0 where
// there is no such probe.
func probe(run sha256d.Probe) float64 {
	if run == nil {
		return 0
	}
	defer lockThread(0)()
	s, _ := timeSlice(func(uint32, uint32) int { return int(run(sha256d.ProbeRounds)) }, 1, 0, probeSlice)
	return s.rate
}

// crew is threads that work side by side, slice by slice.
type crew struct {
	jobs    []chan contender
	done    chan sample
	threads sync.WaitGroup
}

// newCrew starts the threads, which wait for work.
func newCrew(threads int) *crew {
	c := &crew{done: make(chan sample)}
	for i := range threads {
		jobs := make(chan contender)
		c.jobs = append(c.jobs, jobs)
		at := uint32(i) << 24
		c.threads.Go(func() {
			defer lockThread(i)()
			for job := range jobs {
				var s sample
				s, at = timeSlice(job.start(), job.batch, at, raceSlice)
				c.done <- s
			}
		})
	}
	return c
}

// slice lets all threads work as one contender does, and returns what they did.
func (c *crew) slice(job contender) (sum sample) {
	for _, jobs := range c.jobs {
		jobs <- job
	}
	for range c.jobs {
		s := <-c.done
		sum.rate += s.rate
		sum.count += s.count
	}
	return sum
}

// dismiss ends the threads.
func (c *crew) dismiss() {
	for _, jobs := range c.jobs {
		close(jobs)
	}
	c.threads.Wait()
}

// timeSlice works for a slice of the thread's CPU time and returns the number to go
// on with.
func timeSlice(work func(at, n uint32) int, batch, at uint32, slice time.Duration) (sample, uint32) {
	work(at, batch) // what the last contender left in the caches is not our business
	at += batch
	limit := time.Now().Add(raceSliceLimit)
	start := workClock()
	var count int
	var worked time.Duration
	for worked < slice && (count == 0 || time.Now().Before(limit)) {
		count += work(at, batch)
		at += batch
		worked = workClock() - start
	}
	seconds := max(worked.Seconds(), 1e-9) // a clock that stood still
	return sample{rate: float64(count) / seconds, count: float64(count)}, at
}
