package wallet

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/kapok-chain/kapok/consensus"
)

// BackupSuffix is appended to a wallet file's name for the generation before.
const BackupSuffix = ".bak"

// Options are the choices in making and opening a wallet file.
type Options struct {
	Rand      io.Reader // cryptographic: crypto/rand.Reader
	KDF       KDF       // of a new file; DefaultKDF where zero
	AllowWeak bool      // take a KDF below the safe minimum: for files whose loss costs nothing
	ReadOnly  bool      // take no lock and write nothing
}

// file is a wallet's place on disk. While it is open it holds the lock, and
// last is what the disk must still hold.
type file struct {
	path   string
	lock   io.Closer // nil where read-only
	keys   *keys
	header header
	random io.Reader
	last   []byte
}

// Create makes a wallet file that does not exist yet, from words that New
// accepts, and returns the open wallet.
func Create(path string, p *consensus.Params, words, passphrase string, o Options) (*Wallet, error) {
	w, err := New(p, words)
	if err != nil {
		return nil, err
	}
	if o.KDF == (KDF{}) {
		o.KDF = DefaultKDF()
	}
	if err := o.KDF.check(o.AllowWeak); err != nil {
		return nil, err
	}
	if len(p.Name) > maxNameSize {
		return nil, fault(ErrNetwork, "the network's name has %d bytes, more than %d: choose a shorter one", len(p.Name), maxNameSize)
	}
	if o.ReadOnly || o.Rand == nil {
		return nil, errors.New("a wallet file cannot be made read-only or without randomness")
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("making the wallet's folder: %w", err)
	}
	f := &file{path: path, random: o.Rand, header: header{kdf: o.KDF, network: p.Name}}
	if f.lock, err = lockFile(path); err != nil {
		return nil, err
	}
	if err := f.create(w, passphrase); err != nil {
		return nil, errors.Join(err, f.lock.Close())
	}
	return w, nil
}

func (f *file) create(w *Wallet, passphrase string) error {
	for _, path := range []string{f.path, f.path + BackupSuffix} {
		if _, err := os.Lstat(path); err == nil {
			return fault(ErrExists, "%s exists already and is never overwritten: open it, or choose another name", path)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("looking for a wallet file: %w", err)
		}
	}
	if _, err := io.ReadFull(f.random, f.header.salt[:]); err != nil {
		return fmt.Errorf("reading randomness for the wallet file: %w", err)
	}
	k := f.header.kdf.keys(passphrase, f.header.salt)
	f.keys = &k
	w.file = f
	return w.Save()
}

// Open opens a wallet file. What the user can have wrong: ErrMissing, ErrInUse,
// ErrDamaged, ErrNewer, ErrNetwork, ErrWeakKDF and ErrPassphrase.
func Open(path string, p *consensus.Params, passphrase string, o Options) (*Wallet, error) {
	f := &file{path: path, random: o.Rand}
	if !o.ReadOnly {
		if o.Rand == nil {
			return nil, errors.New("a wallet file cannot be opened for writing without randomness")
		}
		if _, err := os.Stat(filepath.Dir(path)); errors.Is(err, fs.ErrNotExist) {
			return nil, missing(path)
		}
		lock, err := lockFile(path)
		if err != nil {
			return nil, err
		}
		f.lock = lock
	}
	w, err := f.open(p, passphrase, o.AllowWeak)
	if err != nil && f.lock != nil {
		err = errors.Join(err, f.lock.Close())
	}
	return w, err
}

func (f *file) open(p *consensus.Params, passphrase string, allowWeak bool) (*Wallet, error) {
	b, err := readFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, missing(f.path)
	}
	if err != nil {
		return nil, err
	}
	parsed, err := parseFile(b)
	if err != nil {
		return nil, hintBackup(err, f.path)
	}
	if parsed.header.network != p.Name {
		return nil, foreign(f.path, parsed.header.network, p.Name)
	}
	if err := parsed.header.kdf.check(allowWeak); err != nil {
		return nil, err
	}
	k, payload, err := parsed.open(passphrase)
	if err != nil {
		return nil, hintBackup(err, f.path)
	}
	c, err := parseContents(payload)
	if err != nil {
		return nil, hintBackup(err, f.path)
	}
	if c.coinType != p.CoinType {
		return nil, fault(ErrNetwork, "%s holds keys of coin type %d, and network %s has coin type %d: use the network file that it was made with", f.path, c.coinType, p.Name, p.CoinType)
	}
	words, err := wordsOf(c.entropy)
	if err != nil {
		return nil, err
	}
	w, err := New(p, words)
	if err != nil {
		return nil, err
	}
	w.next = c.next
	f.keys, f.header, f.last = k, parsed.header, b
	w.file = f
	return w, nil
}

// FileNetwork names the network of a wallet file, without its passphrase.
func FileNetwork(path string) (string, error) {
	b, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", missing(path)
	}
	if err != nil {
		return "", err
	}
	f, err := parseFile(b)
	if err != nil {
		return "", hintBackup(err, path)
	}
	return f.header.network, nil
}

// save writes the next generation. The one before stays as .bak, and at no
// moment is there no whole file at path.
func (f *file) save(c *contents) error {
	if f.lock == nil {
		return fmt.Errorf("%s is open for reading only", f.path)
	}
	next, err := f.keys.sealFile(f.header, c.bytes(), f.random)
	if err != nil {
		return err
	}
	if f.last != nil {
		now, err := readFile(f.path)
		if err != nil {
			return fmt.Errorf("reading the wallet file before it is written: %w", err)
		}
		if !bytes.Equal(now, f.last) {
			return fault(ErrInUse, "%s was replaced by another program since it was opened: close this one and open it again", f.path)
		}
		if err := replaceFile(f.path+BackupSuffix, f.last); err != nil {
			return err
		}
	}
	if err := replaceFile(f.path, next); err != nil {
		return err
	}
	f.last = next
	return nil
}

func (f *file) close() error {
	*f.keys = keys{}
	if f.lock == nil {
		return nil
	}
	return f.lock.Close()
}

// readFile reads a file that is no larger than a wallet can be; of a larger one
// it returns enough to see that.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening the wallet file: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("reading the wallet file: %w", err)
	}
	return b, nil
}

// replaceFile puts b at path: written beside it, synced, renamed over it, and
// the folder synced.
func replaceFile(path string, b []byte) (err error) {
	temp := path + ".new"
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("writing the wallet file: %w", err)
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Chmod(0o600), f.Sync(), f.Close())
	if err != nil {
		return fmt.Errorf("writing the wallet file: %w", err)
	}
	if err := os.Rename(temp, path); err != nil {
		return fmt.Errorf("replacing the wallet file: %w", err)
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return fmt.Errorf("syncing the wallet's folder: %w", err)
	}
	return nil
}

func missing(path string) error {
	if _, err := os.Lstat(path + BackupSuffix); err == nil {
		return fault(ErrMissing, "there is no wallet at %s, but its generation before is at %s: copy that one back, or restore the wallet from its words", path, path+BackupSuffix)
	}
	return fault(ErrMissing, "there is no wallet at %s: make one with \"kapok wallet create\", or restore it from its words", path)
}

func inUse(path string) error {
	return fault(ErrInUse, "%s is in use by another kapok process: close that one first", path)
}

func foreign(path, has, wants string) error {
	return fault(ErrNetwork, "%s is a wallet of network %s, not of %s: use --network %s, or another wallet", path, has, wants, has)
}

// hintBackup names the generation before where a file is damaged and there is one.
func hintBackup(err error, path string) error {
	var f *Fault
	if errors.As(err, &f) && f.Code == ErrDamaged {
		if _, statErr := os.Lstat(path + BackupSuffix); statErr == nil {
			return &Fault{f.Code, f.Detail + "; its generation before is at " + path + BackupSuffix}
		}
	}
	return err
}
