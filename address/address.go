package address

import (
	"fmt"

	"github.com/btcsuite/btcd/address/v2/bech32"
)

// KeySize is the length of the output key in bytes.
const KeySize = 32

// version is the witness version of taproot (BIP341), the only one there is.
const version = 1

// Error says what is wrong with an address. Decode's errors wrap one of these.
type Error string

// What can be wrong.
const (
	ErrForeign  Error = "address of another network"
	ErrEncoding Error = "not a bech32m address"
	ErrProgram  Error = "not a pay-to-key address"
)

func (e Error) Error() string { return string(e) }

// Encode returns the address of an output key, in lower case. The prefix is
// that of a checked network: lower-case letters and digits (BIP173).
func Encode(hrp string, key [KeySize]byte) string {
	// bech32 has errors for groups above 31 only, which ConvertBits never makes.
	groups, _ := bech32.ConvertBits(key[:], 8, 5, true)
	text, _ := bech32.EncodeM(hrp, append([]byte{version}, groups...))
	return text
}

// Decode returns the output key of an address of the network with this prefix.
// Upper case is as good as lower case, mixed case is refused (BIP173).
func Decode(hrp, text string) (key [KeySize]byte, err error) {
	found, groups, checksum, err := bech32.DecodeGeneric(text)
	if err != nil {
		return key, fmt.Errorf("%w: %q: %w", ErrEncoding, clip(text), err)
	}
	if found != hrp {
		return key, fmt.Errorf("%w: it begins with %q, not with %q", ErrForeign, found+"1", hrp+"1")
	}
	if checksum != bech32.VersionM {
		return key, fmt.Errorf("%w: its checksum is bech32, of before BIP350", ErrEncoding)
	}
	if len(groups) == 0 || groups[0] != version {
		return key, fmt.Errorf("%w: witness version 1 expected", ErrProgram)
	}
	program, err := bech32.ConvertBits(groups[1:], 5, 8, false)
	if err != nil {
		return key, fmt.Errorf("%w: %w", ErrProgram, err)
	}
	if len(program) != KeySize {
		return key, fmt.Errorf("%w: a key has %d bytes, not %d", ErrProgram, KeySize, len(program))
	}
	return [KeySize]byte(program), nil
}

// clip bounds how much of a stranger's text an error repeats.
func clip(text string) string {
	const most = 90 // bytes, the longest bech32 string (BIP173)
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}
