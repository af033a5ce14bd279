package energy

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// powercap is where Linux shows RAPL: a folder for each zone, with name,
// energy_uj and max_energy_range_uj in microjoules
// (Documentation/power/powercap/powercap.rst). AMD's counters have the same
// folder names.
const powercap = "sys/class/powercap"

// maxZones bounds the packages of one machine that are looked for.
const maxZones = 64

// rapl adds up the energy counters of all packages.
type rapl struct {
	fsys  fs.FS
	zones []zone
}

// zone is one package. Its counter runs from 0 to most and starts over.
type zone struct {
	file string
	last uint64 // microjoules
	most uint64
}

var errNoRAPL = errors.New("no RAPL packages under /" + powercap)

// openRAPL finds the packages and takes their counters as the start.
func openRAPL(fsys fs.FS) (*rapl, error) {
	entries, err := fs.ReadDir(fsys, powercap)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNoRAPL
	}
	if err != nil {
		return nil, fmt.Errorf("listing RAPL zones: %w", err)
	}
	r := &rapl{fsys: fsys}
	for _, e := range entries {
		// intel-rapl:0 is a package; intel-rapl:0:0, its cores, is counted in it.
		// intel-rapl-mmio:0 shows the package a second time.
		number, ok := strings.CutPrefix(e.Name(), "intel-rapl:")
		if !ok || strings.Contains(number, ":") {
			continue
		}
		dir := path.Join(powercap, e.Name())
		name, err := fs.ReadFile(fsys, path.Join(dir, "name"))
		if err != nil {
			return nil, fmt.Errorf("RAPL zone %s: %w", number, err)
		}
		if !strings.HasPrefix(string(name), "package-") { // psys, the whole board, holds the packages
			continue
		}
		z := zone{file: path.Join(dir, "energy_uj")}
		if z.most, err = readCounter(fsys, path.Join(dir, "max_energy_range_uj")); err != nil {
			return nil, err
		}
		if z.last, err = readCounter(fsys, z.file); err != nil {
			return nil, err
		}
		if r.zones = append(r.zones, z); len(r.zones) > maxZones {
			return nil, fmt.Errorf("more than %d RAPL packages", maxZones)
		}
	}
	if len(r.zones) == 0 {
		return nil, errNoRAPL
	}
	return r, nil
}

// joules is the energy of all packages since the last call.
func (r *rapl) joules() (float64, error) {
	now := make([]uint64, len(r.zones))
	for i, z := range r.zones {
		n, err := readCounter(r.fsys, z.file)
		if err != nil {
			return 0, err
		}
		now[i] = n
	}
	var sum float64
	for i := range r.zones {
		z := &r.zones[i]
		used := now[i] - z.last
		if now[i] < z.last { // once around
			used = z.most - z.last + now[i]
		}
		z.last = now[i]
		sum += float64(used) / 1e6
	}
	return sum, nil
}

func readCounter(fsys fs.FS, name string) (uint64, error) {
	b, err := fs.ReadFile(fsys, name)
	if err != nil {
		return 0, fmt.Errorf("RAPL counter: %w", err)
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("RAPL counter %s: %w", name, err)
	}
	return n, nil
}
