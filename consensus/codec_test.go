package consensus

import (
	"bytes"
	"errors"
	"math"
	"runtime"
	"testing"

	"github.com/kapok-chain/kapok/internal/frugal"
)

// wantDecode holds a decoder's answer against a code; the kind is Malformed.
func wantDecode(t *testing.T, err error, code Code) {
	t.Helper()
	wantRule(t, err, code, Malformed)
}

// rawBlock is a good block's bytes.
func rawBlock(t testing.TB) []byte {
	_, b := goodBlock(t, 2)
	return b.Bytes()
}

func spliced(b []byte, at, cut int, with ...byte) []byte {
	return append(append(bytes.Clone(b[:at]), with...), b[at+cut:]...)
}

// Case 36: a count in more bytes than it needs. The shortest form is accepted.
func TestDecodeCompactSize(t *testing.T) {
	raw := rawBlock(t)
	if _, err := DecodeBlock(raw); err != nil {
		t.Fatal(err)
	}
	n := raw[HeaderSize]
	for name, form := range map[string][]byte{
		"36 blk-noncanonical-varint, 9 bytes": {0xff, n, 0, 0, 0, 0, 0, 0, 0},
		"5 bytes":                             {0xfe, n, 0, 0, 0},
		"3 bytes":                             {0xfd, n, 0},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := DecodeBlock(spliced(raw, HeaderSize, 1, form...))
			wantDecode(t, err, ErrDecodeCompactSize)
		})
	}
	cases := []struct {
		n    uint64
		size int
	}{{0, 1}, {0xfc, 1}, {0xfd, 3}, {0xffff, 3}, {0x10000, 5}, {0xffffffff, 5}, {0x100000000, 9}, {math.MaxUint64, 9}}
	for _, c := range cases {
		b := AppendCompactSize(nil, c.n)
		d := NewDecoder(b)
		if got := d.CompactSize(); got != c.n || d.Finish() != nil || len(b) != c.size {
			t.Errorf("%d: %x reads as %d, %v", c.n, b, got, d.err)
		}
		if c.n <= math.MaxInt && compactSizeLen(int(c.n)) != c.size {
			t.Errorf("%d: length %d, want %d", c.n, compactSizeLen(int(c.n)), c.size)
		}
	}
	for _, short := range []string{"fdfc00", "feffff0000", "ffffffffff00000000", "fd0000"} {
		d := NewDecoder(unhex(t, short))
		d.CompactSize()
		wantDecode(t, d.Finish(), ErrDecodeCompactSize)
	}
	for _, cut := range []string{"", "fd", "fdff", "fe000001", "ff000000000100"[:12]} {
		d := NewDecoder(unhex(t, cut))
		d.CompactSize()
		wantDecode(t, d.Finish(), ErrDecodeTruncated)
	}
}

// Cases 37 and 38, and 89 for transactions: a byte too many, and every cut.
func TestDecodeLength(t *testing.T) {
	raw := rawBlock(t)
	_, err := DecodeBlock(append(bytes.Clone(raw), 0))
	wantDecode(t, err, ErrDecodeTrailing)
	for n := range raw {
		b, err := DecodeBlock(raw[:n])
		cut(t, b == nil, err, n)
	}
	tx, _ := signed(t, SigHashAll)
	for _, raw := range [][]byte{tx.Bytes(), tx.AppendStripped(nil)} {
		_, err := DecodeTx(append(bytes.Clone(raw), 0))
		wantDecode(t, err, ErrDecodeTrailing)
		for n := range raw {
			tx, err := DecodeTx(raw[:n])
			cut(t, tx == nil, err, n)
		}
	}
	header := raw[:HeaderSize]
	_, err = DecodeHeader(header[:79])
	wantDecode(t, err, ErrDecodeTruncated)
	_, err = DecodeHeader(raw[:81])
	wantDecode(t, err, ErrDecodeTrailing)
}

func cut(t *testing.T, isNil bool, err error, n int) {
	t.Helper()
	if rule := AsRuleError(err); rule == nil || rule.Kind != Malformed || !isNil ||
		rule.Code != ErrDecodeTruncated && rule.Code != ErrDecodeCount {
		t.Errorf("cut at %d: %v", n, err)
	}
}

// Case 39: counts that 100 bytes cannot hold cost nothing.
func TestDecodeHugeCounts(t *testing.T) {
	huge := []byte{0xff, 0, 0, 0, 0, 1, 0, 0, 0}
	pad := make([]byte, 100)
	outpoint := make([]byte, 36)
	version := []byte{2, 0, 0, 0}
	join := func(parts ...[]byte) []byte { return bytes.Join(append(parts, pad), nil) }
	oneIn := join(version, []byte{0, 1, 1}, outpoint, []byte{0, 0, 0, 0, 0})
	oneIn = oneIn[:len(oneIn)-len(pad)]
	oneOut := append(bytes.Clone(oneIn), 1, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	cases := map[string]struct {
		raw  []byte
		code Code
	}{
		"inputs":        {join(version, huge), ErrDecodeCount},
		"script":        {join(version, []byte{1}, outpoint, huge), ErrDecodeTruncated},
		"outputs":       {join(oneIn, huge), ErrDecodeCount},
		"witness items": {join(oneOut, huge), ErrDecodeCount},
		"witness item":  {join(oneOut, []byte{1}, huge), ErrDecodeTruncated},
		"largest":       {join(version, bytes.Repeat([]byte{0xff}, 9)), ErrDecodeCount},
		"negative size": {join(version, []byte{1}, outpoint, bytes.Repeat([]byte{0xff}, 9)), ErrDecodeTruncated},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			grew := allocated(func() {
				_, err := DecodeTx(c.raw)
				wantDecode(t, err, c.code)
			})
			if grew > 1<<20 {
				t.Errorf("%d bytes allocated", grew)
			}
		})
	}
	grew := allocated(func() {
		_, err := DecodeBlock(join(make([]byte, HeaderSize), huge))
		wantDecode(t, err, ErrDecodeCount)
	})
	if grew > 1<<20 {
		t.Errorf("%d bytes allocated", grew)
	}
}

// The items of a witness are bounded by their bytes (rule E7): 8 may be empty,
// and beyond them an item and its length take 4 bytes on average.
func TestDecodeWitnessItems(t *testing.T) {
	for _, c := range []struct {
		n, size int // items, and bytes of each without its length
		ok      bool
	}{
		{8, 0, true}, {10, 0, true}, {11, 0, false}, {17, 1, false}, {16, 1, true},
		{1_000, 3, true}, {1_000, 2, false}, {1 << 20, 3, true}, {1 << 20, 0, false},
	} {
		tx := loose(1)
		tx.Inputs[0].Witness = make([][]byte, c.n)
		for i := range tx.Inputs[0].Witness {
			tx.Inputs[0].Witness[i] = make([]byte, c.size)
		}
		raw := tx.Bytes()
		var got *Tx
		var err error
		frugal.Call(t, "DecodeTx", len(raw), func() { got, err = DecodeTx(raw) })
		if !c.ok {
			wantDecode(t, err, ErrDecodeCount)
		} else if err != nil || !bytes.Equal(got.Bytes(), raw) {
			t.Errorf("%d items of %d bytes: %v", c.n, c.size, err)
		}
	}
}

func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// Cases 46 and 47: the witness marker.
func TestDecodeWitnessMarker(t *testing.T) {
	tx, _ := signed(t, SigHashAll)
	stripped := tx.AppendStripped(nil)
	lockTime := len(stripped) - 4
	superfluous := spliced(spliced(stripped, lockTime, 0, 0, 0), 4, 0, 0, 1)
	_, err := DecodeTx(superfluous)
	wantDecode(t, err, ErrDecodeSuperfluous)

	raw := tx.Bytes()
	for _, flag := range []byte{2, 3, 0x80, 0xff} {
		_, err := DecodeTx(spliced(raw, 5, 1, flag))
		wantDecode(t, err, ErrDecodeFlag)
	}
	// No inputs and no outputs: the rules say what is wrong, not the decoder.
	empty, err := DecodeTx(make([]byte, 10))
	if err != nil {
		t.Fatal(err)
	}
	wantRule(t, CheckTx(Regtest(), empty), ErrNoInputs, Invalid)
	// A marked transaction without inputs has no witness to carry.
	_, err = DecodeTx([]byte{2, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	wantDecode(t, err, ErrDecodeSuperfluous)
}

// What is kept does not hold the message that it came in.
func TestDecodeCopies(t *testing.T) {
	_, b := goodBlock(t, 2)
	raw := b.Bytes()
	got, err := DecodeBlock(raw)
	if err != nil {
		t.Fatal(err)
	}
	want := bytes.Clone(raw)
	clear(raw)
	if !bytes.Equal(got.Bytes(), want) {
		t.Error("the block changed with the message")
	}
}

func TestKindsAndErrors(t *testing.T) {
	for kind, want := range map[Kind]string{
		Invalid: "invalid", Mutated: "mutated", Temporary: "temporary", Policy: "policy", Malformed: "malformed", 0: "unknown",
	} {
		if kind.String() != want {
			t.Errorf("kind %d is %q", kind, kind)
		}
	}
	err := within("block 7", within("transaction 1", invalid(ErrSig, "")))
	wantRule(t, err, ErrSig, Invalid)
	if got := err.Error(); got != "bad-sig: block 7: transaction 1" {
		t.Errorf("%q", got)
	}
	if !errors.Is(err, ErrSig) || errors.Is(err, ErrSigSize) {
		t.Error("errors.Is does not find the code")
	}
	disk := errors.New("disk")
	if err := within("block 7", disk); !errors.Is(err, disk) || AsRuleError(err) != nil {
		t.Errorf("%v: our own fault has become a rule's", err)
	}
	if got := invalid(ErrSig, "").Error(); got != "bad-sig" {
		t.Errorf("%q", got)
	}
}

func TestHashText(t *testing.T) {
	const text = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"
	h, err := ParseHash(text)
	if err != nil || h[31] != 0 || h[0] != 0x6f || h.String() != text {
		t.Errorf("%s, %v", h, err)
	}
	var again Hash
	if b, _ := h.MarshalText(); again.UnmarshalText(b) != nil || again != h {
		t.Errorf("%s read back as %s", h, again)
	}
	for _, bad := range []string{"", text[1:], text + "0", "g" + text[1:]} {
		if err := again.UnmarshalText([]byte(bad)); err == nil || again != h {
			t.Errorf("%q: %v, leaves %s", bad, err, again)
		}
	}
}

// A count is refused as soon as its items cannot fit into the bytes that follow.
func TestCountFits(t *testing.T) {
	for count, fits := range map[byte]bool{3: true, 4: false, 12: false} {
		d := NewDecoder(append([]byte{count}, make([]byte, 15)...))
		if n := d.Count(4); (d.Err() == nil) != fits || fits && n != int(count) {
			t.Errorf("%d items of 4 bytes in 15: %d, %v", count, n, d.Err())
		}
	}
}
