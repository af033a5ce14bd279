package energy

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"
)

// Config is what a Meter is made of.
type Config struct {
	FS    fs.FS            // rooted at "/": sys/class/powercap and proc are read
	Clock func() time.Time // for the idle baseline
	Model Model            // of what cannot be measured; guessed from proc/cpuinfo where it has no name
	PIDs  []int            // processes whose energy it is; this one where empty
	// ModelOnly leaves the counters alone: what would this work cost on the
	// model's hardware?
	ModelOnly bool
}

// Meter counts joules from when it was made.
type Meter struct {
	clock   func() time.Time
	cpu     *cpuClock
	model   Model
	rapl    *rapl  // nil: the model alone
	why     string // why there is no rapl
	packs   int    // packages measured
	at      time.Time
	ours    float64 // core-seconds at the last look
	busy    float64 // core-seconds at the last look
	hashes  float64 // at the last look
	idle    float64 // watts, of all packages
	hasIdle bool

	byCPU   bool // CPU times can be read, ours at least
	byShare bool // and those of the whole machine

	measured, modelled float64 // joules so far
	elapsed            time.Duration
}

// Reading is what a Meter says at one moment.
type Reading struct {
	Joules   float64 // since the meter was made
	Hashes   float64 // as the caller counts them
	Elapsed  time.Duration
	Measured bool   // all of it by counters; else a model has a part in it
	Method   string // for people: how it came about
}

// NewMeter is a meter of this process on this machine.
func NewMeter() *Meter { return New(Config{FS: os.DirFS("/"), Clock: time.Now}) }

// New makes a meter.
func New(c Config) *Meter {
	m := &Meter{clock: c.Clock, cpu: newCPUClock(c.FS, c.PIDs), model: c.Model}
	if m.model.Name == "" {
		cpuinfo, err := fs.ReadFile(c.FS, "proc/cpuinfo")
		if err != nil {
			cpuinfo = nil // modelOf has an answer for nothing, too
		}
		m.model = modelOf(string(cpuinfo))
	}
	if !c.ModelOnly {
		r, err := openRAPL(c.FS)
		switch {
		case err == nil:
			m.rapl, m.packs = r, len(r.zones)
		case errors.Is(err, fs.ErrPermission):
			m.why = "RAPL counters are there, but only root may read them"
		default:
			m.why = err.Error()
		}
	}
	m.at = c.Clock()
	m.ours, m.byCPU = m.cpu.ours()
	m.busy, m.byShare = m.cpu.busy()
	m.byShare = m.byShare && m.byCPU
	return m
}

// Measures reports whether there are counters, so that an idle baseline is worth
// waiting for.
func (m *Meter) Measures() bool { return m.rapl != nil }

// Idle says that the machine did nothing of ours from the meter's start, or the
// last Read, until now: what it drew is its idle baseline, which later readings
// are less by. It counts nothing.
func (m *Meter) Idle() {
	joules, seconds, _, _ := m.step()
	if m.rapl != nil && seconds > 0 {
		m.idle, m.hasIdle = joules/seconds, true
	}
}

// Watch counts a process from now on, beside those of Config.PIDs: one that has begun
// since the meter was made, for all of its CPU time counts.
func (m *Meter) Watch(pid int) { m.cpu.watch(pid) }

// Read says what was used so far. hashes is the caller's count since the meter
// was made; only a model asks for it.
func (m *Meter) Read(hashes float64) Reading {
	joules, seconds, ours, busy := m.step()
	m.elapsed += time.Duration(seconds * float64(time.Second))
	switch {
	case m.rapl != nil:
		active := max(0, joules-m.idle*seconds)
		if m.byShare {
			active *= share(ours, busy)
		}
		m.measured += active
	case m.modelsCPU():
		m.modelled += m.model.ByCPU(ours)
	default:
		m.modelled += m.model.ByHashes(hashes - m.hashes)
	}
	m.hashes = hashes
	return Reading{Joules: m.measured + m.modelled, Hashes: hashes, Elapsed: m.elapsed,
		Measured: m.rapl != nil, Method: m.method()}
}

// modelsCPU reports whether the model goes by CPU time, not by hashes.
func (m *Meter) modelsCPU() bool { return m.byCPU && m.model.WattsPerCore > 0 }

// share is what of the machine's CPU time was ours. The kernel counts the two in
// different ways, so that ours may seem to be the larger one.
func share(ours, busy float64) float64 {
	if ours <= 0 {
		return 0
	}
	return ours / max(ours, busy)
}

// step returns what happened since the last one: joules of all packages, wall
// seconds, and core-seconds of ours and of everybody. A counter that fails is
// given up, and the model takes over with this step.
func (m *Meter) step() (joules, seconds, ours, busy float64) {
	now := m.clock()
	seconds = max(0, now.Sub(m.at).Seconds())
	m.at = now
	if t, ok := m.cpu.ours(); ok {
		ours, m.ours = max(0, t-m.ours), t
	}
	if t, ok := m.cpu.busy(); ok {
		busy, m.busy = max(0, t-m.busy), t
	}
	if m.rapl == nil {
		return 0, seconds, ours, busy
	}
	joules, err := m.rapl.joules()
	if err != nil {
		m.rapl, m.why = nil, err.Error()
	}
	return joules, seconds, ours, busy
}

func (m *Meter) method() string {
	if m.rapl == nil {
		parts := []string{"model: " + m.model.Name}
		if m.modelsCPU() {
			parts = append(parts, fmt.Sprintf("%.3g W per busy core times CPU time", m.model.WattsPerCore))
		} else {
			parts = append(parts, fmt.Sprintf("%.3g J per hash", m.model.JoulesPerHash))
		}
		if m.measured > 0 {
			parts = append(parts, "from where the measurement ended")
		}
		if m.why != "" {
			parts = append(parts, m.why)
		}
		return strings.Join(parts, ", ")
	}
	parts := []string{fmt.Sprintf("measured: RAPL, %d processor package(s)", m.packs)}
	if m.hasIdle {
		parts = append(parts, fmt.Sprintf("less %.3g W idle", m.idle))
	} else {
		parts = append(parts, "idle power included")
	}
	if m.byShare {
		parts = append(parts, "our share by CPU time")
	}
	return strings.Join(parts, ", ")
}

// joulesPerKWh converts to what electricity is sold by.
const joulesPerKWh = 3.6e6

// KWh is the energy in kilowatt-hours.
func (r Reading) KWh() float64 { return r.Joules / joulesPerKWh }

// Watts is the mean power; 0 where no time has passed.
func (r Reading) Watts() float64 { return per(r.Joules, r.Elapsed.Seconds()) }

// PerHash is joules per hash; 0 where there was none.
func (r Reading) PerHash() float64 { return per(r.Joules, r.Hashes) }

// Per shares the energy among blocks, or payments; 0 where there are none.
func (r Reading) Per(n uint64) float64 { return per(r.Joules, float64(n)) }

func per(joules, n float64) float64 {
	if n <= 0 {
		return 0
	}
	return joules / n
}
