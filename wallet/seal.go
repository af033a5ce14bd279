package wallet

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/chacha20poly1305"
)

// The wallet file, all numbers little-endian (docs/wallet.md has the table):
//
//	header ‖ check value (32) ‖ sealed payload ‖ SHA-256 of all before (32)
//
// Argon2id makes two keys of the passphrase. One seals the payload with header
// and check value as associated data. The other keys the check value, an
// HMAC-SHA256 of the header. So a file whose checksum is wrong is damaged; one
// whose checksum is right and whose check value is wrong met a wrong
// passphrase; and whatever still fails to open was changed on purpose.
const (
	magic         = "kapokwlt"
	fileVersion   = 1
	kdfArgon2id   = 1
	aeadXChaCha20 = 1

	saltSize    = 16
	nonceSize   = chacha20poly1305.NonceSizeX
	keySize     = chacha20poly1305.KeySize
	checkSize   = sha256.Size
	fixedSize   = 8 + 2 + 1 + 1 + 4 + 4 + 1 + 1 + 4 + saltSize + nonceSize
	maxNameSize = 64      // bytes of a network's name
	maxSealed   = 1 << 12 // bytes of a sealed payload; ours has less than 100
	maxFile     = fixedSize + maxNameSize + checkSize + maxSealed + sha256.Size
)

// KDF is the cost of turning a passphrase into keys with Argon2id (RFC 9106).
type KDF struct {
	Passes    uint32
	MemoryKiB uint32
	Lanes     uint8
}

// DefaultKDF takes about half a second and 64 MiB. One lane, so that the cost
// is the same whatever the number of cores.
func DefaultKDF() KDF { return KDF{Passes: 8, MemoryKiB: 64 << 10, Lanes: 1} }

// What a wallet file may ask of us. The lower bounds keep passphrases safe: half
// of the default's work. The upper ones keep a forged file from taking all
// memory, or minutes.
const (
	minPasses, maxPasses       = 4, 64
	minMemoryKiB, maxMemoryKiB = 64 << 10, 1 << 20 // 64 MiB, 1 GiB
	maxLanes                   = 16
)

// check refuses costs that Argon2 cannot run with or that are out of bounds.
func (k KDF) check(allowWeak bool) error {
	if k.Passes < 1 || k.Lanes < 1 || k.MemoryKiB < 8*uint32(k.Lanes) ||
		k.Passes > maxPasses || k.MemoryKiB > maxMemoryKiB || k.Lanes > maxLanes {
		return fault(ErrDamaged, "the wallet asks for an impossible key derivation (%d passes over %d KiB in %d lanes): restore it from its backup or from its words", k.Passes, k.MemoryKiB, k.Lanes)
	}
	if !allowWeak && (k.Passes < minPasses || k.MemoryKiB < minMemoryKiB) {
		return fault(ErrWeakKDF, "the wallet's passphrase is guarded too weakly (%d passes over %d KiB, at least %d over %d wanted): make a new wallet file from its words", k.Passes, k.MemoryKiB, minPasses, minMemoryKiB)
	}
	return nil
}

// keys are what a passphrase becomes.
type keys struct{ seal, check [keySize]byte }

func (k KDF) keys(passphrase string, salt [saltSize]byte) keys {
	b := argon2.IDKey([]byte(passphrase), salt[:], k.Passes, k.MemoryKiB, k.Lanes, 2*keySize)
	return keys{[keySize]byte(b[:keySize]), [keySize]byte(b[keySize:])}
}

// header is the part that stands in the clear.
type header struct {
	kdf     KDF
	network string
	salt    [saltSize]byte
	nonce   [nonceSize]byte
	sealed  uint32 // bytes
}

func (h *header) append(b []byte) []byte {
	b = append(b, magic...)
	b = binary.LittleEndian.AppendUint16(b, fileVersion)
	b = append(b, kdfArgon2id, aeadXChaCha20)
	b = binary.LittleEndian.AppendUint32(b, h.kdf.Passes)
	b = binary.LittleEndian.AppendUint32(b, h.kdf.MemoryKiB)
	b = append(b, h.kdf.Lanes, byte(len(h.network)))
	b = binary.LittleEndian.AppendUint32(b, h.sealed)
	b = append(b, h.salt[:]...)
	b = append(b, h.nonce[:]...)
	return append(b, h.network...)
}

// sealFile encrypts a payload under a fresh nonce and returns the whole file.
func (k *keys) sealFile(h header, payload []byte, random io.Reader) ([]byte, error) {
	if _, err := io.ReadFull(random, h.nonce[:]); err != nil {
		return nil, fmt.Errorf("reading randomness for the wallet file: %w", err)
	}
	h.sealed = uint32(len(payload) + chacha20poly1305.Overhead)
	file := h.append(make([]byte, 0, maxFile))
	file = append(file, k.checkValue(file)...)
	aead, err := chacha20poly1305.NewX(k.seal[:])
	if err != nil {
		return nil, fmt.Errorf("cipher: %w", err)
	}
	file = aead.Seal(file, h.nonce[:], payload, file)
	sum := sha256.Sum256(file)
	return append(file, sum[:]...), nil
}

func (k *keys) checkValue(header []byte) []byte {
	mac := hmac.New(sha256.New, k.check[:])
	mac.Write(header)
	return mac.Sum(nil)
}

// sealedFile is a file whose checksum is right: header, check value, payload.
type sealedFile struct {
	header header
	head   []byte // the header's bytes
	check  []byte
	sealed []byte
}

func damaged(format string, args ...any) error {
	return fault(ErrDamaged, "the wallet file is damaged (%s): restore it from its backup, or from its words", fmt.Sprintf(format, args...))
}

// parseFile reads what can be read without the passphrase. Nothing is derived
// or allocated for a file whose checksum is wrong.
func parseFile(b []byte) (*sealedFile, error) {
	if len(b) < fixedSize+checkSize+sha256.Size || len(b) > maxFile {
		return nil, damaged("it has %d bytes", len(b))
	}
	if string(b[:len(magic)]) != magic {
		return nil, damaged("it does not begin with %q", magic)
	}
	body, sum := b[:len(b)-sha256.Size], b[len(b)-sha256.Size:]
	if got := sha256.Sum256(body); !bytes.Equal(got[:], sum) {
		return nil, damaged("its checksum is wrong")
	}
	le := binary.LittleEndian
	if v := le.Uint16(body[8:]); v != fileVersion {
		return nil, fault(ErrNewer, "the wallet file has format %d and this program reads format %d: use a newer kapok", v, fileVersion)
	}
	if body[10] != kdfArgon2id || body[11] != aeadXChaCha20 {
		return nil, fault(ErrNewer, "the wallet file uses a cipher that this program does not know: use a newer kapok")
	}
	f := &sealedFile{header: header{
		kdf:    KDF{Passes: le.Uint32(body[12:]), MemoryKiB: le.Uint32(body[16:]), Lanes: body[20]},
		sealed: le.Uint32(body[22:]),
		salt:   [saltSize]byte(body[26:]),
		nonce:  [nonceSize]byte(body[42:]),
	}}
	end := fixedSize + int(body[21])
	if int(body[21]) > maxNameSize || uint64(len(body)) != uint64(end)+checkSize+uint64(f.header.sealed) {
		return nil, damaged("its parts do not add up to %d bytes", len(b))
	}
	f.header.network = string(body[fixedSize:end])
	f.head, f.check, f.sealed = body[:end], body[end:end+checkSize], body[end+checkSize:]
	return f, nil
}

// open derives the keys and decrypts: ErrPassphrase, or ErrDamaged.
func (f *sealedFile) open(passphrase string) (*keys, []byte, error) {
	k := f.header.kdf.keys(passphrase, f.header.salt)
	if !hmac.Equal(k.checkValue(f.head), f.check) {
		return nil, nil, fault(ErrPassphrase, "wrong passphrase: try again (the wallet file itself is whole)")
	}
	aead, err := chacha20poly1305.NewX(k.seal[:])
	if err != nil {
		return nil, nil, fmt.Errorf("cipher: %w", err)
	}
	payload, err := aead.Open(nil, f.header.nonce[:], f.sealed, append(bytes.Clone(f.head), f.check...))
	if err != nil {
		return nil, nil, damaged("its seal is broken")
	}
	return &k, payload, nil
}

// contents is what the seal protects.
type contents struct {
	coinType uint32
	next     [2]uint32 // by branch: the index of the first address never handed out
	entropy  []byte    // of the words
}

const (
	payloadVersion = 1
	payloadFixed   = 1 + 4 + 4 + 4 + 1
)

func (c *contents) bytes() []byte {
	b := append(make([]byte, 0, payloadFixed+len(c.entropy)), payloadVersion)
	b = binary.LittleEndian.AppendUint32(b, c.coinType)
	b = binary.LittleEndian.AppendUint32(b, c.next[Receive])
	b = binary.LittleEndian.AppendUint32(b, c.next[Change])
	b = append(b, byte(len(c.entropy)))
	return append(b, c.entropy...)
}

func parseContents(b []byte) (*contents, error) {
	if len(b) < payloadFixed || b[0] != payloadVersion {
		return nil, damaged("its payload has %d bytes", len(b))
	}
	le := binary.LittleEndian
	c := &contents{coinType: le.Uint32(b[1:]), next: [2]uint32{le.Uint32(b[5:]), le.Uint32(b[9:])}, entropy: b[payloadFixed:]}
	if n := int(b[13]); n != len(c.entropy) || n < 16 || n > 32 || n%4 != 0 {
		return nil, damaged("its payload has %d bytes of entropy", n)
	}
	if c.next[Receive] > maxIndex || c.next[Change] > maxIndex {
		return nil, damaged("an address index is out of range")
	}
	return c, nil
}
