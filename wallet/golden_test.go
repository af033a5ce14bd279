package wallet

import (
	"bytes"
	"encoding/hex"
	"errors"
	"path/filepath"
	"testing"
)

// goldenFile is a wallet file of format 1, as weak() makes it: what was written
// once must open forever.
const goldenFile = "" +
	"6b61706f6b776c7401000101010000004000000001052e0000006ae6783f4fbde91b6eb88b73a48ed247dbe5882e2579683432c1bfc525454add0cd87274d670" +
	"84ca6c6f63616c8dcd04b918a642ee859e996b57b1e032fd367ed6c5f46323643159376ca97132397a69e9401ec2fbeb411d771c52b04c1a4fc2f687a33c9b77" +
	"8223446e43d1f6b4babe6257d6a931015b72f0c962e123cc0e5c60b9685b69b04e4393a4a285e7a2c14cc23dac4722de8b8e2bd7c2"

func TestGoldenFile(t *testing.T) {
	if made := hex.EncodeToString(read(t, madeFile(t))); made != goldenFile {
		t.Errorf("the format has changed: %s", made)
	}
	path := filepath.Join(t.TempDir(), "golden")
	write(t, path, unhex(t, goldenFile))
	w, err := Open(path, testParams("local"), passphrase, weak())
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if a := mustAddress(t, w, Receive, 0); w.Words() != testWords || a != "kpkl1p8wpt9v4frpf3tkn0srd97pksgsxc5hs52lafxwru9kgeephvs7rqhdhmk6" {
		t.Errorf("words %q, address %s", w.Words(), a)
	}
}

func TestContentsRefusals(t *testing.T) {
	good := (&contents{coinType: 1, next: [2]uint32{3, 4}, entropy: make([]byte, 16)}).bytes()
	change := func(at int, to ...byte) []byte {
		b := bytes.Clone(good)
		copy(b[at:], to)
		return b
	}
	for name, b := range map[string][]byte{
		"empty":              nil,
		"short":              good[:payloadFixed-1],
		"other format":       change(0, 2),
		"cut":                good[:len(good)-1],
		"longer":             append(bytes.Clone(good), 0),
		"17 bytes":           append(change(13, 17), 0),
		"12 bytes":           change(13, 12)[:payloadFixed+12],
		"36 bytes":           append(change(13, 36), make([]byte, 20)...),
		"hardened receiving": change(5, 0xff, 0xff, 0xff, 0xff),
		"hardened change":    change(9, 0, 0, 0, 0x80),
	} {
		if c, err := parseContents(b); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
	if _, err := parseContents(good); err != nil {
		t.Error(err)
	}
}
