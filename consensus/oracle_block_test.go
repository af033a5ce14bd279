package consensus

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/btcutil/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

func toWireHeader(h *Header) *wire.BlockHeader {
	return &wire.BlockHeader{
		Version: h.Version, PrevBlock: chainhash.Hash(h.Prev), MerkleRoot: chainhash.Hash(h.MerkleRoot),
		Timestamp: time.Unix(int64(h.Time), 0), Bits: h.Bits, Nonce: h.Nonce,
	}
}

func toWireBlock(b *Block) *wire.MsgBlock {
	w := &wire.MsgBlock{Header: *toWireHeader(&b.Header)}
	for _, tx := range b.Txs {
		w.Transactions = append(w.Transactions, toWireTx(tx))
	}
	return w
}

// btcdBlock reads a block with btcd.
func btcdBlock(raw []byte) (*wire.MsgBlock, error) {
	var b wire.MsgBlock
	r := bytes.NewReader(raw)
	if err := b.BtcDecode(r, wire.ProtocolVersion, wire.WitnessEncoding); err != nil {
		return nil, err
	}
	return &b, wholly(r)
}

func btcdBlockBytes(o *oracle, b *wire.MsgBlock) []byte {
	var buf bytes.Buffer
	if err := b.BtcEncode(&buf, wire.ProtocolVersion, wire.WitnessEncoding); err != nil {
		o.Fatal(err)
	}
	return buf.Bytes()
}

func randomHeader(rng *rand.Rand) Header {
	return Header{
		Version: int32(rng.Uint32()), Prev: randomHash(rng), MerkleRoot: randomHash(rng),
		Time: rng.Uint32(), Bits: rng.Uint32(), Nonce: rng.Uint32(),
	}
}

// anyBlock holds any transactions in any number, none included, now and then so
// many that the tree is high or the count at the edge of the compact size.
func anyBlock(rng *rand.Rand) *Block {
	b := &Block{Header: randomHeader(rng)}
	n := rng.IntN(8)
	if rng.IntN(50) == 0 {
		n = randomCount(rng, 8+rng.IntN(60))
	}
	for range n {
		b.Txs = append(b.Txs, randomTx(rng))
	}
	return b
}

func oracleBlocks(o *oracle) {
	for o.more() {
		b := anyBlock(o.rng)
		theirs := toWireBlock(b)
		sameBlock(o, b, theirs)
		raw := btcdBlockBytes(o, theirs)
		read, err := DecodeBlock(raw)
		if err != nil {
			o.Fatalf("%x is not read: %v\nagain: %s", raw, err, o.repeat)
		}
		sameBytes(o, "what we read of btcd's bytes", btcdBlockBytes(o, toWireBlock(read)), raw, b)
		if theirs, err = btcdBlock(b.Bytes()); err != nil {
			o.Fatalf("btcd does not read %x: %v\nagain: %s", b.Bytes(), err, o.repeat)
		}
		sameBytes(o, "what btcd reads of our bytes", b.Bytes(), btcdBlockBytes(o, theirs), b)
	}
}

func sameBlock(o *oracle, b *Block, theirs *wire.MsgBlock) {
	o.Helper()
	var header bytes.Buffer
	if err := theirs.Header.Serialize(&header); err != nil {
		o.Fatal(err)
	}
	sameBytes(o, "header", b.Header.Append(nil), header.Bytes(), b)
	same(o, "block hash", b.Hash(), Hash(theirs.BlockHash()), b)
	sameBytes(o, "encoding", b.Bytes(), btcdBlockBytes(o, theirs), b)
	same(o, "size", b.Size(), theirs.SerializeSize(), b)
	same(o, "stripped size", b.StrippedSize(), theirs.SerializeSizeStripped(), b)
	block := btcutil.NewBlock(theirs)
	same(o, "weight", int64(b.Weight()), blockchain.GetBlockWeight(block), b)
	if len(b.Txs) == 0 {
		return // btcd has no root of nothing
	}
	root, _ := b.MerkleRoot()
	same(o, "merkle root", root, Hash(blockchain.CalcMerkleRoot(block.Transactions(), false)), b)
	same(o, "witness root", WitnessRoot(b), Hash(blockchain.CalcMerkleRoot(block.Transactions(), true)), b)
}

// Damaged bytes: both read them, and the same from them, or neither does.
func oracleDamagedBlocks(o *oracle) {
	for o.more() {
		b := anyBlock(o.rng)
		raw := b.Bytes()
		switch at := HeaderSize + 1; o.rng.IntN(8) {
		case 0:
			raw = widened(raw, HeaderSize)
		case 1:
			if len(b.Txs) > 0 {
				raw = slices.Concat(raw[:at], damagedTx(o.rng, b.Txs[0]), raw[at+b.Txs[0].Size():])
			}
		default:
			raw = damaged(o.rng, raw)
		}
		b, err := DecodeBlock(raw)
		theirs, theirErr := btcdBlock(raw)
		onPurpose := readOnPurpose
		switch {
		case errors.Is(err, ErrDecodeCount):
			onPurpose = unreadOnPurpose
		case err == nil && !holdsNothing(b):
			onPurpose = nil
		}
		if o.judged(verdictOf(err), verdictOf(theirErr), onPurpose, raw) {
			sameBytes(o, "bytes that were read", b.Bytes(), raw, raw)
			sameBlock(o, b, theirs)
		}
	}
	o.both(1_000, "", refused)
}

// holdsNothing reports whether a transaction has neither inputs nor outputs.
func holdsNothing(b *Block) bool {
	for _, tx := range b.Txs {
		if len(tx.Inputs) == 0 && len(tx.Outputs) == 0 {
			return true
		}
	}
	return false
}

// plainBlock is a block that breaks no rule of CheckBlock: a coinbase,
// transactions, and the commitment to their witnesses.
func plainBlock(rng *rand.Rand) *Block {
	b := &Block{Header: randomHeader(rng), Txs: []*Tx{coinbaseTx(rng.Uint32N(1_000_000), pay(rng.Int64N(1_000), 1))}}
	b.Header.Bits = easiestBits
	for range rng.IntN(6) {
		b.Txs = append(b.Txs, plainTx(rng))
	}
	return seal(b)
}

// easiestBits are regtest's, which every second hash meets.
const easiestBits = 0x207fffff

// solve finds a nonce for these bits without asking the rule that is asked about.
func solve(h *Header) {
	for h.Hash()[HashSize-1] >= 0x7f {
		h.Nonce++
	}
}

// spoilBlock breaks one rule on blocks, or none. Commitment and header are told,
// unless that is the fault.
func spoilBlock(rng *rand.Rand, b *Block) {
	anyTx := func() *Tx { return b.Txs[rng.IntN(len(b.Txs))] }
	switch rng.IntN(18) {
	case 0: // nobody told the header
		b.Header.MerkleRoot[rng.IntN(HashSize)] ^= 1 << rng.IntN(8)
		return
	case 1: // nor here
		anyTx().LockTime ^= 1 << rng.IntN(32)
		return
	case 2:
		b.Header.Bits = rng.Uint32()
	case 3:
		b.Txs = nil
	case 4:
		b.Txs = b.Txs[1:]
	case 5:
		b.Txs = append(b.Txs, coinbaseTx(rng.Uint32N(100), pay(1, 1)))
	case 6:
		b.Txs = append(b.Txs, anyTx())
	case 7: // the end of the list again, often under the same root: CVE-2012-2459
		b.Txs = append(b.Txs, b.Txs[len(b.Txs)/2:]...)
	case 8:
		i, j := rng.IntN(len(b.Txs)), rng.IntN(len(b.Txs))
		b.Txs[i], b.Txs[j] = b.Txs[j], b.Txs[i]
	case 9: // the stripped size, at its limit and beside it
		if rng.IntN(4) > 0 {
			break
		}
		out := &b.Txs[0].Outputs[0]
		out.Script = make([]byte, 900_000)
		missing := blockchain.MaxBlockBaseSize - b.StrippedSize()
		out.Script = make([]byte, len(out.Script)+missing-1+rng.IntN(3))
	case 10, 11, 12, 13:
		spoilTx(rng, anyTx())
	}
	if _, ok := WitnessCommitment(b); ok {
		recommit(b)
	} else {
		reroot(b)
	}
}

// blocksOnPurpose are pairs of verdicts, ours and btcd's, on a block by itself. We hold
// the transactions against the Merkle root before anything else, for what is
// found before that may be a forwarder's doing; btcd judges them first.
var blocksOnPurpose = map[verdict]string{
	{ErrDuplicateTxs, ErrCoinbaseMultiple}: "B2: the repeated transaction is the coinbase",
}

// repeatedOnPurpose is one more on a block by itself whose tree is not ambiguous.
var repeatedOnPurpose = map[verdict]string{
	{"", ErrDuplicateTxs}: "B2: a repetition that leaves the root unambiguous is found with the coins (B13)",
}

// ownBlockCode is the rule of ours on transactions that a block breaks.
func ownBlockCode(b *wire.MsgBlock) Code {
	for _, tx := range b.Transactions {
		if code := ownCode(tx); code != "" {
			return code
		}
	}
	return ""
}

func oracleBlockChecks(o *oracle) {
	p := Regtest()
	for o.more() {
		b := plainBlock(o.rng)
		spoilBlock(o.rng, b)
		if b.Header.Bits == easiestBits {
			solve(&b.Header)
		}
		err := CheckPow(p, &b.Header)
		if err == nil {
			err = CheckBlock(p, b)
		}
		w := toWireBlock(b)
		theirs := o.btcdCode(blockchain.CheckBlockSanity(btcutil.NewBlock(w), p.powLimit.Big(), afterAll))
		if theirs == ErrBadDiffBits {
			theirs = ErrHighHash // bits that are no target; btcd has another name for these
		}
		if theirs == "" {
			theirs = ownBlockCode(w)
		}
		onPurpose := blocksOnPurpose
		if len(b.Txs) > 0 && !ambiguous(b) {
			onPurpose = repeatedOnPurpose
		}
		o.judged(amountCode(o.ourCode(err)), theirs, onPurpose, b)
	}
	o.both(1_000, "", refused)
	o.both(15, ErrHighHash, ErrMerkleRoot, ErrDuplicateTxs, ErrBlockLength, ErrCoinbaseMissing, ErrCoinbaseMultiple)
	o.both(10, ErrNoInputs, ErrNoOutputs, ErrOutputTooLarge, ErrDuplicateInputs, ErrCoinbaseLength)
	o.both(10, ErrTx64Bytes, ErrOutputType, ErrOpReturnSize, ErrScriptSig)
}

// oracleClock is a clock of btcd's that stands still.
type oracleClock struct{ now time.Time }

func (c oracleClock) AdjustedTime() time.Time       { return c.now }
func (oracleClock) AddTimeSample(string, time.Time) {}
func (oracleClock) Offset() time.Duration           { return 0 }

// afterAll is later than the time of any header.
var afterAll = oracleClock{time.Unix(1<<33, 0)}

// uncommittedOnPurpose is for blocks of more than a coinbase that commit to
// nothing.
var uncommittedOnPurpose = map[verdict]string{
	{ErrUnexpectedWitness, ""}: "B8: a block of spends needs a commitment even where no witness is in it",
}

func oracleCommitments(o *oracle) {
	for o.more() {
		b := plainBlock(o.rng)
		spoilWitness(o.rng, b)
		block := btcutil.NewBlock(toWireBlock(b))
		theirs, found := blockchain.ExtractWitnessCommitment(block.Transactions()[0])
		ours, ok := WitnessCommitment(b)
		same(o, "commitment is there", ok, found, b)
		if ok && found {
			sameBytes(o, "commitment", ours[:], theirs, b)
		}
		var onPurpose map[verdict]string
		if len(b.Txs) > 1 && !found {
			onPurpose = uncommittedOnPurpose
		}
		o.judged(o.ourCode(checkWitness(b)), o.btcdCode(blockchain.ValidateWitnessCommitment(block)), onPurpose, b)
	}
	o.both(500, "", refused, ErrWitnessMerkle)
	o.both(200, ErrUnexpectedWitness, ErrWitnessNonceSize)
}

// spoilWitness changes, in a block with a good commitment, witnesses, the
// reserved value or the commitment, or nothing.
func spoilWitness(rng *rand.Rand, b *Block) {
	cb := b.Txs[0]
	last := len(cb.Outputs) - 1
	switch rng.IntN(12) {
	case 0:
		if tx := b.Txs[rng.IntN(len(b.Txs))]; len(tx.Inputs[0].Witness) > 0 {
			tx.Inputs[0].Witness[0][rng.IntN(ReservedSize)] ^= 1 << rng.IntN(8)
		}
	case 1:
		cb.Outputs[last].Script[rng.IntN(commitmentLen)] ^= 1 << rng.IntN(8)
	case 2:
		cb.Inputs[0].Witness = append(cb.Inputs[0].Witness, make([]byte, ReservedSize))
	case 3:
		cb.Inputs[0].Witness[0] = make([]byte, ReservedSize-1+rng.IntN(3))
	case 4:
		cb.Inputs[0].Witness = nil
	case 5: // a second commitment, which counts where it comes last
		other := TxOut{Script: CommitmentScript(randomHash(rng), [ReservedSize]byte{})}
		cb.Outputs = slices.Insert(cb.Outputs, rng.IntN(last+2), other)
	case 6:
		cb.Outputs = cb.Outputs[:last]
	case 7:
		cb.Outputs = cb.Outputs[:last]
		for _, tx := range b.Txs {
			for i := range tx.Inputs {
				tx.Inputs[i].Witness = nil
			}
		}
	case 8: // other bytes behind the hash, or not all of the hash
		cb.Outputs[last].Script = append(cb.Outputs[last].Script, 0, 0)[:commitmentLen-1+rng.IntN(3)]
	}
}

func oracleHeights(o *oracle) {
	for o.more() {
		height := o.rng.Uint32() >> o.rng.IntN(32)
		want, err := txscript.NewScriptBuilder().AddInt64(int64(height)).Script()
		if err != nil {
			o.Fatal(err)
		}
		sameBytes(o, "push of the height", CoinbaseHeightScript(height), want, height)
		if height > math.MaxInt32 {
			continue // btcd's heights have a sign
		}
		cb := coinbaseTx(height)
		script := &cb.Inputs[0].ScriptSig
		switch o.rng.IntN(6) {
		case 0:
			*script = CoinbaseHeightScript(height + 1 - o.rng.Uint32N(3))
		case 1: // a zero too many, or where an opcode should be
			b := append([]byte{0}, binary.LittleEndian.AppendUint32(nil, height)...)
			b[0] = byte(1 + o.rng.IntN(4))
			*script = b
		case 2:
			*script = (*script)[:o.rng.IntN(len(*script))]
		case 3:
			*script = damaged(o.rng, *script)
		}
		theirs := blockchain.CheckSerializedHeight(btcutil.NewTx(toWireTx(cb)), int32(height))
		o.judged(verdictOf(checkHeight(cb, height)), verdictOf(theirs), nil, fmt.Sprintf("height %d, script %x", height, *script))
	}
	o.both(1_000, "", refused)
}

// merkleTwin is the tree as BIP141's users draw it: by recursion, repeating the
// last leaf of an odd level, and looking for equal pairs before.
func merkleTwin(level []Hash) (Hash, bool) {
	if len(level) == 1 {
		return level[0], false
	}
	var up []Hash
	equal := false
	for len(level) > 0 {
		left, right := level[0], level[0]
		if len(level) > 1 {
			right = level[1]
			equal = equal || left == right
		}
		up = append(up, DoubleSHA256(append(bytes.Clone(left[:]), right[:]...)))
		level = level[min(2, len(level)):]
	}
	root, above := merkleTwin(up)
	return root, equal || above
}

// ambiguous is what the twin says about a block's tree.
func ambiguous(b *Block) bool {
	var ids []Hash
	for _, tx := range b.Txs {
		ids = append(ids, tx.TxID())
	}
	_, repeated := merkleTwin(ids)
	return repeated
}

// btcd does not say whether a tree is ambiguous: a twin does.
func TestMerkleAgainstTwin(t *testing.T) {
	rng := rand.New(rand.NewPCG(20_090_103, 5))
	for range 2_000 {
		leaves := make([]Hash, 1+rng.IntN(20))
		for i := range leaves {
			leaves[i] = Hash{byte(rng.IntN(6))} // often equal
		}
		before := slices.Clone(leaves)
		root, repeated := MerkleRoot(leaves)
		if wantRoot, want := merkleTwin(leaves); root != wantRoot || repeated != want {
			t.Fatalf("%v: %s %v, the twin says %s %v", leaves, root, repeated, wantRoot, want)
		}
		if !slices.Equal(leaves, before) {
			t.Fatal("the leaves were changed")
		}
	}
	if root, repeated := MerkleRoot(nil); !root.IsZero() || repeated {
		t.Errorf("no leaves: %s %v", root, repeated)
	}
}
