package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

func main() {
	only := flag.String("rules", "", "the rules to take out, separated by commas; all by default")
	jobs := flag.Int("jobs", 2, "mutants at the same time")
	list := flag.Bool("list", false, "only say what would be done")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *only, *jobs, *list); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, only string, jobs int, list bool) error {
	mutants, exempt, err := parse(rules)
	if err != nil {
		return err
	}
	if only != "" {
		wanted := strings.Split(only, ",")
		mutants = slices.DeleteFunc(mutants, func(m *mutant) bool { return !slices.Contains(wanted, m.rule) })
		exempt = nil
	}
	if len(mutants) == 0 {
		return fmt.Errorf("there are no mutants of %s", only)
	}
	if list {
		for _, m := range mutants {
			fmt.Printf("%-4s %-28s %s\n", m.rule, m.file, m.what)
		}
		return nil
	}
	root, err := moduleRoot(ctx)
	if err != nil {
		return err
	}
	clean, err := goTest(ctx, root, "-run", allCases, suite)
	if err != nil {
		return err
	}
	if err := nothingFailed(failures(clean)); err != nil {
		return err
	}
	cases := rulesOfCases(clean)
	othersPass := sync.OnceValue(func() error { // asked for the first mutant that no case kills
		failed, err := testOthers(ctx, root)
		return errors.Join(err, nothingFailed(failed))
	})
	outcomes, err := tryAll(ctx, root, mutants, cases, othersPass, jobs)
	if err != nil {
		return err
	}
	for _, e := range exempt {
		fmt.Printf("%-4s no mutant: %s\n", e.rule, e.reason)
	}
	return summarize(mutants, outcomes, cases, only == "")
}

func nothingFailed(tests []string) error {
	if len(tests) > 0 {
		return fmt.Errorf("these fail without a mutant: %s", strings.Join(tests, ", "))
	}
	return nil
}

func moduleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	return filepath.Dir(strings.TrimSpace(string(out))), err
}

// tryAll tries all mutants, a few at the same time, and says what became of each.
func tryAll(ctx context.Context, root string, mutants []*mutant, cases map[string][]string, othersPass func() error, jobs int) (map[*mutant]*outcome, error) {
	var (
		mu       sync.Mutex
		outcomes = make(map[*mutant]*outcome)
		faults   []error
		workers  sync.WaitGroup
		queue    = make(chan *mutant)
		began    = time.Now()
	)
	for range max(1, jobs) {
		workers.Go(func() {
			for m := range queue {
				o, err := try(ctx, root, m, cases, othersPass)
				mu.Lock()
				if err != nil {
					faults = append(faults, err)
				} else {
					outcomes[m] = o
					fmt.Printf("%5.0f s  %-4s %-60s %s\n", time.Since(began).Seconds(), m.rule, m.what, o)
				}
				mu.Unlock()
			}
		})
	}
	for _, m := range mutants {
		select {
		case queue <- m:
		case <-ctx.Done():
		}
	}
	close(queue)
	workers.Wait()
	return outcomes, errors.Join(errors.Join(faults...), ctx.Err())
}

// String says in short who killed the mutant.
func (o *outcome) String() string {
	killers := o.cases
	if len(killers) == 0 {
		killers = o.tests
	}
	switch len(killers) {
	case 0:
		return "SURVIVES"
	case 1:
		return "killed by " + killers[0]
	}
	return fmt.Sprintf("killed by %s and %d more", killers[0], len(killers)-1)
}

// summarize counts, and asks of each case whether it fails without its rules.
// Where only some rules were taken out, other rules are not asked about.
func summarize(mutants []*mutant, outcomes map[*mutant]*outcome, cases map[string][]string, all bool) error {
	var byCases, byOthers, byClock, survivors int
	killers := make(map[string]map[string]bool) // rule -> cases that fail without it
	for _, m := range mutants {
		o := outcomes[m]
		switch {
		case slices.Contains(append(o.cases, o.tests...), clock):
			byClock++
			fmt.Printf("ended by the clock: %s\n", m)
		case len(o.cases) > 0:
			byCases++
		case o.killed():
			byOthers++
			fmt.Printf("not by a case: %s: killed by %s\n", m, strings.Join(o.tests, ", "))
		default:
			survivors++
			fmt.Printf("survivor: %s (%s)\n", m, m.file)
		}
		if killers[m.rule] == nil {
			killers[m.rule] = make(map[string]bool)
		}
		for _, c := range o.cases {
			killers[m.rule][c] = true
		}
	}
	blind, asked := 0, 0
	for _, name := range slices.Sorted(maps.Keys(cases)) {
		for _, rule := range cases[name] {
			if killers[rule] == nil && !all {
				continue
			}
			if asked++; !failsWith(killers[rule], name) {
				blind++
				fmt.Printf("blind: %s passes without %s\n", name, rule)
			}
		}
	}
	fmt.Printf("mutants: %d, killed by a case %d, by another test %d, by the clock %d, survivors %d; cases asked about a rule: %d, blind: %d\n",
		len(mutants), byCases, byOthers, byClock, survivors, asked, blind)
	if survivors+byClock+blind > 0 {
		return errors.New("a rule can be taken out and nobody notices")
	}
	return nil
}

// failsWith reports whether the case, or a part of it, is among those that failed.
func failsWith(failed map[string]bool, name string) bool {
	for f := range failed {
		if f == name || strings.HasPrefix(f, name+"/") {
			return true
		}
	}
	return false
}
