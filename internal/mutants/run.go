package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// suite is the package of the named cases; others are the tests that are asked
// where it notices nothing.
const suite = "./consensus/conformance"

var others = []string{"./consensus", "./address", "./mempool", "./p2p", "./node"}

// timeout bounds one run of a package's tests, which take 20 s on a machine with
// nothing else to do: a mutant may well never end.
const timeout = "5m"

// outcome is what became of a mutant.
type outcome struct {
	cases []string // that failed
	tests []string // other tests that failed, where no case did
}

func (o *outcome) killed() bool { return len(o.cases)+len(o.tests) > 0 }

// try runs the tests on a mutant: the cases that show its rule, and only where
// these notice nothing the others.
func try(ctx context.Context, root string, m *mutant, cases map[string][]string, othersPass func() error) (*outcome, error) {
	overlay, remove, err := m.overlay(root)
	if err != nil {
		return nil, err
	}
	defer remove()
	o := &outcome{}
	if out, err := command(ctx, root, "go", "build", "-overlay", overlay, "./"+filepath.ToSlash(filepath.Dir(m.file))).CombinedOutput(); err != nil {
		return o, fmt.Errorf("%s does not build:\n%s", m, out)
	}
	for _, pattern := range []string{showing(m.rule, cases), allCases} {
		if pattern == "" {
			continue
		}
		events, err := goTest(ctx, root, "-overlay", overlay, "-run", pattern, suite)
		if err != nil {
			return o, err
		}
		if o.cases = failures(events); len(o.cases) > 0 {
			return o, nil
		}
	}
	if err := othersPass(); err != nil {
		return o, err
	}
	o.tests, err = testOthers(ctx, root, "-overlay", overlay)
	return o, err
}

// testOthers runs the tests that are no cases, a package after the other, and
// lists what failed in the first that does not pass.
func testOthers(ctx context.Context, root string, flags ...string) ([]string, error) {
	for _, pkg := range others {
		events, err := goTest(ctx, root, append(flags, "-failfast", pkg)...)
		if failed := failures(events); err != nil || len(failed) > 0 {
			return failed, err
		}
	}
	return nil, nil
}

// allCases is the pattern of go test for the whole suite.
const allCases = "^TestConformance$"

// showing is the pattern for the cases that show a rule, "" where there are none.
func showing(rule string, cases map[string][]string) string {
	var groups, names []string
	for _, name := range slices.Sorted(maps.Keys(cases)) {
		if part := strings.Split(name, "/"); slices.Contains(cases[name], rule) {
			groups, names = append(groups, part[1]), append(names, regexp.QuoteMeta(part[2]))
		}
	}
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf("%s/^(%s)$/^(%s)$", allCases, strings.Join(groups, "|"), strings.Join(names, "|"))
}

// overlay writes the edited file, and the list of it that the go command takes.
func (m *mutant) overlay(root string) (path string, remove func(), err error) {
	text, err := m.apply(root)
	if err != nil {
		return "", nil, err
	}
	dir, err := os.MkdirTemp("", "mutant")
	if err != nil {
		return "", nil, err
	}
	remove = func() { os.RemoveAll(dir) }
	edited := filepath.Join(dir, filepath.Base(m.file))
	replace, err := json.Marshal(map[string]map[string]string{
		"Replace": {filepath.Join(root, filepath.FromSlash(m.file)): edited},
	})
	path = filepath.Join(dir, "overlay.json")
	if err = errors.Join(err, os.WriteFile(edited, []byte(text), 0o600), os.WriteFile(path, replace, 0o600)); err != nil {
		remove()
	}
	return path, remove, err
}

func command(ctx context.Context, root, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = root
	return cmd
}

// event is a line of `go test -json`.
type event struct {
	Action, ImportPath, Package, Test, Output string
}

// goTest runs tests and returns what they said. That some failed is no error.
func goTest(ctx context.Context, root string, args ...string) ([]event, error) {
	cmd := command(ctx, root, "go", append([]string{"test", "-json", "-vet=off", "-short", "-timeout", timeout}, args...)...)
	out, err := cmd.Output()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) || ctx.Err() != nil {
		return nil, errors.Join(err, ctx.Err())
	}
	var events []event
	for _, line := range bytes.Split(out, []byte("\n")) {
		var e event
		if json.Unmarshal(line, &e) == nil {
			events = append(events, e)
		}
	}
	if i := slices.IndexFunc(events, func(e event) bool { return e.Action == "build-fail" }); i >= 0 {
		return nil, fmt.Errorf("%s does not build", events[i].ImportPath)
	}
	if len(events) == 0 {
		return nil, fmt.Errorf("go test said nothing: %w", err)
	}
	return events, nil
}

// clock is what stands for a package that was ended for want of time.
const clock = "the clock"

// failures lists the tests that failed and have no part that failed; the package
// where it ended without saying which. Where the time was up nothing is known of
// the tests, and clock stands alone.
func failures(events []event) []string {
	var failed []string
	if slices.ContainsFunc(events, func(e event) bool { return strings.HasPrefix(e.Output, "panic: test timed out") }) {
		return []string{clock}
	}
	for _, e := range events {
		if e.Action != "fail" {
			continue
		}
		name := e.Test
		if name == "" {
			name = e.Package
		}
		if !slices.ContainsFunc(failed, func(f string) bool { return strings.HasPrefix(f, name+"/") || e.Test == "" }) {
			failed = append(failed, name)
		}
	}
	return failed
}

// shown matches what a case logs of its rules (consensus/conformance).
var shown = regexp.MustCompile(`rules ([A-Z0-9 ]+); doors: `)

// rulesOfCases returns the rules that each case says it shows.
func rulesOfCases(events []event) map[string][]string {
	rules := make(map[string][]string)
	for _, e := range events {
		if m := shown.FindStringSubmatch(e.Output); m != nil && strings.Count(e.Test, "/") == 2 {
			rules[e.Test] = strings.Fields(m[1])
		}
	}
	return rules
}
