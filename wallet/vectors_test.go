package wallet

import (
	"bytes"
	"crypto/sha512"
	"encoding/base64"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"
	"github.com/btcsuite/btcd/btcutil/v2/hdkeychain"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/tyler-smith/go-bip39"
	"golang.org/x/crypto/chacha20poly1305"
	"golang.org/x/crypto/pbkdf2"

	"github.com/kapok-chain/kapok/address"
	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/vectors"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestVectorsBIP39(t *testing.T) {
	var rows [][4]string
	vectors.JSON(t, "bip39/vectors_english.json", &rows)
	for _, r := range rows {
		entropy, words, seed, xprv := r[0], r[1], r[2], r[3]
		if got, err := CheckWords("  " + strings.ToUpper(strings.ReplaceAll(words, " ", " \n")) + " "); err != nil || got != words {
			t.Errorf("%s: %q, %v", words, got, err)
		}
		if got, err := wordsOf(unhex(t, entropy)); err != nil || got != words {
			t.Errorf("%s: %q, %v", entropy, got, err)
		}
		if got, err := entropyOf(words); err != nil || hex.EncodeToString(got) != entropy {
			t.Errorf("%s: %x, %v", words, got, err)
		}
		if n := len(strings.Fields(words)); n == 12 || n == 24 {
			if got, err := NewWords(bytes.NewReader(unhex(t, entropy)), n); err != nil || got != words {
				t.Errorf("%s: %q, %v", entropy, got, err)
			}
		}
		s := bip39.NewSeed(words, "TREZOR")
		master, err := hdkeychain.NewMaster(s, &chaincfg.MainNetParams)
		if err != nil || hex.EncodeToString(s) != seed || master.String() != xprv {
			t.Errorf("%s: seed %x, %v", words, s, err)
		}
	}
	vectors.Ran(t, "bip39", len(rows))
	list := strings.Fields(string(vectors.Read(t, "bip39/english.txt")))
	if !slices.Equal(list, bip39.GetWordList()) {
		t.Error("the word list is not BIP39's")
	}
	vectors.Ran(t, "bip39 english.txt", len(list))
}

func TestVectorsBIP32(t *testing.T) {
	var cases []struct {
		Seed  string
		Chain []struct {
			XPub, XPrv string
			NextChild  uint32 `json:"next_child"`
		}
	}
	vectors.JSON(t, "bip32/vectors_1_2_3.json", &cases)
	n := 0
	for _, c := range cases {
		key, err := hdkeychain.NewMaster(unhex(t, c.Seed), &chaincfg.MainNetParams)
		for i, want := range c.Chain {
			if err != nil {
				t.Fatal(err)
			}
			public, err2 := key.Neuter()
			if err2 != nil || key.String() != want.XPrv || public.String() != want.XPub {
				t.Errorf("seed %s, link %d: %s", c.Seed, i, key)
			}
			if want.NextChild < hardened && i+1 < len(c.Chain) {
				if child, err := public.Derive(want.NextChild); err != nil || child.String() != c.Chain[i+1].XPub {
					t.Errorf("seed %s, link %d derived in public: %v", c.Seed, i+1, err)
				}
			}
			key, err = key.Derive(want.NextChild)
			n++
		}
	}
	vectors.Ran(t, "bip32", n)
}

func TestVectorsBIP86(t *testing.T) {
	var v struct {
		Mnemonic    string
		RootPriv    string
		RootPub     string
		AccountXPrv string `json:"account_xprv"`
		AccountXPub string `json:"account_xpub"`
		Addresses   []struct {
			Path         string
			XPrv, XPub   string
			InternalKey  string `json:"internal_key"`
			OutputKey    string `json:"output_key"`
			ScriptPubKey string
			Address      string
		}
	}
	vectors.JSON(t, "bip86/vectors.json", &v)
	// Bitcoin's coin type and prefix, with the extended keys of main.
	w := mustNew(t, &consensus.Params{Name: "main", HRP: "bc", CoinType: 0}, v.Mnemonic)
	origin, err := w.Origin()
	if err != nil || origin != "[73c5da0a/86'/0'/0']"+v.AccountXPub {
		t.Errorf("origin %s, %v", origin, err)
	}
	if key, err := w.AccountKey(); err != nil || key != v.AccountXPrv {
		t.Errorf("account key %s, %v", key, err)
	}
	root, err := hdkeychain.NewMaster(bip39.NewSeed(v.Mnemonic, ""), &chaincfg.MainNetParams)
	if err != nil {
		t.Fatal(err)
	}
	checkExtended(t, "root", root, v.RootPriv, v.RootPub)
	watch, err := Watch(w.params, origin)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range v.Addresses {
		steps := strings.Split(a.Path, "/")
		b, i := Branch(steps[4][0]-'0'), uint32(steps[5][0]-'0')
		child, err := w.account.branches[b].Derive(i)
		if err != nil {
			t.Fatal(err)
		}
		checkExtended(t, a.Path, child, a.XPrv, a.XPub)
		internal, err := w.account.publicKey(b, i)
		if err != nil || hex.EncodeToString(schnorr.SerializePubKey(internal)) != a.InternalKey {
			t.Errorf("%s: internal key, %v", a.Path, err)
		}
		k, err := w.key(b, i)
		if err != nil || hex.EncodeToString(k.output[:]) != a.OutputKey || k.address != a.Address || hex.EncodeToString(consensus.PayToKey(k.output)) != a.ScriptPubKey {
			t.Errorf("%s: %+v, %v", a.Path, k, err)
		}
		if got := mustAddress(t, watch, b, i); got != a.Address {
			t.Errorf("%s: watched as %s", a.Path, got)
		}
		private, err := w.account.signingKey(b, i)
		if err != nil || hex.EncodeToString(schnorr.SerializePubKey(private.PubKey())) != a.OutputKey {
			t.Errorf("%s: private key does not fit, %v", a.Path, err)
		}
		if key, err := address.Decode("bc", a.Address); err != nil || key != k.output {
			t.Errorf("%s: %v", a.Address, err)
		}
	}
	vectors.Ran(t, "bip86", len(v.Addresses))
}

func checkExtended(t *testing.T, name string, key *hdkeychain.ExtendedKey, private, public string) {
	t.Helper()
	neuter, err := key.Neuter()
	if err != nil || key.String() != private || neuter.String() != public {
		t.Errorf("%s: extended key %s, %v", name, neuter, err)
	}
}

// The tweaks of keys that have no script tree.
func TestVectorsBIP341Tweaks(t *testing.T) {
	type intermediary struct{ InternalPubkey, Tweak, TweakedPubkey, TweakedPrivkey string }
	var v struct {
		ScriptPubKey []struct {
			Given        struct{ InternalPubkey string }
			Intermediary intermediary
			Expected     struct{ ScriptPubKey, BIP350Address string }
		}
		KeyPathSpending []struct {
			InputSpending []struct {
				Given struct {
					InternalPrivkey string
					MerkleRoot      *string
				}
				Intermediary intermediary
			}
		}
	}
	vectors.JSON(t, "bip341/wallet-test-vectors.keypath.given.json", &v)
	n, skipped := 0, 0
	for _, c := range v.ScriptPubKey {
		internal, err := schnorr.ParsePubKey(unhex(t, c.Given.InternalPubkey))
		if err != nil {
			t.Fatal(err)
		}
		checkTweak(t, internal, c.Intermediary.Tweak)
		output, err := outputKey(internal)
		if err != nil || hex.EncodeToString(output[:]) != c.Intermediary.TweakedPubkey ||
			hex.EncodeToString(consensus.PayToKey(output)) != c.Expected.ScriptPubKey ||
			address.Encode("bc", output) != c.Expected.BIP350Address {
			t.Errorf("internal key %s: output key %x, %v", c.Given.InternalPubkey, output, err)
		}
		n++
	}
	for _, spend := range v.KeyPathSpending {
		for _, c := range spend.InputSpending {
			if c.Given.MerkleRoot != nil {
				skipped++
				continue
			}
			private, internal := btcec.PrivKeyFromBytes(unhex(t, c.Given.InternalPrivkey))
			if got := hex.EncodeToString(schnorr.SerializePubKey(internal)); got != c.Intermediary.InternalPubkey {
				t.Errorf("internal key %s, want %s", got, c.Intermediary.InternalPubkey)
			}
			checkTweak(t, internal, c.Intermediary.Tweak)
			tweaked, err := tweakPrivate(private)
			if err != nil || hex.EncodeToString(tweaked.Serialize()) != c.Intermediary.TweakedPrivkey {
				t.Errorf("%s: tweaked otherwise, %v", c.Given.InternalPrivkey, err)
			}
			n++
		}
	}
	vectors.Skipped(t, "bip341 tweaks", skipped)
	vectors.Ran(t, "bip341 tweaks", n)
}

func checkTweak(t *testing.T, internal *btcec.PublicKey, want string) {
	t.Helper()
	tweak, err := tapTweak(internal)
	if err != nil {
		t.Fatal(err)
	}
	if got := tweak.Bytes(); hex.EncodeToString(got[:]) != want {
		t.Errorf("tweak %x, want %s", got, want)
	}
}

// Rows 15 to 18 sign messages of other sizes than 32 bytes, which no part of the
// chain does.
func TestVectorsBIP340(t *testing.T) {
	rows, err := csv.NewReader(bytes.NewReader(vectors.Read(t, "bip340/test-vectors.csv"))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, r := range rows[1:] {
		message := unhex(t, r[4])
		if len(message) != 32 {
			continue
		}
		n++
		if r[1] != "" {
			private, _ := btcec.PrivKeyFromBytes(unhex(t, r[1]))
			sig, err := schnorr.Sign(private, message, schnorr.CustomNonce([32]byte(unhex(t, r[3]))))
			if err != nil || !strings.EqualFold(hex.EncodeToString(sig.Serialize()), r[5]) {
				t.Errorf("row %s: signed otherwise, %v", r[0], err)
			}
		}
		if got, want := verifies(t, r[2], message, r[5]), r[6] == "TRUE"; got != want {
			t.Errorf("row %s (%s): verifies %v", r[0], r[7], got)
		}
	}
	vectors.Skipped(t, "bip340", len(rows)-1-n)
	vectors.Ran(t, "bip340", n)
}

func verifies(t testing.TB, key string, message []byte, sig string) bool {
	t.Helper()
	k, err := schnorr.ParsePubKey(unhex(t, key))
	if err != nil {
		return false
	}
	s, err := schnorr.ParseSignature(unhex(t, sig))
	return err == nil && s.Verify(message, k)
}

// Those of version 2 (BIP370) must be refused as what they are: this program
// reads and writes version 0.
func TestVectorsPSBT(t *testing.T) {
	var v struct {
		Invalid        []string
		InvalidWithMsg [][2]string `json:"invalid_with_msg"`
		Valid          []string

		Creator, Signer, Combiner, Finalizer, Extractor []json.RawMessage
	}
	vectors.JSON(t, "psbt/rpc_psbt_given.json", &v)
	n, version2 := 0, 0
	for i, text := range v.Invalid {
		if _, err := ParsePSBT(text); err == nil {
			t.Errorf("invalid %d is taken", i)
		}
		n++
	}
	for _, c := range v.InvalidWithMsg {
		if _, err := ParsePSBT(c[0]); err == nil {
			t.Errorf("invalid is taken: %s", c[1])
		}
		n++
	}
	for i, text := range v.Valid {
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		n++
		if first, _ := unsignedTxFirst(raw); first == nil {
			version2++
			if _, err := decodePSBT(raw); err == nil || !strings.Contains(err.Error(), "version 2") {
				t.Errorf("valid %d of version 2: %v", i, err)
			}
			continue
		}
		checkRoundTrip(t, fmt.Sprintf("valid %d", i), raw)
	}
	if version2 != 7 {
		t.Errorf("%d of version 2, want 7", version2)
	}
	vectors.Skipped(t, "psbt rpc_psbt", len(v.Creator)+len(v.Signer)+len(v.Combiner)+len(v.Finalizer)+len(v.Extractor))
	vectors.Ran(t, "psbt rpc_psbt", n)

	var more map[string][]struct{ Case, Hex string }
	vectors.JSON(t, "psbt/bip371.json", &more)
	for _, c := range more["invalid"] {
		if _, err := decodePSBT(unhex(t, c.Hex)); err == nil {
			t.Errorf("taken: %s", c.Case)
		}
	}
	for _, c := range more["valid"] {
		checkRoundTrip(t, c.Case, unhex(t, c.Hex))
	}
	vectors.Ran(t, "psbt bip371", len(more["invalid"])+len(more["valid"]))
}

// checkRoundTrip reads and writes a PSBT. The order of fields is free, so that
// the bytes are compared sorted, and the second writing with the first.
func checkRoundTrip(t *testing.T, name string, raw []byte) {
	t.Helper()
	p, err := decodePSBT(raw)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	once, err := p.bytes()
	if err != nil {
		t.Fatal(err)
	}
	if p, err = decodePSBT(once); err != nil {
		t.Fatalf("%s: again: %v", name, err)
	}
	twice, err := p.bytes()
	if err != nil || !bytes.Equal(once, twice) {
		t.Errorf("%s: written otherwise the second time, %v", name, err)
	}
	slices.Sort(raw)
	slices.Sort(once)
	if !bytes.Equal(raw, once) {
		t.Errorf("%s: lost something", name)
	}
}

func TestVectorsXChaCha20Poly1305(t *testing.T) {
	var v struct {
		TestGroups []struct {
			IVSize int
			Tests  []struct {
				TcID                               int
				Key, IV, AAD, Msg, CT, Tag, Result string
			}
		}
	}
	vectors.JSON(t, "wycheproof/xchacha20_poly1305_test.json", &v)
	n := 0
	for _, g := range v.TestGroups {
		for _, c := range g.Tests {
			n++
			aead, err := chacha20poly1305.NewX(unhex(t, c.Key))
			if err != nil {
				t.Fatal(err)
			}
			nonce := unhex(t, c.IV)
			if len(nonce) != nonceSize {
				// Go's AEAD panics on another nonce size, and a [24]byte cannot have one.
				if c.Result != "invalid" {
					t.Errorf("%d: a nonce of %d bytes is %s", c.TcID, len(nonce), c.Result)
				}
				continue
			}
			sealed := append(unhex(t, c.CT), unhex(t, c.Tag)...)
			open, err := aead.Open(nil, nonce, sealed, unhex(t, c.AAD))
			if (err == nil) != (c.Result == "valid") {
				t.Errorf("%d: %v, want %s", c.TcID, err, c.Result)
			}
			if err == nil && (hex.EncodeToString(open) != c.Msg || !bytes.Equal(aead.Seal(nil, nonce, open, unhex(t, c.AAD)), sealed)) {
				t.Errorf("%d: sealed otherwise", c.TcID)
			}
		}
	}
	vectors.Ran(t, "wycheproof xchacha20_poly1305", n)
}

// PBKDF2-HMAC-SHA512 is what makes a seed of words (BIP39). The library fixes
// rounds and salt, so that its cases are those of the bip39 vectors; the
// primitive below it is held to Wycheproof's in this test.
func TestVectorsPBKDF2(t *testing.T) {
	var v struct {
		TestGroups []struct {
			Tests []struct {
				TcID                       int
				Password, Salt, DK, Result string
				IterationCount, DkLen      int
			}
		}
	}
	vectors.JSON(t, "wycheproof/pbkdf2_hmacsha512_test.json", &v)
	n := 0
	for _, g := range v.TestGroups {
		for _, c := range g.Tests {
			n++
			got := pbkdf2.Key(unhex(t, c.Password), unhex(t, c.Salt), c.IterationCount, c.DkLen, sha512.New)
			if (hex.EncodeToString(got) == c.DK) != (c.Result == "valid") {
				t.Errorf("%d: %x, %s", c.TcID, got, c.Result)
			}
		}
	}
	vectors.Ran(t, "wycheproof pbkdf2_hmacsha512", n)
}
