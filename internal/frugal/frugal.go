package frugal

import (
	"runtime"
	"runtime/metrics"
	"testing"
)

// All that one call allocates is at most Factor times its input, and Slack
// bytes more.
const (
	Factor = 8
	Slack  = 1 << 20
)

// Call calls f, and fails the test where it allocates more than an input of as
// many bytes may cost. It may call f twice: the runtime's running count costs
// next to nothing but lags behind by some pages, and the exact one stops the
// world. Nothing else may run meanwhile.
func Call(t testing.TB, what string, input int, f func()) {
	t.Helper()
	most := uint64(Factor*input + Slack)
	count := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(count)
	before := count[0].Value.Uint64()
	f()
	metrics.Read(count)
	if count[0].Value.Uint64()-before <= most {
		return
	}
	var from, to runtime.MemStats
	runtime.ReadMemStats(&from)
	f()
	runtime.ReadMemStats(&to)
	if grew := to.TotalAlloc - from.TotalAlloc; grew > most {
		t.Fatalf("%s of %d bytes allocates %d, more than %d", what, input, grew, most)
	}
}
