package main

import (
	"bufio"
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/metrics"
	"strings"
	"testing"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
)

// soakSample is what the process held at one moment, after a garbage collection.
type soakSample struct {
	minutes    float64 // since the first one
	goroutines float64
	files      float64 // open descriptors but tables; 0 where they cannot be counted, as below
	tables     float64 // open files of the databases, of which a full write buffer makes one
	heap       float64 // bytes of live objects, less the next
	buffers    float64 // bytes of the database's buffers: what databaseBuffers counts
	anonymous  float64 // bytes resident: heap, stacks, the runtime's own
	mapped     float64 // bytes resident of files: the program's, the database's
	blocks     float64 // of the chain
}

func takeSoakSample() (x soakSample) {
	x.heap, x.buffers = liveHeap()
	x.goroutines = float64(runtime.NumGoroutine())
	if open, err := os.ReadDir("/proc/self/fd"); err == nil {
		for _, fd := range open {
			if name, _ := os.Readlink("/proc/self/fd/" + fd.Name()); strings.HasSuffix(name, ".sst") {
				x.tables++
			} else {
				x.files++
			}
		}
	}
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return x
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		key, value, _ := strings.Cut(lines.Text(), ":")
		var kb float64
		fmt.Sscanf(value, "%f kB", &kb)
		switch key {
		case "RssAnon":
			x.anonymous = kb * 1024
		case "RssFile":
			x.mapped = kb * 1024
		}
	}
	return x
}

// liveHeap returns the bytes of objects that are in use, less the database's buffers, and
// those. What is made while a collection is under way counts as if it were in use, and where
// the processor is busy that is long: the least of three collections is nearest to the truth.
func liveHeap() (objects, buffers float64) {
	objects = math.Inf(1)
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	for range 3 {
		runtime.GC() // publishes the heap's profile, which is of the same moment
		metrics.Read(live)
		in := databaseBuffers()
		if rest := float64(live[0].Value.Uint64()) - in; rest < objects {
			objects, buffers = rest, in
		}
	}
	return objects, buffers
}

// databaseBuffers asks the heap's profile for Badger's buffers, which are taken whole, and are
// too large to be missed by its sampling. They are bounded, whatever is stored: each node has
// one to three of up to 21 MB for what is written, and for some seconds others of as much, in
// which tables are put together.
func databaseBuffers() (bytes float64) {
	records := make([]runtime.MemProfileRecord, 4096)
	n, all := runtime.MemProfile(records, false)
	for !all {
		records = make([]runtime.MemProfileRecord, 2*n)
		n, all = runtime.MemProfile(records, false)
	}
	for _, r := range records[:n] {
		frames := runtime.CallersFrames(r.Stack())
		for more := true; more; {
			var f runtime.Frame
			f, more = frames.Next()
			if strings.HasSuffix(f.Function, "badger/v4/skl.newArena") || strings.HasSuffix(f.Function, "ristretto/v2/z.Calloc") {
				bytes += float64(r.InUseBytes())
				break
			}
		}
	}
	return bytes
}

// headerCost is how many bytes a block takes in a node's memory for good.
func headerCost(t *testing.T) float64 {
	const blocks = 5000
	c := chaintest.New(t, consensus.Regtest())
	c.Grow(fmt.Sprint("genesis - a1..a", blocks))
	path := c.Path(fmt.Sprint("a", blocks))
	before := takeSoakSample().heap
	tree := consensus.NewTree(c.Params)
	for _, b := range path {
		if _, err := tree.AddHeader(&b.Header, c.Now()); err != nil {
			t.Fatal(err)
		}
	}
	cost := (takeSoakSample().heap - before) / blocks
	runtime.KeepAlive(tree)
	runtime.KeepAlive(c)
	runtime.KeepAlive(path)
	return cost
}
