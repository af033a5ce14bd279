package address_test

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/kapok-chain/kapok/address"
	"github.com/kapok-chain/kapok/internal/frugal"
	"github.com/kapok-chain/kapok/internal/vectors"
)

// hrpOf are Bitcoin's prefixes by the chain names of the vectors.
func hrpOf(chain string) string {
	return map[string]string{"main": "bc", "testnet4": "tb", "test": "tb", "signet": "tb", "regtest": "bcrt"}[chain]
}

func allPrefixes() []string { return []string{"bc", "tb", "bcrt", "kpk", "kpkl", "kpkd", "kpkrt"} }

func TestKeyIOValid(t *testing.T) {
	var cases []struct{ Address, ScriptPubKey, Chain string }
	vectors.JSON(t, "key_io/key_io_valid_p2tr.json", &cases)
	for _, c := range cases {
		want, err := hex.DecodeString(strings.TrimPrefix(c.ScriptPubKey, "5120"))
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{c.Address, strings.ToUpper(c.Address)} {
			key, err := address.Decode(hrpOf(c.Chain), text)
			if err != nil || hex.EncodeToString(key[:]) != hex.EncodeToString(want) {
				t.Errorf("%s: %x, %v", text, key, err)
			}
		}
		if got := address.Encode(hrpOf(c.Chain), [32]byte(want)); got != c.Address {
			t.Errorf("encoded as %s, not %s", got, c.Address)
		}
		if _, err := address.Decode("kpk", c.Address); !errors.Is(err, address.ErrForeign) || !strings.Contains(err.Error(), `"kpk1"`) {
			t.Errorf("%s on kpk: %v", c.Address, err)
		}
	}
	vectors.Ran(t, "key_io valid_p2tr", len(cases))
}

// refused checks that no network takes the text.
func refused(t *testing.T, text string) {
	t.Helper()
	for _, hrp := range allPrefixes() {
		if key, err := address.Decode(hrp, text); err == nil {
			t.Errorf("%q on %s gave %x", text, hrp, key)
		}
	}
}

func TestKeyIORefused(t *testing.T) {
	var others []struct{ Address string }
	vectors.JSON(t, "key_io/key_io_other_types_must_reject.json", &others)
	for _, c := range others {
		refused(t, c.Address)
	}
	var invalid [][]string
	vectors.JSON(t, "key_io/key_io_invalid.json", &invalid)
	for _, c := range invalid {
		refused(t, c[0])
	}
	vectors.Ran(t, "key_io refused", len(others)+len(invalid))
}

type bipFile struct {
	ValidStrings     []bipCase `json:"valid_strings"`
	InvalidStrings   []bipCase `json:"invalid_strings"`
	ValidAddresses   []bipCase `json:"valid_addresses"`
	InvalidAddresses []bipCase `json:"invalid_addresses"`
}

type bipCase struct {
	Hex          string `json:"hex"`
	ScriptPubKey string `json:"scriptpubkey"`
}

func (c bipCase) text(t *testing.T) string {
	b, err := hex.DecodeString(c.Hex)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// BIP173's checksum is the old one: nothing in its file is an address here.
func TestBIP173(t *testing.T) {
	var f bipFile
	vectors.JSON(t, "bip173/bech32.json", &f)
	n := 0
	for _, set := range [][]bipCase{f.ValidStrings, f.InvalidStrings, f.ValidAddresses, f.InvalidAddresses} {
		for _, c := range set {
			text := c.text(t)
			hrp := strings.ToLower(text[:max(0, strings.LastIndex(text, "1"))])
			if key, err := address.Decode(hrp, text); err == nil {
				t.Errorf("%q gave %x", text, key)
			}
			refused(t, text)
			n++
		}
	}
	vectors.Ran(t, "bip173", n)
}

func TestBIP350(t *testing.T) {
	var f bipFile
	vectors.JSON(t, "bip350/bech32m.json", &f)
	n := 0
	for _, set := range [][]bipCase{f.ValidStrings, f.InvalidStrings, f.InvalidAddresses} {
		for _, c := range set {
			refused(t, c.text(t))
			n++
		}
	}
	// A well-formed string of no program fails for its program, not its checksum.
	for _, c := range f.ValidStrings {
		text := c.text(t)
		hrp := strings.ToLower(text[:strings.LastIndex(text, "1")])
		if _, err := address.Decode(hrp, text); !errors.Is(err, address.ErrProgram) {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, c := range f.ValidAddresses {
		text := c.text(t)
		hrp := strings.ToLower(text[:strings.LastIndex(text, "1")])
		key, err := address.Decode(hrp, text)
		program, p2tr := strings.CutPrefix(c.ScriptPubKey, "5120")
		switch {
		case p2tr && (err != nil || hex.EncodeToString(key[:]) != program):
			t.Errorf("%q: %x, %v", text, key, err)
		case !p2tr && err == nil:
			t.Errorf("%q is no P2TR address and gave %x", text, key)
		}
		n++
	}
	vectors.Ran(t, "bip350", n)
}

func TestRoundTripAndTypos(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		key := [32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(r, "key"))
		hrp := rapid.SampledFrom(allPrefixes()).Draw(r, "hrp")
		text := address.Encode(hrp, key)
		if got, err := address.Decode(hrp, text); err != nil || got != key {
			r.Fatalf("%s: %x, %v", text, got, err)
		}
		// One wrong character is always found.
		at := rapid.IntRange(0, len(text)-1).Draw(r, "at")
		wrong := rapid.Byte().Filter(func(b byte) bool { return b != text[at] }).Draw(r, "wrong")
		typo := text[:at] + string([]byte{wrong}) + text[at+1:]
		if _, err := address.Decode(hrp, typo); err == nil {
			r.Fatalf("%q passes for %q", typo, text)
		}
	})
}

func FuzzAddress(f *testing.F) {
	f.Add("kpk1")
	f.Add(address.Encode("kpk", [32]byte{1}))
	f.Add(strings.ToUpper(address.Encode("kpk", [32]byte{2})))
	f.Fuzz(func(t *testing.T, text string) {
		var key [address.KeySize]byte
		var err error
		frugal.Call(t, "Decode", len(text), func() { key, err = address.Decode("kpk", text) })
		if err != nil {
			var kind address.Error
			if !errors.As(err, &kind) || key != [address.KeySize]byte{} || len(err.Error()) > 600 {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		if again := address.Encode("kpk", key); again != strings.ToLower(text) {
			t.Fatalf("%q decodes, and encodes as %q", text, again)
		}
		if _, err := address.Decode("kpkl", text); !errors.Is(err, address.ErrForeign) {
			t.Fatalf("%q on another network: %v", text, err)
		}
	})
}
