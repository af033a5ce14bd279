package wallet

import (
	"errors"
	"fmt"
	"strings"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"
	"github.com/btcsuite/btcd/btcutil/v2/hdkeychain"
	"github.com/btcsuite/btcd/chaincfg/v2"

	"github.com/kapok-chain/kapok/consensus"
)

// Branch is the fourth step of a BIP86 path, m/86'/coin'/0'/branch/index.
type Branch uint32

const (
	Receive Branch = 0 // addresses to be handed out
	Change  Branch = 1 // addresses that only this wallet's own payments know
)

const (
	hardened = hdkeychain.HardenedKeyStart
	purpose  = 86 // BIP86: one key, no script tree
)

// maxIndex bounds an address index: hardened ones are no addresses, and a gap
// behind it must fit.
const maxIndex = hardened - 1 - GapLimit

// errTweak has a chance of 2^-128 for each key.
var errTweak = errors.New("the taproot tweak of this key is no scalar")

// versions tells the extended keys of main from all others.
func versions(p *consensus.Params) *chaincfg.Params {
	if isMain(p) {
		return &chaincfg.MainNetParams // xprv, xpub
	}
	return &chaincfg.TestNet3Params // tprv, tpub
}

func isMain(p *consensus.Params) bool { return p.Name == "main" }

// account is m/86'/coin'/0', private or public, and where it comes from.
type account struct {
	key      *hdkeychain.ExtendedKey
	branches [2]*hdkeychain.ExtendedKey
	master   uint32   // BIP32 fingerprint of the master key, its bytes read big-endian
	path     []uint32 // from the master key to the account
}

// accountOf derives the account of a BIP39 seed.
func accountOf(p *consensus.Params, seed []byte) (*account, error) {
	master, err := hdkeychain.NewMaster(seed, versions(p))
	if err != nil {
		return nil, fmt.Errorf("master key: %w", err)
	}
	defer master.Zero()
	path := []uint32{hardened + purpose, hardened + p.CoinType, hardened}
	key, print := master, uint32(0)
	for i, step := range path {
		if key, err = key.Derive(step); err != nil {
			return nil, fmt.Errorf("deriving %s: %w", pathText(path[:i+1]), err)
		}
		if i == 0 {
			print = key.ParentFingerprint()
		}
	}
	return newAccount(key, print, path)
}

func newAccount(key *hdkeychain.ExtendedKey, master uint32, path []uint32) (*account, error) {
	a := &account{key: key, master: master, path: path}
	for b := range a.branches {
		branch, err := key.Derive(uint32(b))
		if err != nil {
			return nil, fmt.Errorf("deriving branch %d: %w", b, err)
		}
		a.branches[b] = branch
	}
	return a, nil
}

// parseOrigin reads the public account as Origin writes it.
func parseOrigin(p *consensus.Params, text string) (*account, error) {
	bad := func(why string) (*account, error) {
		return nil, fault(ErrKey, "%q is not the public key of a wallet of network %s (%s): copy the whole line, [fingerprint/path]key", clip(text), p.Name, why)
	}
	inside, encoded, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(text), "["), "]")
	if !ok || len(text) > 200 {
		return bad("no [origin] before it")
	}
	key, err := hdkeychain.NewKeyFromString(encoded)
	if err != nil {
		return bad(err.Error())
	}
	if !key.IsForNet(versions(p)) || key.IsPrivate() || key.Depth() != 3 {
		return bad("not the public key of an account of this kind of network")
	}
	path := []uint32{hardened + purpose, hardened + p.CoinType, hardened}
	var print uint32
	if n, err := fmt.Sscanf(inside, "%08x", &print); n != 1 || err != nil || inside != fmt.Sprintf("%08x%s", print, pathText(path)[1:]) {
		return bad("its origin is not " + pathText(path))
	}
	return newAccount(key, print, path)
}

// origin writes the public account with its BIP32 origin, as descriptors do.
func (a *account) origin() (string, error) {
	public, err := a.key.Neuter()
	if err != nil {
		return "", fmt.Errorf("public account key: %w", err)
	}
	return fmt.Sprintf("[%08x%s]%s", a.master, pathText(a.path)[1:], public), nil
}

// publicKey returns the BIP32 key of a branch and index, before any tweak.
func (a *account) publicKey(b Branch, index uint32) (*btcec.PublicKey, error) {
	child, err := a.branches[b].Derive(index)
	if err != nil {
		return nil, fmt.Errorf("deriving key %d/%d: %w", b, index, err)
	}
	key, err := child.ECPubKey()
	if err != nil {
		return nil, fmt.Errorf("public key %d/%d: %w", b, index, err)
	}
	return key, nil
}

// signingKey returns the private key of an output, tweaked.
func (a *account) signingKey(b Branch, index uint32) (*btcec.PrivateKey, error) {
	child, err := a.branches[b].Derive(index)
	if err != nil {
		return nil, fmt.Errorf("deriving key %d/%d: %w", b, index, err)
	}
	key, err := child.ECPrivKey()
	if err != nil {
		return nil, fmt.Errorf("private key %d/%d: %w", b, index, err)
	}
	return tweakPrivate(key)
}

// zero forgets the private keys.
func (a *account) zero() {
	a.key.Zero()
	for _, b := range a.branches {
		b.Zero()
	}
}

// tapTweak is BIP341's tweak of an internal key without a script tree.
func tapTweak(internal *btcec.PublicKey) (*btcec.ModNScalar, error) {
	hash := consensus.TaggedHash("TapTweak", schnorr.SerializePubKey(internal))
	var t btcec.ModNScalar
	if overflow := t.SetBytes(&hash); overflow != 0 {
		return nil, errTweak
	}
	return &t, nil
}

// outputKey is BIP86's output key: the internal key with even y, plus the tweak
// times the generator.
func outputKey(internal *btcec.PublicKey) ([consensus.KeySize]byte, error) {
	t, err := tapTweak(internal)
	if err != nil {
		return [consensus.KeySize]byte{}, err
	}
	even, err := schnorr.ParsePubKey(schnorr.SerializePubKey(internal))
	if err != nil {
		return [consensus.KeySize]byte{}, fmt.Errorf("internal key: %w", err)
	}
	var point, tweak, sum btcec.JacobianPoint
	even.AsJacobian(&point)
	btcec.ScalarBaseMultNonConst(t, &tweak)
	btcec.AddNonConst(&point, &tweak, &sum)
	if sum.Z.IsZero() {
		return [consensus.KeySize]byte{}, errTweak
	}
	sum.ToAffine()
	return [consensus.KeySize]byte(schnorr.SerializePubKey(btcec.NewPublicKey(&sum.X, &sum.Y))), nil
}

// tweakPrivate is the private key of outputKey.
func tweakPrivate(key *btcec.PrivateKey) (*btcec.PrivateKey, error) {
	public := key.PubKey()
	t, err := tapTweak(public)
	if err != nil {
		return nil, err
	}
	d := key.Key
	if public.SerializeCompressed()[0] == 0x03 { // odd y (SEC 1)
		d.Negate()
	}
	if d.Add(t).IsZero() {
		return nil, errTweak
	}
	return btcec.PrivKeyFromScalar(&d), nil
}

// pathText writes m/86'/1'/0'.
func pathText(path []uint32) string {
	var b strings.Builder
	b.WriteByte('m')
	for _, step := range path {
		if step >= hardened {
			fmt.Fprintf(&b, "/%d'", step-hardened)
		} else {
			fmt.Fprintf(&b, "/%d", step)
		}
	}
	return b.String()
}
