package host

import (
	"bytes"
	"fmt"

	"github.com/libp2p/go-libp2p/core/pnet"
)

// maxPSKFile bounds the file of a private network's key, in bytes; one has about 95.
const maxPSKFile = 1024

// LoadPSK reads the key of a private network, in the form that libp2p's tools write:
// the lines /key/swarm/psk/1.0.0/ and /base16/, and one of 64 hex digits.
func LoadPSK(path string) ([]byte, error) {
	text, err := readSmall(path, maxPSKFile)
	if err != nil {
		return nil, fmt.Errorf("key of the private network: %w", err)
	}
	key, err := decodePSK(text)
	if err != nil {
		return nil, fmt.Errorf("key of the private network: %s is none (%w): expected the lines /key/swarm/psk/1.0.0/, /base16/ and 64 hex digits", path, err)
	}
	return key, nil
}

func decodePSK(text []byte) ([]byte, error) {
	key, err := pnet.DecodeV1PSK(bytes.NewReader(text))
	if err == nil && len(key) != 32 {
		err = fmt.Errorf("%d bytes", len(key))
	}
	return key, err
}
