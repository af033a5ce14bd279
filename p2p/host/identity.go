package host

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/crypto/pb"
	"github.com/libp2p/go-libp2p/core/peer"
)

// maxKeyFile bounds the key file in bytes; an Ed25519 key takes 68.
const maxKeyFile = 1024

// loadIdentity reads the Ed25519 key at path, creating the file where there is
// none. An empty path is a new key that is kept nowhere.
func loadIdentity(path string, log *slog.Logger) (crypto.PrivKey, error) {
	if path == "" {
		return newIdentity()
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return createIdentity(path)
	}
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	if info.Size() > maxKeyFile {
		return nil, damagedKey(path, fmt.Errorf("it has %d bytes", info.Size()))
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	key, err := decodeIdentity(raw)
	if err != nil {
		return nil, damagedKey(path, err)
	}
	if info.Mode().Perm()&0o077 != 0 && os.Chmod(path, 0o600) == nil {
		log.Warn("the key file was readable by others; its mode is 0600 now", "file", path)
	}
	return key, nil
}

func damagedKey(path string, cause error) error {
	return fmt.Errorf("key file %s is damaged (%w): restore it, or remove it to start with a new peer id", path, cause)
}

func decodeIdentity(raw []byte) (crypto.PrivKey, error) {
	key, err := crypto.UnmarshalPrivateKey(raw)
	if err != nil {
		return nil, err
	}
	if key.Type() != pb.KeyType_Ed25519 {
		return nil, fmt.Errorf("it holds a key of type %s, expected Ed25519", key.Type())
	}
	return key, checkKey(key)
}

// checkKey reports whether the two halves of an Ed25519 key, secret seed and
// public key, belong together; a damaged byte in either tears them apart.
func checkKey(key crypto.PrivKey) error {
	raw, err := key.Raw()
	if err != nil {
		return err
	}
	if len(raw) != ed25519.PrivateKeySize || !bytes.Equal(ed25519.NewKeyFromSeed(raw[:ed25519.SeedSize]), raw) {
		return errors.New("its two halves do not belong together")
	}
	return nil
}

func newIdentity() (crypto.PrivKey, error) {
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	return key, nil
}

// createIdentity writes a new key to path such that the file is either whole or
// not there, whenever the machine stops.
func createIdentity(path string) (crypto.PrivKey, error) {
	key, err := newIdentity()
	if err != nil {
		return nil, err
	}
	raw, err := crypto.MarshalPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	if err := replaceFile(path, raw); err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	return key, nil
}

// isEd25519 reports whether id carries an Ed25519 key in itself.
func isEd25519(id peer.ID) bool {
	key, err := id.ExtractPublicKey()
	return err == nil && key.Type() == pb.KeyType_Ed25519
}
