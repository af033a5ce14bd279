package sha256d

import (
	"crypto/sha256"
	"math/rand/v2"
	"slices"
	"testing"
)

func randomLevel(n int) [][32]byte {
	rng := rand.NewChaCha8([32]byte{byte(n)})
	level := make([][32]byte, n)
	for i := range level {
		rng.Read(level[i][:])
	}
	return level
}

// Levels of any length, also after another one, have the nodes that the standard
// library says, and nothing behind them is touched.
func TestHashLevel(t *testing.T) {
	for n := range 240 { // up to some groups of vectors, and some nodes more
		level := randomLevel(n + 1)
		last := level[n]
		want := slices.Clone(level[:n])
		for i := range n / 2 {
			first := sha256.Sum256(append(want[2*i][:], want[2*i+1][:]...))
			want[i] = sha256.Sum256(first[:])
		}
		if got := HashLevel(level[:n]); !slices.Equal(got, want[:n/2]) {
			t.Errorf("%d hashes: got %x, want %x", n, got, want[:n/2])
		}
		if level[n] != last {
			t.Errorf("%d hashes: what stands behind them was changed", n)
		}
	}
}

func BenchmarkHashLevel(b *testing.B) {
	const n = 4096
	level := randomLevel(n)
	for name, hash := range map[string]func([][32]byte){"kernel": hashLevel, "stdlib": hashLevelByStdlib} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				hash(level)
			}
			b.ReportMetric(float64(b.N)*n/2/b.Elapsed().Seconds()/1e6, "Mnodes/s")
		})
	}
}
