package wallet

import (
	"fmt"

	"github.com/tyler-smith/go-bip39"

	"github.com/kapok-chain/kapok/address"
	"github.com/kapok-chain/kapok/consensus"
)

// Wallet is one account of one network. New, Create, Open and Watch make it.
type Wallet struct {
	params  *consensus.Params
	words   string // "" where watch-only
	account *account
	next    [2]uint32 // by branch: the index of the first address never handed out
	cache   [2][]key  // by branch and index: keys derived so far
	file    *file     // nil where it lives in memory only
}

// key is one address of the wallet.
type key struct {
	branch  Branch
	index   uint32
	output  [consensus.KeySize]byte
	address string
}

// New makes a wallet in memory from 12 or 24 BIP39 words (other lengths of
// BIP39 are taken too), without a BIP39 passphrase.
func New(p *consensus.Params, words string) (*Wallet, error) {
	words, err := CheckWords(words)
	if err != nil {
		return nil, err
	}
	if isMain(p) && IsDevWords(words) {
		return nil, fault(ErrDevWords, "these are the words of a development wallet, which everybody knows: make words of your own with \"kapok wallet create\"")
	}
	a, err := accountOf(p, bip39.NewSeed(words, ""))
	if err != nil {
		return nil, err
	}
	return &Wallet{params: p, words: words, account: a}, nil
}

// Watch makes a wallet in memory that sees but cannot sign, from what Origin
// returns.
func Watch(p *consensus.Params, origin string) (*Wallet, error) {
	a, err := parseOrigin(p, origin)
	if err != nil {
		return nil, err
	}
	return &Wallet{params: p, account: a}, nil
}

// Params are those of the wallet's network.
func (w *Wallet) Params() *consensus.Params { return w.params }

// Words are the wallet's secret: whoever has them has the coins. They are empty
// where the wallet only watches.
func (w *Wallet) Words() string { return w.words }

// WatchOnly reports whether the wallet cannot sign.
func (w *Wallet) WatchOnly() bool { return w.words == "" }

// Origin is the public half of the account, for Watch: it shows each address
// and spends none. Its form is that of descriptors: [fingerprint/86'/1'/0']tpub….
func (w *Wallet) Origin() (string, error) { return w.account.origin() }

// AccountKey is the extended private key m/86'/coin'/0', which spends
// everything: xprv on main, tprv elsewhere.
func (w *Wallet) AccountKey() (string, error) {
	if w.WatchOnly() {
		return "", w.cannotSign()
	}
	return w.account.key.String(), nil
}

func (w *Wallet) cannotSign() error {
	return fault(ErrWatchOnly, "this wallet only watches and holds no private keys: sign with the wallet that has the words")
}

// Address derives one address, handed out or not.
func (w *Wallet) Address(b Branch, index uint32) (string, error) {
	k, err := w.key(b, index)
	if err != nil {
		return "", err
	}
	return k.address, nil
}

// NewAddress hands out the next receiving address: never the same one twice.
func (w *Wallet) NewAddress() (string, error) { return w.take(Receive) }

// take counts the next address of a branch as handed out, on disk first.
func (w *Wallet) take(b Branch) (string, error) {
	text, err := w.Address(b, w.next[b])
	if err != nil {
		return "", err
	}
	w.next[b]++
	if err := w.Save(); err != nil {
		w.next[b]--
		return "", err
	}
	return text, nil
}

// Next is the index of the first address of a branch that was never handed out.
func (w *Wallet) Next(b Branch) uint32 { return w.next[b] }

// Save writes the counters to the wallet's file, where it has one that is open
// for writing.
func (w *Wallet) Save() error {
	if w.file == nil {
		return nil
	}
	entropy, err := entropyOf(w.words)
	if err != nil {
		return fmt.Errorf("entropy of the wallet's own words: %w", err)
	}
	return w.file.save(&contents{coinType: w.params.CoinType, next: w.next, entropy: entropy})
}

// Close forgets the keys and frees the wallet's file. The wallet is not used
// afterwards.
func (w *Wallet) Close() error {
	w.account.zero()
	w.words = ""
	if w.file == nil {
		return nil
	}
	return w.file.close()
}

// key returns the key of a branch and index; those below the highest one asked
// for are kept.
func (w *Wallet) key(b Branch, index uint32) (*key, error) {
	if index > maxIndex {
		return nil, fmt.Errorf("address index %d is out of range", index)
	}
	if int(index) < len(w.cache[b]) {
		return &w.cache[b][index], nil
	}
	if int(index) > len(w.cache[b])+MaxAddresses { // far away: not worth a cache
		return w.derive(b, index)
	}
	for i := uint32(len(w.cache[b])); i <= index; i++ {
		k, err := w.derive(b, i)
		if err != nil {
			return nil, err
		}
		w.cache[b] = append(w.cache[b], *k)
	}
	return &w.cache[b][index], nil
}

func (w *Wallet) derive(b Branch, index uint32) (*key, error) {
	internal, err := w.account.publicKey(b, index)
	if err != nil {
		return nil, err
	}
	output, err := outputKey(internal)
	if err != nil {
		return nil, err
	}
	return &key{b, index, output, address.Encode(w.params.HRP, output)}, nil
}
