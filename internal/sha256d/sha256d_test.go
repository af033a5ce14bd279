package sha256d

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kapok-chain/kapok/internal/vectors"

	"pgregory.net/rapid"
)

// genesisHeader is Bitcoin's first.
const genesisHeader = "01000000" +
	"0000000000000000000000000000000000000000000000000000000000000000" +
	"3ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a" +
	"29ab5f49ffff001d1dac2b7c"

const genesisNonce = 2083236893

func decode(t *testing.T, text string) [HeaderSize]byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != HeaderSize {
		t.Fatalf("not a header: %q (%v)", text, err)
	}
	return [HeaderSize]byte(b)
}

// twice is the oracle: the double SHA-256 by the standard library.
func twice(header [HeaderSize]byte) [32]byte {
	first := sha256.Sum256(header[:])
	return sha256.Sum256(first[:])
}

func topWord(hash [32]byte) uint32 { return binary.LittleEndian.Uint32(hash[28:]) }

// expected searches with the oracle.
func expected(w *Work, start, n uint32) (hits []Hit) {
	for i := range n {
		for _, l := range w.lanes {
			h := Hit{Nonce: start + i, Version: l.version}
			if topWord(twice(w.Header(h))) <= w.top {
				hits = append(hits, h)
			}
		}
	}
	return hits
}

// everyKernel runs a test on all kernels, this CPU's choice or not.
func everyKernel(t *testing.T, test func(*testing.T, Kernel)) {
	for _, kernel := range Kernels() {
		t.Run(kernel.Name(), func(t *testing.T) { test(t, kernel) })
	}
}

func TestGenesisNonce(t *testing.T) {
	everyKernel(t, func(t *testing.T, kernel Kernel) {
		header := decode(t, genesisHeader)
		w := New(header, 0)
		hits := make([]Hit, 4)
		const before = 20_000
		found, tried := kernel.Search(w, genesisNonce-before, before+1000, hits)
		want := []Hit{{Nonce: genesisNonce, Version: 1}}
		if !slices.Equal(hits[:found], want) || tried != before+1000 {
			t.Fatalf("found %v after %d nonces", hits[:found], tried)
		}
		if w.Header(hits[0]) != header {
			t.Error("the hit's header is not the genesis header")
		}
	})
}

func TestRandomHeadersAgainstStdlib(t *testing.T) {
	everyKernel(t, func(t *testing.T, kernel Kernel) {
		rapid.Check(t, func(t *rapid.T) {
			header := [HeaderSize]byte(rapid.SliceOfN(rapid.Byte(), HeaderSize, HeaderSize).Draw(t, "header"))
			top := rapid.SampledFrom([]uint32{0, 1 << 24, 1 << 28, 1 << 30, 1 << 31, math.MaxUint32}).Draw(t, "top")
			versions := rapid.SliceOfNDistinct(rapid.Int32(), 0, 9, rapid.ID).Draw(t, "versions")
			start := rapid.OneOf(rapid.Uint32(), rapid.Uint32Range(math.MaxUint32-40, math.MaxUint32)).Draw(t, "start")
			n := rapid.Uint32Range(0, 60).Draw(t, "n")
			w := New(header, top, versions...)
			hits := make([]Hit, int(n)*w.Versions()+w.Versions())
			found, tried := kernel.Search(w, start, n, hits)
			if want := expected(w, start, n); tried != n || !slices.Equal(hits[:found], want) {
				t.Fatalf("tried %d of %d, found %v, expected %v", tried, n, hits[:found], want)
			}
		})
	})
}

// A search in pieces finds what one in a row finds, whatever the pieces are and
// however little room there is for hits.
func TestBatchesJoin(t *testing.T) {
	everyKernel(t, func(t *testing.T, kernel Kernel) {
		rapid.Check(t, func(t *rapid.T) {
			versions := []int32{4, 5, 0x20000000}[:rapid.IntRange(1, 3).Draw(t, "versions")]
			w := New([HeaderSize]byte{70: 1}, 1<<31, versions...)
			room := rapid.IntRange(len(versions), 8).Draw(t, "room")
			start := rapid.OneOf(rapid.Uint32(), rapid.Just[uint32](math.MaxUint32-30)).Draw(t, "start")
			const n = 60
			var got []Hit
			hits := make([]Hit, room)
			for done := uint32(0); done < n; {
				batch := min(rapid.Uint32Range(1, 20).Draw(t, "batch"), n-done)
				found, tried := kernel.Search(w, start+done, batch, hits)
				if tried == 0 || tried > batch {
					t.Fatalf("tried %d of %d", tried, batch)
				}
				got = append(got, hits[:found]...)
				done += tried
			}
			if want := expected(w, start, n); !slices.Equal(got, want) {
				t.Fatalf("found %v, expected %v", got, want)
			}
		})
	})
}

func TestNonceWraps(t *testing.T) {
	everyKernel(t, func(t *testing.T, kernel Kernel) {
		w := New([HeaderSize]byte{1}, math.MaxUint32)
		hits := make([]Hit, 3)
		found, tried := kernel.Search(w, math.MaxUint32-1, 3, hits)
		want := []Hit{{math.MaxUint32 - 1, 1}, {math.MaxUint32, 1}, {0, 1}}
		if tried != 3 || !slices.Equal(hits[:found], want) {
			t.Errorf("tried %d, found %v", tried, hits[:found])
		}
	})
}

func TestNoRoomNoSearch(t *testing.T) {
	everyKernel(t, func(t *testing.T, kernel Kernel) {
		w := New([HeaderSize]byte{}, math.MaxUint32, 4, 5)
		if found, tried := kernel.Search(w, 0, 9, make([]Hit, 1)); found != 0 || tried != 0 {
			t.Errorf("found %d in %d nonces without room for a nonce's hits", found, tried)
		}
		if found, tried := kernel.Search(w, 0, 9, make([]Hit, 5)); found != 4 || tried != 2 {
			t.Errorf("found %d in %d nonces, expected 4 in 2", found, tried)
		}
	})
}

func TestTopWordIsInclusive(t *testing.T) {
	everyKernel(t, func(t *testing.T, kernel Kernel) {
		header := decode(t, genesisHeader)
		w := New(header, 0)
		top := topWord(twice(w.Header(Hit{Nonce: 7, Version: 1})))
		hits := make([]Hit, 1)
		if found, _ := kernel.Search(New(header, top), 7, 1, hits); found != 1 {
			t.Error("a hash whose top word is the target's is no candidate")
		}
		if found, _ := kernel.Search(New(header, top-1), 7, 1, hits); found != 0 {
			t.Error("a hash whose top word is above the target's is a candidate")
		}
	})
}

func TestVersionsAreBounded(t *testing.T) {
	if got := New([HeaderSize]byte{}, 0, make([]int32, MaxVersions+1)...).Versions(); got != MaxVersions {
		t.Errorf("%d versions", got)
	}
}

func TestNamed(t *testing.T) {
	for _, kernel := range Kernels() {
		if got, ok := Named(kernel.Name()); !ok || got != kernel {
			t.Errorf("Named(%q) = %v, %v", kernel.Name(), got, ok)
		}
	}
	if _, ok := Named("abacus"); ok {
		t.Error("there is a kernel called abacus")
	}
	if !slices.Contains(Kernels(), Best()) || Best() != Best() {
		t.Errorf("the best kernel is %s", Best().Name())
	}
}

// Real headers: the search finds the nonce that Bitcoin's miners found.
func TestRealHeaders(t *testing.T) {
	headers := realHeaders(t)
	t.Logf("vectors: blocks: %d cases", len(headers))
	everyKernel(t, func(t *testing.T, kernel Kernel) {
		for _, header := range headers {
			nonce := binary.LittleEndian.Uint32(header[nonceAt:])
			w := New(header, targetTop(binary.LittleEndian.Uint32(header[72:])))
			hits := make([]Hit, 200)
			found, tried := kernel.Search(w, nonce-50, 100, hits)
			if tried != 100 || !slices.Equal(hits[:found], expected(w, nonce-50, 100)) {
				t.Fatalf("header %x: found %v", header, hits[:found])
			}
			if !slices.ContainsFunc(hits[:found], func(h Hit) bool { return w.Header(h) == header }) {
				t.Fatalf("header %x: its nonce was not found", header)
			}
		}
	})
}

// targetTop returns the most significant word of a compact target.
func targetTop(compact uint32) uint32 {
	target := new(big.Int).Lsh(big.NewInt(int64(compact&0x7fffff)), 8*uint(compact>>24-3))
	return uint32(target.Rsh(target, 224).Uint64())
}

// realHeaders returns the first 80 bytes of every line of the block vectors.
func realHeaders(t *testing.T) (headers [][HeaderSize]byte) {
	files, err := filepath.Glob(filepath.Join(vectors.Dir(t), "blocks", "*.hex"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no block vectors: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.FieldsSeq(string(text)) {
			headers = append(headers, decode(t, line[:2*HeaderSize]))
		}
	}
	return headers
}

// The rounds that are done once, in their place, give what SHA-256 gives.
func TestRoundsAgainstStdlib(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		header := [HeaderSize]byte(rapid.SliceOfN(rapid.Byte(), HeaderSize, HeaderSize).Draw(t, "header"))
		w := New(header, 0)
		var schedule [64]uint32
		copy(schedule[:], w.tail[:])
		schedule[3] = binary.BigEndian.Uint32(header[nonceAt:])
		schedule[4], schedule[15] = padding, 8*HeaderSize
		expand(&schedule)
		first := sha256.Sum256(header[:])
		for i, word := range w.lanes[0].finish(&schedule) {
			if word != binary.BigEndian.Uint32(first[4*i:]) {
				t.Fatalf("word %d is %08x", i, word)
			}
		}
	})
}
