package sha256d

import (
	"fmt"
	"testing"
)

// BenchmarkSearch reports hashes per second by kernel and number of versions; that
// nothing is allocated shows in allocs/op.
func BenchmarkKernels(b *testing.B) {
	for _, kernel := range Kernels() {
		for _, versions := range []int{1, 240} {
			b.Run(fmt.Sprintf("%s/versions=%d", kernel.Name(), versions), func(b *testing.B) {
				w := New([HeaderSize]byte{70: 1}, 0, manyVersions(versions)...)
				n := max(1, kernel.Batch()/uint32(versions))
				hits := make([]Hit, MaxVersions)
				b.ReportAllocs()
				start := uint32(0)
				for b.Loop() {
					kernel.Search(w, start, n, hits)
					start += n
				}
				b.ReportMetric(float64(b.N)*float64(n)*float64(versions)/b.Elapsed().Seconds()/1e6, "MH/s")
			})
		}
	}
}

func manyVersions(n int) []int32 {
	versions := make([]int32, n)
	for i := range versions {
		versions[i] = 0x20000000 | int32(i)<<13
	}
	return versions
}
