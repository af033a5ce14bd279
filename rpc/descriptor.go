package rpc

import (
	"encoding/hex"
	"strings"

	"github.com/kapok-chain/kapok/address"
	"github.com/kapok-chain/kapok/consensus"
)

// Output descriptors (BIP380) name what to look for. Of the language, this node
// knows addr(ADDRESS), rawtr(KEY) and raw(SCRIPT).

const (
	descriptorChars = "0123456789()[],'/*abcdefgh@:$%{}" +
		"IJKLMNOPQRSTUVWXYZ&+-.;<=>?!^_|~" +
		"ijklmnopqrstuvwxyzABCDEFGH`#\"\\ "
	checksumChars = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
)

// checksumStep is the polynomial of BIP380.
func checksumStep(c uint64, value int) uint64 {
	top := c >> 35
	c = (c&0x7ffffffff)<<5 ^ uint64(value)
	for i, g := range []uint64{0xf5dee51989, 0xa9fdca3312, 0x1bab10e32d, 0x3706b1677a, 0x644d626ffd} {
		if top>>i&1 == 1 {
			c ^= g
		}
	}
	return c
}

// descriptorChecksum is "" where a character has no place in a descriptor.
func descriptorChecksum(text string) string {
	c, class, classes := uint64(1), 0, 0
	for _, r := range text {
		at := strings.IndexRune(descriptorChars, r)
		if at < 0 {
			return ""
		}
		c = checksumStep(c, at&31)
		class, classes = class*3+at>>5, classes+1
		if classes == 3 {
			c = checksumStep(c, class)
			class, classes = 0, 0
		}
	}
	if classes > 0 {
		c = checksumStep(c, class)
	}
	for range 8 {
		c = checksumStep(c, 0)
	}
	c ^= 1
	var sum [8]byte
	for i := range sum {
		sum[i] = checksumChars[c>>(5*(7-i))&31]
	}
	return string(sum[:])
}

func addChecksum(text string) string { return text + "#" + descriptorChecksum(text) }

// parseDescriptor returns the output key that a descriptor means. The checksum
// may be missing, but not wrong.
func parseDescriptor(p *consensus.Params, text string) (key [consensus.KeySize]byte, err error) {
	body, sum, ok := strings.Cut(text, "#")
	if ok && sum != descriptorChecksum(body) {
		return key, fail(CodeAddressOrKey, "Invalid descriptor '%s': its checksum is wrong", clip(text))
	}
	name, inner, _ := strings.Cut(strings.TrimSuffix(body, ")"), "(")
	switch name {
	case "addr":
		return parseAddress(p, inner)
	case "rawtr":
		raw, err := hex.DecodeString(inner)
		if err != nil || len(raw) != consensus.KeySize {
			return key, fail(CodeAddressOrKey, "rawtr() takes a key of 64 hex digits")
		}
		return [consensus.KeySize]byte(raw), nil
	case "raw":
		raw, err := hex.DecodeString(inner)
		if key, ok := consensus.OutputKey(raw); ok && err == nil {
			return key, nil
		}
		return key, fail(CodeAddressOrKey, "raw() takes the script of an output to a key: 5120 and 64 hex digits")
	}
	return key, fail(CodeAddressOrKey, "Invalid descriptor '%s': addr(), rawtr() and raw() are known here", clip(text))
}

// parseTarget takes an address or a descriptor, and returns an output script.
func parseTarget(p *consensus.Params, text string) ([]byte, error) {
	key, err := parseDescriptor(p, text)
	if err != nil && !strings.ContainsAny(text, "(#") {
		key, err = parseAddress(p, text)
	}
	if err != nil {
		return nil, err
	}
	return consensus.PayToKey(key), nil
}

func renderAddress(p *consensus.Params, key [consensus.KeySize]byte) string {
	return address.Encode(p.HRP, key)
}
