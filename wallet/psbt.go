package wallet

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"strings"

	"github.com/btcsuite/btcd/btcec/v2/schnorr"
	"github.com/btcsuite/btcd/psbt/v2"
	"github.com/btcsuite/btcd/wire/v2"

	"github.com/kapok-chain/kapok/address"
	"github.com/kapok-chain/kapok/consensus"
)

// PSBT is a transaction on its way to being signed (BIP174 and BIP371, version
// 0). It carries what a signer without a network needs.
type PSBT struct {
	packet *psbt.Packet
	tx     *consensus.Tx // unsigned
}

// maxPSBT bounds the text of a PSBT that is worth reading, in bytes: the largest
// transaction with its proofs takes a tenth.
const maxPSBT = 4 << 20

// ParsePSBT reads the base64 form. The error is an ErrPSBT.
func ParsePSBT(text string) (*PSBT, error) {
	text = strings.TrimSpace(text)
	if len(text) > maxPSBT {
		return nil, badPSBT("it has %d bytes, more than %d", len(text), maxPSBT)
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, badPSBT("%v", err)
	}
	return decodePSBT(raw)
}

func badPSBT(format string, args ...any) error {
	return fault(ErrPSBT, "this is not a PSBT that can be used (%s): copy the whole text again", fmt.Sprintf(format, args...))
}

func decodePSBT(raw []byte) (*PSBT, error) {
	raw, err := unsignedTxFirst(raw)
	if err != nil {
		return nil, badPSBT("%v", err)
	}
	r := bytes.NewReader(raw)
	packet, err := psbt.NewFromRawBytes(r, false)
	if err != nil {
		return nil, badPSBT("%v", err)
	}
	if r.Len() > 0 {
		return nil, badPSBT("%d bytes after its end", r.Len())
	}
	if err := checkPacket(packet); err != nil {
		return nil, err
	}
	return fromPacket(packet)
}

func fromPacket(packet *psbt.Packet) (*PSBT, error) {
	var b bytes.Buffer
	if err := packet.UnsignedTx.SerializeNoWitness(&b); err != nil {
		return nil, fmt.Errorf("serializing a PSBT's transaction: %w", err)
	}
	tx, err := consensus.DecodeTx(b.Bytes())
	if err != nil {
		return nil, badPSBT("%v", err)
	}
	return &PSBT{packet, tx}, nil
}

func (p *PSBT) bytes() ([]byte, error) {
	var b bytes.Buffer
	if err := p.packet.Serialize(&b); err != nil {
		return nil, fmt.Errorf("serializing a PSBT: %w", err)
	}
	return b.Bytes(), nil
}

// Text is the base64 form.
func (p *PSBT) Text() (string, error) {
	b, err := p.bytes()
	return base64.StdEncoding.EncodeToString(b), err
}

// newPSBT puts a transaction together with its coins' keys. change is the key
// of output place, or nil.
func (w *Wallet) newPSBT(tx *consensus.Tx, coins []OwnCoin, place int, change *key) (*PSBT, error) {
	var msg wire.MsgTx
	if err := msg.DeserializeNoWitness(bytes.NewReader(tx.AppendStripped(nil))); err != nil {
		return nil, fmt.Errorf("drafting a PSBT: %w", err)
	}
	packet, err := psbt.NewFromUnsignedTx(&msg)
	if err != nil {
		return nil, fmt.Errorf("drafting a PSBT: %w", err)
	}
	for i := range coins {
		in := &packet.Inputs[i]
		in.WitnessUtxo = wire.NewTxOut(coins[i].Value, consensus.PayToKey(coins[i].output))
		in.TaprootInternalKey, in.TaprootBip32Derivation, err = w.derivation(coins[i].Branch, coins[i].Index)
		if err != nil {
			return nil, err
		}
	}
	if change != nil {
		out := &packet.Outputs[place]
		out.TaprootInternalKey, out.TaprootBip32Derivation, err = w.derivation(change.branch, change.index)
		if err != nil {
			return nil, err
		}
	}
	return &PSBT{packet, tx}, nil
}

// derivation returns the x-only internal key and its path, as BIP371 wants them.
func (w *Wallet) derivation(b Branch, index uint32) ([]byte, []*psbt.TaprootBip32Derivation, error) {
	public, err := w.account.publicKey(b, index)
	if err != nil {
		return nil, nil, err
	}
	internal := schnorr.SerializePubKey(public)
	path := append(append([]uint32(nil), w.account.path...), uint32(b), index)
	// The package writes fingerprints little-endian; BIP32 has them as four bytes.
	return internal, []*psbt.TaprootBip32Derivation{{
		XOnlyPubKey: internal, MasterKeyFingerprint: bits.ReverseBytes32(w.account.master), Bip32Path: path,
	}}, nil
}

// ours finds the key of this wallet among the derivations, and checks that it
// is really the one of the script. Nil where there is none.
func (w *Wallet) ours(derivations []*psbt.TaprootBip32Derivation, script []byte) (*key, error) {
	output, ok := consensus.OutputKey(script)
	if !ok {
		return nil, nil
	}
	for _, d := range derivations {
		n := len(w.account.path)
		if bits.ReverseBytes32(d.MasterKeyFingerprint) != w.account.master || len(d.Bip32Path) != n+2 {
			continue
		}
		b, index := Branch(d.Bip32Path[n]), d.Bip32Path[n+1]
		if b > Change || index > maxIndex || pathText(d.Bip32Path[:n]) != pathText(w.account.path) {
			continue
		}
		k, err := w.key(b, index)
		if err != nil {
			return nil, err
		}
		if k.output == output {
			return k, nil
		}
	}
	return nil, nil
}

// spent returns the outputs that the transaction spends.
func (p *PSBT) spent() ([]consensus.TxOut, error) {
	if len(p.tx.Inputs) == 0 || len(p.tx.Outputs) == 0 {
		return nil, badPSBT("it spends or pays nothing")
	}
	spent := make([]consensus.TxOut, len(p.packet.Inputs))
	for i := range spent {
		utxo := p.packet.Inputs[i].WitnessUtxo
		if utxo == nil {
			return nil, badPSBT("input %d does not say what it spends", i)
		}
		spent[i] = consensus.TxOut{Value: utxo.Value, Script: utxo.PkScript}
	}
	return spent, nil
}

// Fee is what the transaction pays, in units. A PSBT whose amounts cannot be is
// an ErrPSBT.
func (p *PSBT) Fee() (int64, error) {
	spent, err := p.spent()
	if err != nil {
		return 0, err
	}
	in, err := sum(spent)
	if err != nil {
		return 0, err
	}
	out, err := sum(p.tx.Outputs)
	if err != nil {
		return 0, err
	}
	if out > in {
		return 0, badPSBT("it pays %s and spends only %s", FormatAmount(out), FormatAmount(in))
	}
	return in - out, nil
}

func sum(outs []consensus.TxOut) (int64, error) {
	var total int64
	for i := range outs {
		if v := outs[i].Value; v < 0 || v > consensus.MaxMoney-total {
			return 0, badPSBT("its amounts add up to more than there will ever be")
		}
		total += outs[i].Value
	}
	return total, nil
}

// Sign adds the signatures of this wallet's keys and returns how many inputs
// they are. It needs no network: a wrong amount in the PSBT makes signatures
// that no node takes, because each signs all amounts (BIP341). It refuses fees
// above MaxFee, and any hash type but those that sign everything. aux is
// BIP340's auxiliary randomness.
func (w *Wallet) Sign(p *PSBT, aux io.Reader) (int, error) {
	if w.WatchOnly() {
		return 0, w.cannotSign()
	}
	if aux == nil {
		return 0, errors.New("signatures need a source of auxiliary randomness")
	}
	fee, err := p.Fee()
	if err != nil {
		return 0, err
	}
	if err := checkFee(fee); err != nil {
		return 0, err
	}
	spent, err := p.spent()
	if err != nil {
		return 0, err
	}
	hasher, err := consensus.NewSigHasher(p.tx, spent)
	if err != nil {
		return 0, fmt.Errorf("hashing a PSBT: %w", err)
	}
	signed := 0
	for i := range p.packet.Inputs {
		in := &p.packet.Inputs[i]
		k, err := w.ours(in.TaprootBip32Derivation, spent[i].Script)
		if err != nil {
			return signed, err
		}
		if k == nil || in.FinalScriptWitness != nil {
			continue
		}
		signature, err := w.signInput(hasher, i, uint32(in.SighashType), k, aux)
		if err != nil {
			return signed, err
		}
		in.TaprootKeySpendSig = signature
		signed++
	}
	return signed, nil
}

func (w *Wallet) signInput(h *consensus.SigHasher, i int, hashType uint32, k *key, aux io.Reader) ([]byte, error) {
	if hashType != consensus.SigHashDefault && hashType != consensus.SigHashAll {
		return nil, badPSBT("input %d asks for hash type %#02x, which does not sign everything", i, hashType)
	}
	message, err := h.Hash(i, byte(hashType))
	if err != nil {
		return nil, fmt.Errorf("hashing input %d: %w", i, err)
	}
	private, err := w.account.signingKey(k.branch, k.index)
	if err != nil {
		return nil, err
	}
	defer private.Zero()
	var random [32]byte
	if _, err := io.ReadFull(aux, random[:]); err != nil {
		return nil, fmt.Errorf("reading randomness for a signature: %w", err)
	}
	signature, err := schnorr.Sign(private, message[:], schnorr.CustomNonce(random))
	if err != nil {
		return nil, fmt.Errorf("signing input %d: %w", i, err)
	}
	b := signature.Serialize()
	if hashType != consensus.SigHashDefault {
		b = append(b, byte(hashType))
	}
	return b, nil
}

// Tx returns the finished transaction, each signature checked: ErrUnsigned
// where one is missing.
func (p *PSBT) Tx() (*consensus.Tx, error) {
	spent, err := p.spent()
	if err != nil {
		return nil, err
	}
	coins := make([]consensus.Coin, len(spent))
	missing := 0
	for i := range spent {
		k, ok := consensus.OutputKey(spent[i].Script)
		if !ok {
			return nil, badPSBT("input %d spends something else than an address of this kind", i)
		}
		coins[i] = consensus.Coin{Value: spent[i].Value, Key: k}
		if in := &p.packet.Inputs[i]; in.TaprootKeySpendSig == nil && in.FinalScriptWitness == nil {
			missing++
		}
	}
	if missing > 0 {
		return nil, fault(ErrUnsigned, "%d of %d inputs are not signed: sign with the wallet that owns them", missing, len(spent))
	}
	tx, err := p.extract()
	if err != nil {
		return nil, err
	}
	if err := consensus.CheckSignatures(tx, coins); err != nil {
		return nil, badPSBT("%v", err)
	}
	return tx, nil
}

func (p *PSBT) extract() (*consensus.Tx, error) {
	raw, err := p.bytes()
	if err != nil {
		return nil, err
	}
	final, err := psbt.NewFromRawBytes(bytes.NewReader(raw), false)
	if err != nil {
		return nil, badPSBT("%v", err)
	}
	if err := psbt.MaybeFinalizeAll(final); err != nil {
		return nil, badPSBT("%v", err)
	}
	msg, err := psbt.Extract(final)
	if err != nil {
		return nil, badPSBT("%v", err)
	}
	var b bytes.Buffer
	if err := msg.Serialize(&b); err != nil {
		return nil, fmt.Errorf("serializing a signed transaction: %w", err)
	}
	tx, err := consensus.DecodeTx(b.Bytes())
	if err != nil {
		return nil, badPSBT("%v", err)
	}
	return tx, nil
}

// Output is one payment of a PSBT, for people who are about to sign it.
type Output struct {
	Address string // "" where it is none of this network's kind
	Value   int64  // units
	Change  bool   // proven to come back to this wallet
}

// Outputs lists what a PSBT pays. Change is believed only where the key derives
// to exactly this output.
func (w *Wallet) Outputs(p *PSBT) ([]Output, error) {
	outs := make([]Output, len(p.tx.Outputs))
	for i := range outs {
		out := &p.tx.Outputs[i]
		outs[i].Value = out.Value
		if k, ok := consensus.OutputKey(out.Script); ok {
			outs[i].Address = address.Encode(w.params.HRP, k)
		}
		mine, err := w.ours(p.packet.Outputs[i].TaprootBip32Derivation, out.Script)
		if err != nil {
			return nil, err
		}
		outs[i].Change = mine != nil
	}
	return outs, nil
}
