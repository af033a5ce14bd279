package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// commands are what this test binary is, by name.
var commands = map[string]func(){"kapok": main}

// TestMain makes this test binary the command kapok, on the PATH of scripts and
// of whatever else the tests start.
func TestMain(m *testing.M) {
	testscript.Main(m, commands)
}

// scriptDeadline is how long a script's background node has to come to what the
// script waits for.
const scriptDeadline = 30 * time.Second

// TestScripts runs the command line as users do. testdata/script has the
// scripts; beside testscript's own commands they have
//
//	freeport NAME…             sets each variable to a port of 127.0.0.1 that is free
//	waitfor REGEXP COMMAND…    runs the command again and again until its output matches
//	fails REGEXP COMMAND…      the command ends with status 1 and says nothing but one sentence that matches
//	keep NAME.txt REGEXP       writes the first group of what matches the last output there, and into $NAME
//	expand FILE                replaces the variables in a file
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:      "testdata/script",
		Deadline: time.Now().Add(2 * time.Minute), // ends background nodes that a failed script left
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("KAPOK_PASSPHRASE", "correct horse")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"freeport": freePort,
			"waitfor":  waitFor,
			"fails":    fails,
			"keep":     keep,
			"expand":   expand,
		},
	})
}

func freePort(ts *testscript.TestScript, _ bool, names []string) {
	for _, name := range names {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		ts.Check(err)
		defer l.Close() // all of them at the end, so that they differ
		_, port, err := net.SplitHostPort(l.Addr().String())
		ts.Check(err)
		ts.Setenv(name, port)
	}
}

func waitFor(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: waitfor REGEXP COMMAND…")
	}
	want, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), scriptDeadline)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ts.Exec(args[1], args[2:]...)
		out := ts.ReadFile("stdout")
		if err == nil && want.MatchString(out) {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			ts.Fatalf("%s: no %q within %v; at last %q, %q, %v", strings.Join(args[1:], " "), want, scriptDeadline, out, ts.ReadFile("stderr"), err)
		}
	}
}

// fails is what a script expects of everything that a user can have wrong.
func fails(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: fails REGEXP COMMAND…")
	}
	sentence, err := regexp.Compile("^kapok: .*(" + args[0] + ").*\n$")
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != exitFailed {
		ts.Fatalf("ended with %v, not with status %d", err, exitFailed)
	}
	if out := ts.ReadFile("stdout"); out != "" {
		ts.Fatalf("failed, and printed %q", out)
	}
	if said := ts.ReadFile("stderr"); !sentence.MatchString(said) {
		ts.Fatalf("said %q: not one sentence with %q", said, args[0])
	}
}

func keep(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: keep NAME.txt REGEXP")
	}
	want, err := regexp.Compile(args[1])
	ts.Check(err)
	match := want.FindStringSubmatch(ts.ReadFile("stdout"))
	if len(match) != 2 {
		ts.Fatalf("no %q in the output, or not one group", args[1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(match[1]+"\n"), 0o600))
	ts.Setenv(strings.TrimSuffix(args[0], ".txt"), match[1])
}

func expand(ts *testscript.TestScript, _ bool, files []string) {
	for _, file := range files {
		text := os.Expand(ts.ReadFile(file), ts.Getenv)
		ts.Check(os.WriteFile(ts.MkAbs(file), []byte(text), 0o600))
	}
}

func TestUsageErrorsHaveTheirStatus(t *testing.T) {
	devNull, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer devNull.Close()
	for _, args := range [][]string{
		{"kapok", "chain", "block"},
		{"kapok", "chain", "block", "1", "--json"},
		{"kapok", "chain", "tx", "beef"},
		{"kapok", "rpc"},
		{"kapok", "node", "surplus"},
		{"kapok", "quickstart", "--max-hashrate", "fast"},
		{"kapok", "node", "--log", "loud"},
		{"kapok", "node", "--unknown"},
		{"kapok", "wallet", "send", "--fee-rate"},
		{"kapok", "--unknown"},
		{"kapok", "unknown"},
		{"kapok", "chain", "unknown"},
	} {
		if code := run(t.Context(), args); code != exitUsage {
			t.Errorf("%s ends with status %d, want %d", fmt.Sprint(args), code, exitUsage)
		}
	}
}
