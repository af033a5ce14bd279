package consensus

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// HashSize is the length of a Hash in bytes.
const HashSize = 32

// Hash is a double SHA-256, in the byte order in which it is computed and
// serialized. Read as a number it is little-endian, which is why people write
// it reversed: String and ParseHash use that display order.
type Hash [HashSize]byte

// String returns the hash in display order: 64 hex digits, last byte first.
func (h Hash) String() string {
	for i := range HashSize / 2 {
		h[i], h[HashSize-1-i] = h[HashSize-1-i], h[i]
	}
	return hex.EncodeToString(h[:])
}

// IsZero reports whether all bytes are zero, as in the previous-block field of
// a genesis header and the null outpoint of a coinbase.
func (h Hash) IsZero() bool { return h == Hash{} }

// MarshalText writes the display order.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads the display order.
func (h *Hash) UnmarshalText(text []byte) error {
	parsed, err := ParseHash(string(text))
	if err != nil {
		return err
	}
	*h = parsed
	return nil
}

// ParseHash reads 64 hex digits in display order.
func ParseHash(s string) (Hash, error) {
	var h Hash
	if len(s) != 2*HashSize {
		return h, fmt.Errorf("a hash has %d hex digits, not %d", 2*HashSize, len(s))
	}
	if _, err := hex.Decode(h[:], []byte(s)); err != nil {
		return Hash{}, fmt.Errorf("hash %q: %w", s, err)
	}
	for i := range HashSize / 2 {
		h[i], h[HashSize-1-i] = h[HashSize-1-i], h[i]
	}
	return h, nil
}

// DoubleSHA256 is Bitcoin's hash: SHA-256 of SHA-256.
func DoubleSHA256(b []byte) Hash {
	first := sha256.Sum256(b)
	return sha256.Sum256(first[:])
}

// TaggedHash is BIP340's SHA256(SHA256(tag) ‖ SHA256(tag) ‖ parts…).
func TaggedHash(tag string, parts ...[]byte) [32]byte {
	t := sha256.Sum256([]byte(tag))
	h := sha256.New()
	h.Write(t[:])
	h.Write(t[:])
	for _, p := range parts {
		h.Write(p)
	}
	return [32]byte(h.Sum(nil))
}
