package wallet

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/kapok-chain/kapok/internal/frugal"
)

// weak makes files cheap: 1 pass over 64 KiB.
func weak() Options {
	return Options{Rand: fakeRandom(1), KDF: KDF{Passes: 1, MemoryKiB: 64, Lanes: 1}, AllowWeak: true}
}

const passphrase = "correct horse"

// madeFile creates a wallet file, closed.
func madeFile(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "wallet.kapok")
	w, err := Create(path, testParams("local"), testWords, passphrase, weak())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestFileRoundTrip(t *testing.T) {
	path := madeFile(t)
	p := testParams("local")
	w, err := Open(path, p, passphrase, weak())
	if err != nil {
		t.Fatal(err)
	}
	if w.Words() != testWords {
		t.Errorf("words %q", w.Words())
	}
	first, second := mustTake(t, w), mustTake(t, w)
	if first == second || first != mustAddress(t, mustNew(t, p, testWords), Receive, 0) {
		t.Errorf("addresses %s, %s", first, second)
	}
	if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if network, err := FileNetwork(path); network != "local" || err != nil {
		t.Errorf("network %q, %v", network, err)
	}
	// The generation before is whole, and one address behind.
	backup := weak()
	backup.ReadOnly = true
	old, err := Open(path+BackupSuffix, p, passphrase, backup)
	if err != nil || old.Next(Receive) != 1 || w.Next(Receive) != 2 {
		t.Errorf("backup: %v, next %d, want 1", err, old.Next(Receive))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if w, err = Open(path, p, passphrase, weak()); err != nil || w.Next(Receive) != 2 {
		t.Fatalf("again: %v", err)
	}
	defer w.Close()
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*.new")); left != nil {
		t.Errorf("left behind: %v", left)
	}
}

func mustTake(t testing.TB, w *Wallet) string {
	t.Helper()
	a, err := w.NewAddress()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestEachGenerationHasItsOwnNonce(t *testing.T) {
	path := madeFile(t)
	w, err := Open(path, testParams("local"), passphrase, weak())
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	seen := map[string]bool{}
	for range 5 {
		mustTake(t, w)
		f, err := parseFile(read(t, path))
		if err != nil || seen[string(f.header.nonce[:])] {
			t.Fatalf("nonce used twice, %v", err)
		}
		seen[string(f.header.nonce[:])] = true
	}
}

// Attack 20: a thousand wrong passphrases, each told apart from damage.
func TestWrongPassphrases(t *testing.T) {
	path := madeFile(t)
	p := testParams("local")
	o := weak()
	o.ReadOnly = true
	for i := range 1000 {
		if w, err := Open(path, p, fmt.Sprint(passphrase, i), o); w != nil || !errors.Is(err, ErrPassphrase) || errors.Is(err, ErrDamaged) {
			t.Fatalf("passphrase %d: %v", i, err)
		}
	}
}

func TestOpenRefusals(t *testing.T) {
	path := madeFile(t)
	local := testParams("local")
	refuse := func(name, path, network, pass string, o Options, code Code, says string) {
		t.Helper()
		w, err := Open(path, testParams(network), pass, o)
		if w != nil || !errors.Is(err, code) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q with %q", name, err, code, says)
		}
	}
	for _, pass := range []string{"", "Correct horse", "correct horse ", "correct hors"} {
		refuse("passphrase "+pass, path, "local", pass, weak(), ErrPassphrase, "try again")
	}
	refuse("other network", path, "dev", passphrase, weak(), ErrNetwork, "wallet of network local, not of dev")
	refuse("main", path, "main", passphrase, weak(), ErrNetwork, "not of main")
	strict := weak()
	strict.AllowWeak = false
	refuse("weak", path, "local", passphrase, strict, ErrWeakKDF, "too weakly")
	refuse("missing", path+"x", "local", passphrase, weak(), ErrMissing, "kapok wallet create")
	refuse("missing folder", filepath.Join(path+"d", "w"), "local", passphrase, weak(), ErrMissing, "kapok wallet create")
	if _, err := Create(path, local, testWords, passphrase, weak()); !errors.Is(err, ErrExists) {
		t.Errorf("over an existing wallet: %v", err)
	}
	if _, err := Create(path+"2", local, testWords, passphrase, strict); !errors.Is(err, ErrWeakKDF) {
		t.Errorf("making a weak one: %v", err)
	}

	w, err := Open(path, local, passphrase, weak())
	if err != nil {
		t.Fatal(err)
	}
	refuse("second opener", path, "local", passphrase, weak(), ErrInUse, "close that one first")
	reader := weak()
	reader.ReadOnly = true
	r, err := Open(path, local, passphrase, reader)
	if err != nil {
		t.Fatalf("read-only beside a writer: %v", err)
	}
	if _, err := r.NewAddress(); err == nil || r.Next(Receive) != 0 {
		t.Errorf("a read-only wallet handed out an address: %v", err)
	}
	mustTake(t, w)
	write(t, path, read(t, path+BackupSuffix))
	if _, err := w.NewAddress(); !errors.Is(err, ErrInUse) || w.Next(Receive) != 1 {
		t.Errorf("writing over a file that another put there: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	// An old backup put back opens, and hands out what it does not know of again.
	if w, err = Open(path, local, passphrase, weak()); err != nil || w.Next(Receive) != 0 {
		t.Fatalf("old backup: %v", err)
	}
	w.Close()
	// A wallet that is gone while its backup is there is never covered by a new one.
	mustRename(t, path, path+BackupSuffix)
	refuse("only the backup", path, "local", passphrase, weak(), ErrMissing, path+BackupSuffix)
	if _, err := Create(path, local, otherWords, passphrase, weak()); !errors.Is(err, ErrExists) {
		t.Errorf("over a backup: %v", err)
	}
}

func mustRename(t testing.TB, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// Attack 20: no damage gives another key, and none looks like a wrong passphrase.
func TestEveryFlippedByteIsDamage(t *testing.T) {
	path := madeFile(t)
	whole := read(t, path)
	p := testParams("local")
	o := weak()
	o.ReadOnly = true
	for i := range whole {
		for _, flip := range []byte{0x01, 0x80, 0xff} {
			b := bytes.Clone(whole)
			b[i] ^= flip
			write(t, path, b)
			if w, err := Open(path, p, passphrase, o); w != nil || !errors.Is(err, ErrDamaged) {
				t.Fatalf("byte %d ^ %#02x: %v", i, flip, err)
			}
		}
	}
	for n := range whole {
		write(t, path, whole[:n])
		if w, err := Open(path, p, passphrase, o); w != nil || !errors.Is(err, ErrDamaged) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
	write(t, path, append(bytes.Clone(whole), 0))
	if _, err := Open(path, p, passphrase, o); !errors.Is(err, ErrDamaged) {
		t.Fatalf("a byte more: %v", err)
	}
	write(t, path+BackupSuffix, whole)
	if _, err := Open(path, p, passphrase, o); !strings.Contains(err.Error(), path+BackupSuffix) {
		t.Errorf("the backup is not named: %v", err)
	}
}

// A forger who also mends the checksum gets no further: every byte is bound by
// the check value or by the seal.
func TestEveryForgedByteIsRefused(t *testing.T) {
	path := madeFile(t)
	whole := read(t, path)
	f, err := parseFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	body := whole[:len(whole)-sha256.Size]
	seal := len(body) - len(f.sealed)
	for i := range body {
		b := bytes.Clone(body)
		b[i] ^= 0x01
		sum := sha256.Sum256(b)
		forged, err := parseFile(append(b, sum[:]...))
		if err == nil {
			// Costs that only a forger asks for are bounded before they are paid.
			if err = forged.header.kdf.check(true); err == nil && forged.header.kdf.MemoryKiB <= 128 {
				_, _, err = forged.open(passphrase)
			} else if err == nil {
				continue
			}
		}
		if err == nil {
			t.Fatalf("byte %d forged and opened", i)
		}
		if i >= seal && !errors.Is(err, ErrDamaged) {
			t.Fatalf("byte %d of the seal: %v", i, err)
		}
	}
}

func TestCostsAreBounded(t *testing.T) {
	whole := read(t, madeFile(t))
	for _, k := range []KDF{{0, 64, 1}, {1, 64, 0}, {1, 7, 1}, {1, 64, 17}, {65, 64, 1}, {1, maxMemoryKiB + 1, 1}, {1 << 31, 64, 1}, {1, 1<<32 - 1, 1}} {
		b := bytes.Clone(whole[:len(whole)-sha256.Size])
		binary.LittleEndian.PutUint32(b[12:], k.Passes)
		binary.LittleEndian.PutUint32(b[16:], k.MemoryKiB)
		b[20] = k.Lanes
		sum := sha256.Sum256(b)
		path := filepath.Join(t.TempDir(), "w")
		write(t, path, append(b, sum[:]...))
		if _, err := Open(path, testParams("local"), passphrase, weak()); !errors.Is(err, ErrDamaged) {
			t.Errorf("%+v: %v", k, err)
		}
	}
	if err := DefaultKDF().check(false); err != nil {
		t.Errorf("the default: %v", err)
	}
	for _, k := range []KDF{{3, 64 << 10, 1}, {4, 64<<10 - 1, 1}} {
		if err := k.check(false); !errors.Is(err, ErrWeakKDF) {
			t.Errorf("%+v: %v", k, err)
		}
	}
}

func TestContentsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := 4 * rapid.IntRange(4, 8).Draw(t, "words")
		c := &contents{
			coinType: rapid.Uint32().Draw(t, "coin type"),
			next:     [2]uint32{rapid.Uint32Max(maxIndex).Draw(t, "r"), rapid.Uint32Max(maxIndex).Draw(t, "c")},
			entropy:  rapid.SliceOfN(rapid.Byte(), size, size).Draw(t, "entropy"),
		}
		b := c.bytes()
		got, err := parseContents(b)
		if err != nil || !bytes.Equal(got.bytes(), b) {
			t.Fatalf("%x: %v", b, err)
		}
	})
}

func FuzzParseFile(f *testing.F) {
	f.Add(read(f, madeFile(f)))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, b := range [][]byte{b, withSum(b)} {
			var parsed *sealedFile
			var err error
			frugal.Call(t, "parseFile", len(b), func() { parsed, err = parseFile(b) })
			if err != nil {
				var fault *Fault
				if !errors.As(err, &fault) {
					t.Fatalf("not the user's fault: %v", err)
				}
				continue
			}
			again := append(parsed.header.append(nil), parsed.check...)
			again = withSum(append(append(again, parsed.sealed...), make([]byte, sha256.Size)...))
			if !bytes.Equal(again, b) {
				t.Fatalf("%x is not the only spelling of %x", b, again)
			}
		}
	})
}

// withSum mends the checksum at the end of b.
func withSum(b []byte) []byte {
	if len(b) < sha256.Size {
		return b
	}
	body := bytes.Clone(b[:len(b)-sha256.Size])
	sum := sha256.Sum256(body)
	return append(body, sum[:]...)
}

func FuzzParseContents(f *testing.F) {
	f.Add((&contents{coinType: 1, entropy: make([]byte, 16)}).bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		var c *contents
		var err error
		frugal.Call(t, "parseContents", len(b), func() { c, err = parseContents(b) })
		if err == nil && !bytes.Equal(c.bytes(), b) {
			t.Fatalf("%x is not the only spelling", b)
		}
	})
}

// A crash at any moment of saving leaves a whole wallet: the file is only ever
// replaced by a rename, so that what can be seen between the steps is the old
// generation or the new one.
func TestSavingSurvivesWhatCrashesLeave(t *testing.T) {
	path := madeFile(t)
	whole := read(t, path)
	p := testParams("local")
	for _, cut := range []int{0, 1, len(whole) / 2, len(whole)} {
		write(t, path+".new", whole[:cut]) // written, never renamed
		w, err := Open(path, p, passphrase, weak())
		if err != nil {
			t.Fatalf("after a crash at %d bytes: %v", cut, err)
		}
		before := w.Next(Receive)
		mustTake(t, w)
		w.Close()
		if w, err = Open(path, p, passphrase, weak()); err != nil || w.Next(Receive) != before+1 {
			t.Fatalf("saving after a crash at %d bytes: %v", cut, err)
		}
		w.Close()
	}
}
