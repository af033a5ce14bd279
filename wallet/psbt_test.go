package wallet

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2/schnorr"
	"github.com/btcsuite/btcd/psbt/v2"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/frugal"
)

// offline drafts a payment with a watch-only wallet, and returns the text of
// its PSBT.
func offline(t *testing.T, coins ...OwnCoin) (signer *Wallet, d *Draft, text string) {
	t.Helper()
	p := testParams("local")
	signer = mustNew(t, p, testWords)
	origin, err := signer.Origin()
	if err != nil {
		t.Fatal(err)
	}
	watch, err := Watch(p, origin)
	if err != nil {
		t.Fatal(err)
	}
	to := mustAddress(t, mustNew(t, p, otherWords), Receive, 0)
	d, err = watch.Select(viewOf(watch, 1000, coins...), []Payment{{to, coin}}, choices(1, PerVB(3)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := watch.Sign(d.PSBT, fakeRandom(1)); !errors.Is(err, ErrWatchOnly) {
		t.Errorf("signing without keys: %v", err)
	}
	if text, err = d.PSBT.Text(); err != nil {
		t.Fatal(err)
	}
	return signer, d, text
}

func mustParse(t testing.TB, text string) *PSBT {
	t.Helper()
	p, err := ParsePSBT(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestOfflineSigning(t *testing.T) {
	signer, d, text := offline(t, confirmed(coin/2), confirmed(coin/3), OwnCoin{Coin: Coin{Value: coin, Height: 4}, Branch: Change, Index: 7})
	packet := mustParse(t, text)
	if fee, err := packet.Fee(); err != nil || fee != d.Fee {
		t.Errorf("fee %d, %v, want %d", fee, err, d.Fee)
	}
	ends, err := signer.Outputs(packet)
	if err != nil || len(ends) != 2 {
		t.Fatalf("outputs %v, %v", ends, err)
	}
	for _, e := range ends {
		if e.Change != (e.Address == d.ChangeTo) || e.Value != d.Change && e.Change {
			t.Errorf("output %+v", e)
		}
	}
	if _, err := packet.Tx(); !errors.Is(err, ErrUnsigned) {
		t.Errorf("finished without signatures: %v", err)
	}
	if n, err := mustNew(t, signer.params, otherWords).Sign(packet, fakeRandom(1)); n != 0 || err != nil {
		t.Errorf("a stranger signed %d inputs, %v", n, err)
	}
	n, err := signer.Sign(packet, fakeRandom(1))
	if err != nil || n != len(d.Coins) {
		t.Fatalf("signed %d, %v", n, err)
	}
	// The signed PSBT travels back as text, and finishes there.
	if text, err = packet.Text(); err != nil {
		t.Fatal(err)
	}
	tx, err := mustParse(t, text).Tx()
	if err != nil {
		t.Fatal(err)
	}
	if tx.VSize() != d.VSize {
		t.Errorf("%d vB, said %d", tx.VSize(), d.VSize)
	}
	if len(tx.Inputs[0].Witness) != 1 || len(tx.Inputs[0].Witness[0]) != schnorr.SignatureSize {
		t.Errorf("witness %x", tx.Inputs[0].Witness)
	}
}

func TestSignRefusals(t *testing.T) {
	for _, tc := range []struct {
		name   string
		tamper func(*PSBT)
		code   Code // of Sign
		signed int
	}{
		{"untouched", func(p *PSBT) {}, "", 1},
		{"hash type none", func(p *PSBT) { p.packet.Inputs[0].SighashType = consensus.SigHashNone }, ErrPSBT, 0},
		{"hash type single|anyone", func(p *PSBT) { p.packet.Inputs[0].SighashType = 0x83 }, ErrPSBT, 0},
		{"hash type beyond a byte", func(p *PSBT) { p.packet.Inputs[0].SighashType = 0x100 }, ErrPSBT, 0},
		{"hash type all", func(p *PSBT) { p.packet.Inputs[0].SighashType = consensus.SigHashAll }, "", 1},
		{"fee above the limit", func(p *PSBT) { p.packet.Inputs[0].WitnessUtxo.Value += MaxFee }, ErrFeeTooHigh, 0},
		{"pays more than it spends", func(p *PSBT) { p.packet.Inputs[0].WitnessUtxo.Value = 1 }, ErrPSBT, 0},
		{"impossible amount", func(p *PSBT) { p.packet.Inputs[0].WitnessUtxo.Value = -1 }, ErrPSBT, 0},
		{"does not say what it spends", func(p *PSBT) { p.packet.Inputs[0].WitnessUtxo = nil }, ErrPSBT, 0},
		{"another fingerprint", func(p *PSBT) { p.packet.Inputs[0].TaprootBip32Derivation[0].MasterKeyFingerprint++ }, "", 0},
		{"another index", func(p *PSBT) { p.packet.Inputs[0].TaprootBip32Derivation[0].Bip32Path[4]++ }, "", 0},
		{"another account", func(p *PSBT) { p.packet.Inputs[0].TaprootBip32Derivation[0].Bip32Path[2]++ }, "", 0},
		{"third branch", func(p *PSBT) { p.packet.Inputs[0].TaprootBip32Derivation[0].Bip32Path[3] = 2 }, "", 0},
		{"hardened index", func(p *PSBT) { p.packet.Inputs[0].TaprootBip32Derivation[0].Bip32Path[4] = 1 << 31 }, "", 0},
		{"short path", func(p *PSBT) { p.packet.Inputs[0].TaprootBip32Derivation[0].Bip32Path = nil }, "", 0},
	} {
		signer, _, text := offline(t, confirmed(2*coin))
		p := mustParse(t, text)
		tc.tamper(p)
		n, err := signer.Sign(p, fakeRandom(1))
		if n != tc.signed || (tc.code == "") != (err == nil) || err != nil && !errors.Is(err, tc.code) {
			t.Errorf("%s: %d signed, %v; want %d, %q", tc.name, n, err, tc.signed, tc.code)
		}
		if n == 1 {
			if _, err := p.Tx(); err != nil {
				t.Errorf("%s: %v", tc.name, err)
			}
		}
	}
}

// Two unsigned transactions are refused, equal or not: the second would say which of the maps are
// of inputs, for this package, and the first for another one.
func TestTwoUnsignedTransactions(t *testing.T) {
	_, _, text := offline(t, confirmed(2*coin))
	raw, err := mustParse(t, text).bytes()
	if err != nil {
		t.Fatal(err)
	}
	const head = len("psbt\xff")
	tx := raw[head : head+2+1+int(raw[head+2])] // key of one byte, length of one byte
	for _, twice := range [][]byte{tx, append([]byte{1, 0, 10}, make([]byte, 10)...)} {
		_, err := decodePSBT(slices.Concat(raw[:head+len(tx)], twice, raw[head+len(tx):]))
		if !errors.Is(err, ErrPSBT) {
			t.Errorf("error %v, want %v", err, ErrPSBT)
		}
	}
	if _, err := decodePSBT(slices.Concat(raw[:head], tx, raw[head+len(tx):])); err != nil {
		t.Errorf("one of them: %v", err)
	}
}

// A lie about an amount makes a signature that no node takes, and Tx says so.
func TestLyingAmount(t *testing.T) {
	signer, _, text := offline(t, confirmed(2*coin))
	p := mustParse(t, text)
	p.packet.Inputs[0].WitnessUtxo.Value += 5
	if _, err := signer.Sign(p, fakeRandom(1)); err != nil {
		t.Fatal(err)
	}
	p.packet.Inputs[0].WitnessUtxo.Value -= 5
	if _, err := p.Tx(); !errors.Is(err, ErrPSBT) || !strings.Contains(err.Error(), "sig") {
		t.Errorf("a signature over another amount: %v", err)
	}
}

// An output that claims to be change must be this wallet's.
func TestForgedChange(t *testing.T) {
	signer, d, text := offline(t, confirmed(2*coin))
	p := mustParse(t, text)
	for i := range p.packet.Outputs {
		if p.packet.Outputs[i].TaprootBip32Derivation == nil {
			_, p.packet.Outputs[i].TaprootBip32Derivation, _ = signer.derivation(Change, 0)
		}
	}
	ends, err := signer.Outputs(p)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range ends {
		if e.Change && e.Address != d.ChangeTo {
			t.Errorf("%+v passes as change", e)
		}
	}
}

func TestFieldTwice(t *testing.T) {
	_, _, text := offline(t, confirmed(2*coin))
	for name, add := range map[string]func(*PSBT, *psbt.Unknown){
		"global": func(p *PSBT, u *psbt.Unknown) { p.packet.Unknowns = append(p.packet.Unknowns, u) },
		"input":  func(p *PSBT, u *psbt.Unknown) { p.packet.Inputs[0].Unknowns = append(p.packet.Inputs[0].Unknowns, u) },
		"output": func(p *PSBT, u *psbt.Unknown) { p.packet.Outputs[0].Unknowns = append(p.packet.Outputs[0].Unknowns, u) },
	} {
		p := mustParse(t, text)
		for n, want := range []Code{"", ErrPSBT} {
			add(p, &psbt.Unknown{Key: []byte{0x60, 1}, Value: []byte{byte(n)}})
			text, err := p.Text()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := ParsePSBT(text); (err == nil) != (want == "") || err != nil && !errors.Is(err, want) {
				t.Errorf("%s field %d times: %v", name, n+1, err)
			}
		}
	}
}

// What the psbt package would write otherwise than it read it is refused.
func TestLossyFields(t *testing.T) {
	for _, tc := range []struct {
		name  string
		field func(*PSBT)
		ok    bool
	}{
		{"type of one byte", func(p *PSBT) { p.packet.Inputs[0].Unknowns = []*psbt.Unknown{{Key: []byte{0xfc, 1}}} }, true},
		{"input type 253", func(p *PSBT) { p.packet.Inputs[0].Unknowns = []*psbt.Unknown{{Key: []byte{0xfd, 0xfd, 0}}} }, false},
		{"output type 256", func(p *PSBT) { p.packet.Outputs[0].Unknowns = []*psbt.Unknown{{Key: []byte{0xfd, 0, 1}}} }, false},
		{"global type 65536", func(p *PSBT) { p.packet.Unknowns = []*psbt.Unknown{{Key: []byte{0xfe, 0, 0, 1, 0}}} }, false},
		{"script of 252 bytes", func(p *PSBT) { p.packet.Inputs[0].WitnessUtxo.PkScript = make([]byte, 252) }, true},
		{"script of 253 bytes", func(p *PSBT) { p.packet.Inputs[0].WitnessUtxo.PkScript = make([]byte, 253) }, false},
	} {
		_, _, text := offline(t, confirmed(2*coin))
		p := mustParse(t, text)
		tc.field(p)
		once, err := p.Text()
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParsePSBT(once)
		if !tc.ok {
			if !errors.Is(err, ErrPSBT) {
				t.Errorf("%s: %v", tc.name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
		} else if twice, err := again.Text(); err != nil || twice != once {
			t.Errorf("%s: written otherwise the second time (%v)", tc.name, err)
		}
	}
}

func TestWatchRefusals(t *testing.T) {
	p := testParams("local")
	origin, err := mustNew(t, p, testWords).Origin()
	if err != nil {
		t.Fatal(err)
	}
	main, err := mustNew(t, testParams("main"), testWords).Origin()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(main, "/86'/19280'/0']xpub") || !strings.Contains(origin, "/86'/1'/0']tpub") {
		t.Errorf("origins %s and %s", main, origin)
	}
	private, err := mustNew(t, p, testWords).AccountKey()
	if err != nil {
		t.Fatal(err)
	}
	at := strings.Index(origin, "]") + 1
	for name, text := range map[string]string{
		"nothing": "", "no origin": origin[at:], "main's": main, "private": origin[:at] + private,
		"another path": strings.Replace(origin, "86'", "84'", 1), "a letter changed": origin[:len(origin)-1] + "z",
		"no path": "[00000000]" + origin[at:], "long": strings.Repeat("[", 1000),
	} {
		if _, err := Watch(p, text); !errors.Is(err, ErrKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The seeds are a draft, its signed form, one of version 2, and one with a type
// of more than a byte.
func FuzzParsePSBT(f *testing.F) {
	w := mustNew(f, testParams("local"), testWords)
	f.Fuzz(func(t *testing.T, raw []byte) {
		var p *PSBT
		var err error
		frugal.Call(t, "decodePSBT", len(raw), func() { p, err = decodePSBT(raw) })
		if err != nil {
			if !errors.Is(err, ErrPSBT) {
				t.Fatalf("not the user's fault: %v", err)
			}
			return
		}
		once, err := p.bytes()
		if err != nil {
			t.Fatal(err)
		}
		again, err := decodePSBT(once)
		if err != nil {
			t.Fatalf("cannot read what was written: %v", err)
		}
		if twice, err := again.bytes(); err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("written otherwise the second time: %v", err)
		}
		// Whatever comes of these, they must not panic.
		w.Sign(p, fakeRandom(1))
		w.Outputs(p)
		p.Tx()
	})
}
