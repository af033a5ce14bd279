package energy

import (
	"fmt"
	"io/fs"
	"math"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// machine is a fake Linux machine: a tree of files, and a clock.
type machine struct {
	fstest.MapFS
	now    time.Time
	denied string // a file that may not be read
}

func (m *machine) Open(name string) (fs.File, error) {
	if name == m.denied {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return m.MapFS.Open(name)
}

// ReadFile goes through Open, so that denied is denied.
func (m *machine) ReadFile(name string) ([]byte, error) {
	if name == m.denied {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return m.MapFS.ReadFile(name)
}

func newMachine() *machine {
	m := &machine{MapFS: fstest.MapFS{}, now: time.Unix(1_700_000_000, 0)}
	m.set("proc/cpuinfo", "processor\t: 0\nmodel name\t: AMD EPYC 7763 64-Core Processor\n")
	m.cpu("self", 0)
	m.busy(0)
	return m
}

func (m *machine) set(name, text string) { m.MapFS[name] = &fstest.MapFile{Data: []byte(text)} }

// zone adds a powercap zone, or sets its counter.
func (m *machine) zone(id, name string, microjoules uint64) {
	dir := powercap + "/intel-rapl:" + id + "/"
	m.set(dir+"name", name+"\n")
	m.set(dir+"energy_uj", strconv.FormatUint(microjoules, 10)+"\n")
	m.set(dir+"max_energy_range_uj", "262143328850\n")
}

func (m *machine) cpu(pid string, seconds float64) {
	m.set("proc/"+pid+"/stat", fmt.Sprintf("7 (ka) po (k) R 1 7 7 0 -1 4194304 99 0 0 0 %d %d 0 0 20 0 1 0 248701\n", int(seconds*100)-int(seconds*25), int(seconds*25)))
}

// busy sets the machine's busy time, beside idle time and what was stolen.
func (m *machine) busy(seconds float64) {
	m.set("proc/stat", fmt.Sprintf("cpu  %d 0 0 99999 50 0 0 777 0 0\ncpu0 1 1 1\n", int(seconds*100)))
}

func (m *machine) meter(c Config) *Meter {
	c.FS, c.Clock = m, func() time.Time { return m.now }
	return New(c)
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-9*math.Max(1, math.Abs(b)) }

func TestRAPL(t *testing.T) {
	m := newMachine()
	m.zone("0", "package-0", 1_000_000)
	m.zone("0:0", "core", 900_000)
	m.zone("0:1", "dram", 800_000)
	m.zone("1", "package-1", 262_143_000_000) // about to start over
	m.zone("2", "psys", 5_000_000)
	meter := m.meter(Config{})
	for i := range 3 {
		m.zone("0", "package-0", 1_000_000+uint64(i+1)*30_000_000)
		m.zone("1", "package-1", uint64(i)*20_000_000+19_671_150)
		m.zone("0:0", "core", 123_000_000)
		m.zone("2", "psys", 999_000_000)
		m.now = m.now.Add(time.Second)
		m.cpu("self", float64(i+1)*0.5)
		m.busy(float64(i+1) * 2)
		r := meter.Read(float64(i+1) * 1e6)
		// 30 J and, over the wrap, 20 J a second; a quarter of the CPU time is ours.
		if want := float64(i+1) * 50 / 4; !near(r.Joules, want) || !r.Measured || !near(r.Watts(), 12.5) {
			t.Errorf("%d s: %+v, want %g J", i+1, r, want)
		}
		if r.PerHash() != r.Joules/r.Hashes || r.Per(2) != r.Joules/2 || r.Per(0) != 0 || !near(r.KWh(), r.Joules/3.6e6) {
			t.Errorf("shares of %+v", r)
		}
	}
	if got, want := meter.Read(0).Method, "measured: RAPL, 2 processor package(s), idle power included, our share by CPU time"; got != want {
		t.Errorf("method %q", got)
	}
}

func TestIdleBaseline(t *testing.T) {
	m := newMachine()
	m.zone("0", "package-0", 0)
	meter := m.meter(Config{})
	m.zone("0", "package-0", 60_000_000) // 6 W for 10 s
	m.now = m.now.Add(10 * time.Second)
	m.busy(5)
	meter.Idle()
	m.zone("0", "package-0", 160_000_000) // 20 W for 5 s
	m.now = m.now.Add(5 * time.Second)
	m.cpu("self", 5)
	m.busy(10)
	r := meter.Read(1)
	if !near(r.Joules, 70) || r.Elapsed != 5*time.Second || !strings.Contains(r.Method, "less 6 W idle") {
		t.Errorf("%+v", r)
	}
	// A machine that draws less than its baseline has not given energy back.
	m.zone("0", "package-0", 161_000_000)
	m.now = m.now.Add(5 * time.Second)
	m.cpu("self", 6)
	if r := meter.Read(1); !near(r.Joules, 70) {
		t.Errorf("%+v", r)
	}
}

func TestModels(t *testing.T) {
	for _, tc := range []struct {
		name   string
		build  func(*machine)
		config Config
		want   float64 // joules for 2 core-seconds and 10^7 hashes
		says   []string
	}{
		{"no counters", func(*machine) {}, Config{}, 2 * 280.0 / 64, []string{"model: server CPU", "4.38 W per busy core", "no RAPL packages"}},
		{"unreadable", func(m *machine) {
			m.zone("0", "package-0", 1)
			m.denied = powercap + "/intel-rapl:0/energy_uj"
		}, Config{}, 2 * 280.0 / 64, []string{"only root may read them"}},
		{"no package among the zones", func(m *machine) { m.zone("0", "psys", 1) }, Config{}, 2 * 280.0 / 64, []string{"no RAPL packages"}},
		{"nonsense", func(m *machine) {
			m.zone("0", "package-0", 1)
			m.set(powercap+"/intel-rapl:0/energy_uj", "-5")
		}, Config{}, 2 * 280.0 / 64, []string{"RAPL counter", "-5"}},
		{"desktop", func(m *machine) { m.set("proc/cpuinfo", "model name : Intel(R) Core(TM) i9\n") }, Config{}, 2 * 105.0 / 16, []string{"desktop"}},
		{"ASIC", func(m *machine) { m.zone("0", "package-0", 1) }, Config{Model: ASICFleet(), ModelOnly: true}, 28.2e-5, []string{"model: ASIC fleet of 2024, 2.82e-11 J per hash"}},
		{"no proc", func(m *machine) { m.MapFS = fstest.MapFS{} }, Config{}, 1e7 * 280 / 64 / portableRate, []string{"J per hash"}},
		{"other processes", func(m *machine) { m.cpu("41", 3); m.cpu("42", 5) }, Config{PIDs: []int{41, 42}}, 5 * 280.0 / 64, []string{"times CPU time"}},
	} {
		m := newMachine()
		tc.build(m)
		meter := m.meter(tc.config)
		m.now = m.now.Add(3 * time.Second)
		if tc.name != "no proc" {
			m.cpu("self", 2)
			m.cpu("41", 8)
			delete(m.MapFS, "proc/42/stat") // has ended
			m.busy(4)
		}
		r := meter.Read(1e7)
		if !near(r.Joules, tc.want) || r.Measured {
			t.Errorf("%s: %+v, want %g", tc.name, r, tc.want)
		}
		for _, says := range tc.says {
			if !strings.Contains(r.Method, says) {
				t.Errorf("%s: method %q lacks %q", tc.name, r.Method, says)
			}
		}
	}
}

// A counter that fails on the way is replaced by the model, and the reading says
// that it is no measurement any more.
func TestCounterFailsOnTheWay(t *testing.T) {
	m := newMachine()
	m.zone("0", "package-0", 0)
	meter := m.meter(Config{})
	m.zone("0", "package-0", 10_000_000)
	m.cpu("self", 1)
	m.busy(1)
	m.now = m.now.Add(time.Second)
	if r := meter.Read(1); !r.Measured || !near(r.Joules, 10) {
		t.Fatalf("%+v", r)
	}
	m.denied = powercap + "/intel-rapl:0/energy_uj"
	m.cpu("self", 3)
	m.busy(3)
	m.now = m.now.Add(time.Second)
	r := meter.Read(2)
	if r.Measured || !near(r.Joules, 10+2*280.0/64) || !strings.Contains(r.Method, "from where the measurement ended") {
		t.Errorf("%+v", r)
	}
}

// A process that begins later counts with all that it used; one that has ended keeps it.
func TestWatch(t *testing.T) {
	m := newMachine()
	m.cpu("41", 7)
	meter := m.meter(Config{PIDs: []int{41}})
	m.now = m.now.Add(time.Second)
	m.cpu("41", 8)
	m.cpu("43", 2)
	meter.Watch(43)
	if r := meter.Read(0); !near(r.Joules, 3*280.0/64) {
		t.Errorf("%+v", r)
	}
	delete(m.MapFS, "proc/43/stat")
	m.cpu("41", 9)
	m.now = m.now.Add(time.Second)
	if r := meter.Read(0); !near(r.Joules, 4*280.0/64) {
		t.Errorf("after its end: %+v", r)
	}
}

func TestModelTable(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range Models() {
		if m.Name == "" || m.Source == "" || m.JoulesPerHash <= 0 || seen[m.Name] {
			t.Errorf("%+v", m)
		}
		seen[m.Name] = true
	}
	if got := ASIC().ByHashes(200e12); !near(got, 3500) { // a second of an S21
		t.Errorf("an S21 takes %g W", got)
	}
	if ASIC().ByCPU(1) != 0 || !near(ServerCPU().ByCPU(64), 280) {
		t.Error("CPU time")
	}
}

func TestProcessTime(t *testing.T) {
	for _, text := range []string{"", "1 (a", "1 (a) R 1", "1 (a) R 1 2 3 4 5 6 7 8 9 10 x 12 13", "1 (a) R 1 2 3 4 5 6 7 8 9 10 11 x 13"} {
		if s, err := processTime(text); err == nil {
			t.Errorf("%q: %g", text, s)
		}
	}
	if s, err := processTime("1 (a) b) R 1 2 3 4 5 6 7 8 9 10 150 50 13"); err != nil || s != 2 {
		t.Errorf("%g, %v", s, err)
	}
}

// NewMeter answers on any machine, whatever may be read on it.
func TestThisMachine(t *testing.T) {
	meter := NewMeter()
	meter.Idle()
	if r := meter.Read(1000); r.Joules < 0 || r.Method == "" {
		t.Errorf("%+v", r)
	}
	t.Log(meter.Read(1000).Method)
}
