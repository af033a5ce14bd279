package consensus

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"

	"github.com/kapok-chain/kapok/consensus/batch"
	"github.com/kapok-chain/kapok/internal/vectors"
)

func TestVectorsTxContextFree(t *testing.T) {
	var cases []struct {
		Tx, TxID, WTxID  string
		CheckTransaction string `json:"check_transaction"`
	}
	vectors.JSON(t, "tx_context_free/tx_context_free_given.json", &cases)
	p := &Params{MaxWeight: 4_000_000}
	for i, c := range cases {
		tx := mustTx(t, c.Tx)
		if got := tx.TxID().String(); got != c.TxID {
			t.Errorf("%d: txid %s, want %s", i, got, c.TxID)
		}
		if got := tx.WTxID().String(); got != c.WTxID {
			t.Errorf("%d: wtxid %s, want %s", i, got, c.WTxID)
		}
		if got := hex.EncodeToString(tx.Bytes()); got != c.Tx {
			t.Errorf("%d: encoded as %s, want %s", i, got, c.Tx)
		}
		// The scripts are legacy ones: of CheckTx only Core's part applies.
		want := Code(c.CheckTransaction)
		if want == "ok" {
			want = ""
		}
		wantRule(t, checkAmountsAndInputs(p, tx), want, Invalid)
	}
	vectors.Ran(t, "tx_context_free", len(cases))
}

func TestVectorsBIP54TxSize(t *testing.T) {
	var cases []struct {
		Comment, Tx string
		Valid       bool
	}
	vectors.JSON(t, "bip54/txsize.json", &cases)
	p := &Params{MaxWeight: 4_000_000}
	for _, c := range cases {
		// Valid ones have legacy scripts and fail for those, and for nothing else.
		rule := AsRuleError(CheckTx(p, mustTx(t, c.Tx)))
		if rule == nil || (rule.Code == ErrTx64Bytes) == c.Valid {
			t.Errorf("%s: %v, valid is %v", c.Comment, rule, c.Valid)
		}
		if c.Valid && rule.Code != ErrOutputType && rule.Code != ErrScriptSig {
			t.Errorf("%s: %v", c.Comment, rule)
		}
	}
	vectors.Ran(t, "bip54 txsize", len(cases))
}

func TestVectorsTaprootRef(t *testing.T) {
	var cases []struct {
		Comment, Tx, Expect string
		Prevouts, Witness   []string
		Index               int
		RejectClass         string `json:"reject_class"`
	}
	vectors.JSON(t, "taproot_ref/keypath_given.json", &cases)
	codes := map[string]Code{
		"": "", "sig-hashtype": ErrSigHashType, "sig-hashtype-single-no-output": ErrSigSingle,
		"sig-size": ErrSigSize, "sig-invalid": ErrSig,
	}
	for _, c := range cases {
		t.Run(c.Comment, func(t *testing.T) {
			code, known := codes[c.RejectClass]
			if !known || (c.Expect == "accept") != (code == "") {
				t.Fatalf("%s with class %q", c.Expect, c.RejectClass)
			}
			tx, spent := mustTx(t, c.Tx), make([]TxOut, len(c.Prevouts))
			for i, text := range c.Prevouts {
				d := NewDecoder(unhex(t, text))
				spent[i] = TxOut{int64(d.Uint64()), d.Bytes()}
				if err := d.Finish(); err != nil {
					t.Fatal(err)
				}
			}
			for _, item := range c.Witness {
				tx.Inputs[c.Index].Witness = append(tx.Inputs[c.Index].Witness, unhex(t, item))
			}
			key, ok := OutputKey(spent[c.Index].Script)
			if !ok {
				t.Fatal("the spent output is not P2TR")
			}
			wantRule(t, checkInput(t, tx, c.Index, spent, key), code, Invalid)
		})
	}
	vectors.Ran(t, "taproot_ref", len(cases))
}

// checkInput judges one input's witness, whatever the other inputs spend.
func checkInput(t *testing.T, tx *Tx, input int, spent []TxOut, key [KeySize]byte) error {
	h, err := NewSigHasher(tx, spent)
	if err != nil {
		t.Fatal(err)
	}
	s, err := h.signature(input, key)
	if err == nil && !isGood(&s) {
		err = invalid(ErrSig, "")
	}
	return err
}

type bip341File struct {
	KeyPathSpending []struct {
		Given struct {
			RawUnsignedTx string `json:"rawUnsignedTx"`
			UtxosSpent    []struct {
				ScriptPubKey string `json:"scriptPubKey"`
				AmountSats   int64  `json:"amountSats"`
			} `json:"utxosSpent"`
		} `json:"given"`
		InputSpending []struct {
			Given struct {
				TxinIndex       int    `json:"txinIndex"`
				InternalPrivkey string `json:"internalPrivkey"`
				MerkleRoot      string `json:"merkleRoot"`
				HashType        byte   `json:"hashType"`
			} `json:"given"`
			Intermediary struct {
				SigMsg         string `json:"sigMsg"`
				SigHash        string `json:"sigHash"`
				TweakedPrivkey string `json:"tweakedPrivkey"`
			} `json:"intermediary"`
			Expected struct {
				Witness []string `json:"witness"`
			} `json:"expected"`
		} `json:"inputSpending"`
	} `json:"keyPathSpending"`
}

func TestVectorsBIP341(t *testing.T) {
	var f bip341File
	vectors.JSON(t, "bip341/wallet-test-vectors.keypath.given.json", &f)
	n := 0
	for _, c := range f.KeyPathSpending {
		tx := mustTx(t, c.Given.RawUnsignedTx)
		var spent []TxOut
		for _, u := range c.Given.UtxosSpent {
			spent = append(spent, TxOut{u.AmountSats, unhex(t, u.ScriptPubKey)})
		}
		h, err := NewSigHasher(tx, spent)
		if err != nil {
			t.Fatal(err)
		}
		for _, in := range c.InputSpending {
			n++
			g, want := in.Given, in.Intermediary
			msg, err := h.appendMessage([]byte{0}, g.TxinIndex, g.HashType)
			if err != nil || hex.EncodeToString(msg) != want.SigMsg {
				t.Errorf("input %d: message %x, %v", g.TxinIndex, msg, err)
			}
			hash, err := SigHash(tx, g.TxinIndex, spent, g.HashType)
			if err != nil || hex.EncodeToString(hash[:]) != want.SigHash {
				t.Errorf("input %d: hash %x, %v", g.TxinIndex, hash, err)
			}
			key, _ := OutputKey(spent[g.TxinIndex].Script)
			tx.Inputs[g.TxinIndex].Witness = [][]byte{unhex(t, in.Expected.Witness[0])}
			wantRule(t, checkInput(t, tx, g.TxinIndex, spent, key), "", 0)
			// The same signature is made again from the tweaked key.
			priv, _ := btcec.PrivKeyFromBytes(unhex(t, want.TweakedPrivkey))
			sig, err := schnorr.Sign(priv, hash[:], schnorr.CustomNonce([32]byte{}))
			if err != nil || !strings.HasPrefix(in.Expected.Witness[0], hex.EncodeToString(sig.Serialize())) {
				t.Errorf("input %d: signed %x, %v", g.TxinIndex, sig.Serialize(), err)
			}
		}
	}
	vectors.Ran(t, "bip341", n)
}

func TestVectorsBIP340(t *testing.T) {
	n, skipped := 0, 0
	for _, line := range strings.Split(strings.TrimSpace(string(vectors.Read(t, "bip340/test-vectors.csv"))), "\n")[1:] {
		f := strings.Split(strings.TrimSpace(line), ",")
		message := unhex(t, f[4])
		if len(message) != 32 {
			skipped++
			continue
		}
		s := batch.Signature{Key: [32]byte(unhex(t, f[2])), Message: [32]byte(message), Signature: [64]byte(unhex(t, f[5]))}
		if got, want := isGood(&s), f[6] == "TRUE"; got != want {
			t.Errorf("row %s: %v, want %v: %s", f[0], got, want, f[7])
		}
		n++
	}
	vectors.Skipped(t, "bip340", skipped)
	vectors.Ran(t, "bip340", n)
}

type blockFields struct {
	Hash, Prev, Bits, MerkleRoot string
	Version                      int32
	Time, Nonce                  uint32
	NTx, Size, Weight            int
	StrippedSize                 int
	WitnessRoot                  string `json:"witness_root"`
	WitnessCommitment            string `json:"witness_commitment"`
	TxIDs                        string `json:"txids_sha256"`
	File                         string
}

// readBlock reads a real block of a network with these limits, and checks the
// rules that do not look at scripts: its bytes come back, it carries the work
// that it claims, and its header commits to its transactions.
func readBlock(t *testing.T, p *Params, raw []byte) *Block {
	t.Helper()
	b, err := DecodeBlock(raw)
	if err != nil {
		t.Fatalf("%x...: %v", raw[:min(len(raw), HeaderSize)], err)
	}
	if !bytes.Equal(b.Bytes(), raw) {
		t.Errorf("%s is not encoded as it was", b.Hash())
	}
	wantRule(t, CheckPow(p, &b.Header), "", 0)
	wantRule(t, checkMerkle(b), "", 0)
	for _, tx := range b.Txs {
		wantRule(t, checkAmountsAndInputs(p, tx), "", 0)
	}
	return b
}

// checkBlockFields holds a block against what is published about it.
func checkBlockFields(t *testing.T, p *Params, raw []byte, want *blockFields) *Block {
	t.Helper()
	b := readBlock(t, p, raw)
	hash := b.Hash()
	got := blockFields{
		Hash: hash.String(), Prev: b.Header.Prev.String(), MerkleRoot: b.Header.MerkleRoot.String(),
		Bits:    hex.EncodeToString(binary.BigEndian.AppendUint32(nil, b.Header.Bits)),
		Version: b.Header.Version, Time: b.Header.Time, Nonce: b.Header.Nonce,
		NTx: len(b.Txs), Size: b.Size(), StrippedSize: b.StrippedSize(), Weight: b.Weight(),
		WitnessRoot: want.WitnessRoot, WitnessCommitment: want.WitnessCommitment, TxIDs: want.TxIDs, File: want.File,
	}
	if got != *want {
		t.Errorf("got %+v\nwant %+v", got, *want)
	}
	ids := sha256.New()
	for _, tx := range b.Txs {
		display := tx.TxID()
		slices.Reverse(display[:])
		ids.Write(display[:])
	}
	if got := hex.EncodeToString(ids.Sum(nil)); got != want.TxIDs {
		t.Errorf("%s: txids hash to %s, want %s", want.Hash, got, want.TxIDs)
	}
	if want.WitnessRoot != "" {
		checkCommitmentFields(t, b, want)
	}
	return b
}

func checkCommitmentFields(t *testing.T, b *Block, want *blockFields) {
	t.Helper()
	if got := WitnessRoot(b).String(); got != want.WitnessRoot {
		t.Errorf("%s: witness root %s, want %s", want.Hash, got, want.WitnessRoot)
	}
	commitment, ok := WitnessCommitment(b)
	if got := hex.EncodeToString(commitment[:]); !ok || got != want.WitnessCommitment {
		t.Errorf("%s: commitment %s, want %s", want.Hash, got, want.WitnessCommitment)
	}
	if err := checkWitness(b); err != nil {
		t.Errorf("%s: %v", want.Hash, err)
	}
}

func TestVectorsBlocks(t *testing.T) {
	n := 0
	bitcoin, regtest := Main(), Regtest() // the limits are Bitcoin's
	var single []blockFields
	vectors.JSON(t, "blocks/INDEX.json", &single)
	for i := range single {
		checkBlockFields(t, bitcoin, vectors.Read(t, "blocks/"+single[i].File), &single[i])
		n++
	}
	var index struct {
		Blocks []blockFields
		Stats  []blockStats
	}
	vectors.JSON(t, "blocks/regtest_getblockstats.INDEX.json", &index)
	var tip *BlockIndex
	stats := 0
	for i, line := range hexLines(t, "blocks/regtest_getblockstats.hex") {
		b := checkBlockFields(t, regtest, line, &index.Blocks[i])
		if i > 0 { // genesis is older than BIP34
			wantRule(t, checkHeight(b.Txs[0], uint32(i)), "", 0)
		}
		tip = checkLink(t, tip, b)
		if at := slices.IndexFunc(index.Stats, func(s blockStats) bool { return s.Height == i }); at >= 0 {
			checkStats(t, regtest, tip, b, &index.Stats[at])
			stats++
		}
		n++
	}
	vectors.Ran(t, "blocks/stats", stats)
	tip = nil
	for _, line := range hexLines(t, "blocks/mainnet_1_256.hex") {
		b := readBlock(t, bitcoin, line)
		if b.Weight() != WitnessScale*len(line) || b.StrippedSize() != len(line) {
			t.Errorf("%s: weight %d, stripped size %d, of %d bytes without witness", b.Hash(), b.Weight(), b.StrippedSize(), len(line))
		}
		if commitment, ok := WitnessCommitment(b); ok {
			t.Errorf("%s commits to %s, before BIP141", b.Hash(), commitment)
		}
		tip = checkLink(t, tip, b)
		n++
	}
	tip = nil
	for i, line := range hexLines(t, "blocks/mainnet_headers_1_11.hex") {
		h, err := DecodeHeader(line)
		if err != nil || !bytes.Equal(h.Append(nil), line) {
			t.Fatalf("header %d: %v", i+1, err)
		}
		wantRule(t, CheckPow(bitcoin, &h), "", 0)
		tip = checkLink(t, tip, &Block{Header: h})
		n++
	}
	vectors.Ran(t, "blocks", n)
}

// checkLink puts a block on the chain that it must belong to; nil begins one.
func checkLink(t *testing.T, tip *BlockIndex, b *Block) *BlockIndex {
	t.Helper()
	if tip != nil && b.Header.Prev != tip.Hash {
		t.Errorf("%s does not follow %s", b.Hash(), tip.Hash)
	}
	if tip != nil && int64(b.Header.Time) <= tip.MTP() {
		t.Errorf("%s: time %d is not after the median", b.Hash(), b.Header.Time)
	}
	return newIndex(tip, &b.Header, b.Hash())
}

// blockStats is what Bitcoin Core's getblockstats says of a block, as far as
// it takes no coins to say it. Sizes and sums leave the coinbase out.
type blockStats struct {
	BlockHash      string
	Height         int
	Time           uint32
	MedianTime     int64
	Subsidy        int64
	Txs, Ins, Outs int
	TotalSize      int   `json:"total_size"`
	TotalWeight    int   `json:"total_weight"`
	TotalOut       int64 `json:"total_out"`
	SwTxs          int
	SwTotalSize    int `json:"swtotal_size"`
	SwTotalWeight  int `json:"swtotal_weight"`
}

func checkStats(t *testing.T, p *Params, index *BlockIndex, b *Block, want *blockStats) {
	t.Helper()
	got := blockStats{
		BlockHash: index.Hash.String(), Height: int(index.Height), Time: b.Header.Time, MedianTime: index.MTP(),
		Subsidy: p.Subsidy(index.Height), Txs: len(b.Txs), Outs: len(b.Txs[0].Outputs),
	}
	for _, tx := range b.Txs[1:] {
		got.Ins += len(tx.Inputs)
		got.Outs += len(tx.Outputs)
		got.TotalSize += tx.Size()
		got.TotalWeight += tx.Weight()
		got.TotalOut += tx.outputSum()
		if tx.HasWitness() {
			got.SwTxs++
			got.SwTotalSize += tx.Size()
			got.SwTotalWeight += tx.Weight()
		}
	}
	if got != *want {
		t.Errorf("got %+v\nwant %+v", got, *want)
	}
}

func hexLines(t *testing.T, name string) [][]byte {
	var lines [][]byte
	for _, line := range strings.Fields(string(vectors.Read(t, name))) {
		lines = append(lines, unhex(t, line))
	}
	return lines
}
