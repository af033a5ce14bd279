package sha256d

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/klauspost/cpuid/v2"
)

// manyVersions are n that differ in the bits that BIP320 leaves to miners.
func manyVersions(n int) []int32 {
	versions := make([]int32, n)
	for i := range versions {
		versions[i] = 0x20000000 | int32(i)<<13
	}
	return versions
}

// Each hash of a small search in turn is the worst that counts: the hits are those
// up to it, in whatever lane of a kernel they are and whichever stage they reach
// when the search ends.
func TestHitsInEveryPlace(t *testing.T) {
	everyKernel(t, func(t *testing.T, kernel Kernel) {
		for _, shape := range []struct{ nonces, versions int }{{37, 1}, {75, 1}, {16, 2}, {9, 3}, {3, 12}, {2, 240}, {3, 32}, {2, 256}, {4, 11}, {2, 23}} {
			header := [HeaderSize]byte{70: byte(shape.versions)}
			w := New(header, 0, manyVersions(shape.versions)...)
			const start = 1<<32 - 2 // and on from 0
			hits := make([]Hit, shape.nonces*shape.versions+shape.versions)
			for _, h := range expected(w.WithTop(1<<32-1), start, uint32(shape.nonces)) {
				w := w.WithTop(topWord(twice(w.Header(h))))
				found, tried := kernel.Search(w, start, uint32(shape.nonces), hits)
				if want := expected(w, start, uint32(shape.nonces)); tried != uint32(shape.nonces) || !slices.Equal(hits[:found], want) {
					t.Fatalf("%+v up to the hash of %+v: tried %d, found %v, expected %v", shape, h, tried, hits[:found], want)
				}
			}
		}
	})
}

// A search longer than what a kernel hands to the CPU at once has no seams.
func TestLongSearch(t *testing.T) {
	everyKernel(t, func(t *testing.T, kernel Kernel) {
		for _, versions := range []int{1, 3, 240, 256} {
			w := New([HeaderSize]byte{70: 3}, 1<<20, manyVersions(versions)...)
			n := uint32((maxScan + maxScan/2) / versions)
			hits := make([]Hit, 1000)
			found, tried := kernel.Search(w, 77, n, hits)
			if want := expected(w, 77, n); tried != n || !slices.Equal(hits[:found], want) {
				t.Errorf("%d versions: tried %d of %d, found %v, expected %v", versions, tried, n, hits[:found], want)
			}
		}
	})
}

// Where every hash is a hit a kernel finds more than it keeps at once: it goes on, and
// never beyond the nonces that it was asked for.
func TestMoreHitsThanFit(t *testing.T) {
	everyKernel(t, func(t *testing.T, kernel Kernel) {
		for _, versions := range []int{1, 12, 240} {
			for _, hashes := range []int{maxFound - 36, maxFound - 7, maxFound - 6, maxFound - 5, maxFound - 1, maxFound, maxFound + 1, 2*maxFound + 1} {
				n := uint32((hashes + versions - 1) / versions)
				w := New([HeaderSize]byte{70: 4}, 1<<32-1, manyVersions(versions)...)
				hits := make([]Hit, 2000)
				found, tried := kernel.Search(w, 3, n, hits)
				if want := expected(w, 3, n); tried != n || !slices.Equal(hits[:found], want) {
					t.Errorf("%d nonces of %d versions: tried %d, found %d", n, versions, tried, found)
				}
			}
		}
	})
}

func TestSearchAllocatesNothing(t *testing.T) {
	for _, kernel := range assembly(&cpuid.CPU) {
		for _, versions := range []int{1, kernel.Versions()} {
			w := New([HeaderSize]byte{}, 1<<28, manyVersions(versions)...)
			hits := make([]Hit, 2*MaxVersions)
			if n := testing.AllocsPerRun(100, func() { kernel.Search(w, 0, 10, hits) }); n >= 1 {
				t.Errorf("%s with %d versions allocates %v times", kernel.Name(), versions, n)
			}
		}
	}
}

// slow is a kernel that takes its time by a clock of its own.
type slow struct {
	Portable
	versions int
	took     []time.Duration // of each search
	now      *time.Time
	searches *int
}

func (s slow) Versions() int { return s.versions }

func (s slow) Search(_ *Work, _, n uint32, _ []Hit) (int, uint32) {
	*s.now = s.now.Add(s.took[*s.searches%len(s.took)])
	*s.searches++
	return 0, n
}

func TestFastest(t *testing.T) {
	const ms = time.Millisecond
	for name, test := range map[string]struct {
		took [2][]time.Duration
		best int
	}{
		"the faster":       {[2][]time.Duration{{2 * ms}, {ms}}, 1},
		"but for a moment": {[2][]time.Duration{{2 * ms}, {9 * ms, ms}}, 1},
		"one round":        {[2][]time.Duration{{50 * ms}, {60 * ms, ms}}, 0}, // there is no time for another
	} {
		var now time.Time
		kernels := make([]Kernel, 2)
		for i, took := range test.took {
			kernels[i] = slow{versions: 1 + i, took: took, now: &now, searches: new(int)}
		}
		if got := fastest(kernels, func() time.Time { return now }); got.Versions() != 1+test.best {
			t.Errorf("%s: it is number %d", name, got.Versions()-1)
		}
		if now.Sub(time.Time{}) > 2*calibrationLimit+50*ms {
			t.Errorf("%s: found out after %v", name, now.Sub(time.Time{}))
		}
	}
}

// FuzzSearch: all kernels find what crypto/sha256 does.
func FuzzSearch(f *testing.F) {
	f.Fuzz(func(t *testing.T, header []byte, top, start uint32, nonces, versions, room uint8) {
		var h [HeaderSize]byte
		copy(h[:], header)
		w := New(h, top, manyVersions(1+int(versions))...)
		n := uint32(nonces % 16)
		want := expected(w, start, n)
		for _, kernel := range Kernels() {
			hits := make([]Hit, w.Versions()+int(room))
			var got []Hit
			for done := uint32(0); done < n; {
				found, tried := kernel.Search(w, start+done, n-done, hits)
				if tried == 0 || tried > n-done {
					t.Fatalf("%s: tried %d of %d", kernel.Name(), tried, n-done)
				}
				got = append(got, hits[:found]...)
				done += tried
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%s: found %v, expected %v", kernel.Name(), got, want)
			}
		}
	})
}

// BenchmarkSearch reports hashes per second by kernel, with one version and with
// as many as it is best at.
func BenchmarkSearch(b *testing.B) {
	for _, kernel := range Kernels() {
		for _, versions := range slices.Compact([]int{1, kernel.Versions()}) {
			b.Run(fmt.Sprintf("%s/versions=%d", kernel.Name(), versions), func(b *testing.B) {
				w := New([HeaderSize]byte{70: 1}, 0, manyVersions(versions)...)
				n := max(1, kernel.Batch()/uint32(versions))
				hits := make([]Hit, MaxVersions)
				b.ReportAllocs()
				for start := uint32(0); b.Loop(); start += n {
					kernel.Search(w, start, n, hits)
				}
				b.ReportMetric(float64(b.N)*float64(n)*float64(versions)/b.Elapsed().Seconds()/1e6, "MH/s")
			})
		}
	}
}
