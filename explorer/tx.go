package explorer

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/kapok-chain/kapok/address"
	"github.com/kapok-chain/kapok/consensus"
)

// Bounds on what the pages of transactions and addresses list.
const (
	txEnds        = 200    // inputs, and outputs
	addressRows   = 50     // events per page
	balanceEvents = 20_000 // read for a balance; more are not counted
	balancePage   = 1000   // events read at a time
)

// end is an input or an output.
type end struct {
	Address  string
	Data     string // of an OP_RETURN output
	Value    int64
	Known    bool           // false: the value is not known
	TxID     consensus.Hash // that the input spends, or that spends the output
	Index    uint32
	Spent    bool // an output that a confirmed transaction spends
	Spending bool // an output that a waiting transaction spends
}

type txView struct {
	TxID, WTxID   consensus.Hash
	Confirmations uint32
	Block         *Block // nil: it waits
	Age           time.Duration
	Coinbase      bool
	Size, VSize   int
	Weight        int
	Version       uint32
	LockTime      uint32
	Fee           int64 // -1: not known
	Total         int64 // of the outputs
	Inputs        []end
	Outputs       []end
	InCount       int
	OutCount      int
	MoreIn        int // not listed
	MoreOut       int
	Flow          *flow
	Text          string // of a coinbase
	Maturity      uint32 // confirmations that a coinbase still lacks
}

func (s *Site) tx(r *http.Request) (*view, error) {
	txid, err := consensus.ParseHash(r.PathValue("id"))
	if err != nil {
		return nil, &problem{http.StatusBadRequest, "This is no transaction: 64 hex digits are expected.", ""}
	}
	if waiting, ok := s.backend.MempoolTx(txid); ok {
		v, err := s.txPage(waiting.Tx, waiting.Coins)
		if err != nil {
			return nil, err
		}
		v.Fee, v.Age = waiting.Fee, s.backend.Now().Sub(waiting.Time)
		return &view{Page: "tx", Title: "Transaction " + short(txid), Data: v}, nil
	}
	hash, pos, err := s.backend.TxLocation(txid)
	if errors.Is(err, ErrNotFound) {
		return nil, missing("No transaction here has this id.", "It may be on another network, not have arrived yet, or have been replaced.")
	}
	if err != nil {
		return nil, err
	}
	info, ok := s.backend.BlockByHash(hash)
	if !ok {
		return nil, fmt.Errorf("the index names a block %s that is not in the tree", hash)
	}
	block, spent, err := s.body(hash)
	if err != nil {
		return nil, err
	}
	if pos < 0 || pos >= len(block.Txs) {
		return nil, fmt.Errorf("the index names transaction %d of block %s, which has %d", pos, hash, len(block.Txs))
	}
	v, err := s.txPage(block.Txs[pos], spent[pos])
	if err != nil {
		return nil, err
	}
	v.Block, v.Age = &info, s.backend.Now().Sub(time.Unix(int64(info.Header.Time), 0))
	if tip := s.backend.Tip(); info.Active && tip.Height >= info.Height {
		v.Confirmations = tip.Height - info.Height + 1
	}
	if maturity := s.backend.Params().Maturity; v.Coinbase && v.Confirmations < maturity {
		v.Maturity = maturity - v.Confirmations
	}
	return &view{Page: "tx", Title: "Transaction " + short(txid), Data: v}, nil
}

func (s *Site) txPage(tx *consensus.Tx, spent []consensus.Coin) (*txView, error) {
	row := rowOf(tx, spent)
	v := &txView{
		TxID: row.TxID, WTxID: tx.WTxID(), Coinbase: row.Coinbase, Size: tx.Size(), VSize: row.VSize, Weight: tx.Weight(),
		Version: tx.Version, LockTime: tx.LockTime, Fee: row.Fee, Total: row.Value,
		InCount: len(tx.Inputs), OutCount: len(tx.Outputs),
		MoreIn: max(0, len(tx.Inputs)-txEnds), MoreOut: max(0, len(tx.Outputs)-txEnds),
	}
	var in, out []side
	if row.Coinbase {
		in = []side{{row.Value, "mint", "new coins and fees"}}
		v.Text = printable(tx.Inputs[0].ScriptSig)
	}
	for i := range tx.Inputs {
		if row.Coinbase || len(spent) != len(tx.Inputs) {
			break
		}
		in = append(in, side{spent[i].Value, "in", coins(spent[i].Value).Head + " KPK in"})
	}
	for i := range tx.Inputs[:min(len(tx.Inputs), txEnds)] {
		e := end{TxID: tx.Inputs[i].PrevOut.TxID, Index: tx.Inputs[i].PrevOut.Index}
		if len(spent) == len(tx.Inputs) && !row.Coinbase {
			e.Value, e.Known, e.Address = spent[i].Value, true, address.Encode(s.backend.Params().HRP, spent[i].Key)
		}
		v.Inputs = append(v.Inputs, e)
	}
	for i := range tx.Outputs {
		if tx.Outputs[i].Value > 0 {
			out = append(out, side{tx.Outputs[i].Value, "out", coins(tx.Outputs[i].Value).Head + " KPK out"})
		}
	}
	if row.Fee > 0 {
		out = append(out, side{row.Fee, "fee", coins(row.Fee).Head + " KPK fee"})
	}
	v.Flow = drawFlow(in, out)
	for i := range tx.Outputs[:min(len(tx.Outputs), txEnds)] {
		e, err := s.output(tx, row.TxID, i)
		if err != nil {
			return nil, err
		}
		v.Outputs = append(v.Outputs, e)
	}
	return v, nil
}

func (s *Site) output(tx *consensus.Tx, txid consensus.Hash, i int) (end, error) {
	out := &tx.Outputs[i]
	e := end{Address: addressOf(s.backend.Params(), out.Script), Value: out.Value, Known: true, Index: uint32(i)}
	if e.Address == "" {
		e.Data = dataOf(out.Script)
		return e, nil
	}
	op := consensus.OutPoint{TxID: txid, Index: uint32(i)}
	if e.TxID, e.Spending = s.backend.MempoolSpender(op); e.Spending {
		return e, nil
	}
	if _, waiting := s.backend.MempoolTx(txid); waiting {
		return e, nil
	}
	unspent, err := s.backend.Unspent(op)
	e.Spent = !unspent
	return e, err
}

// printable keeps the text in a coinbase script.
func printable(script []byte) string {
	var text []byte
	for _, c := range script {
		if c >= ' ' && c <= '~' {
			text = append(text, c)
		}
	}
	const least = 4 // characters; fewer are chance
	if len(text) < least {
		return ""
	}
	return string(text)
}

type addressView struct {
	Address  string
	Balance  int64
	Received int64
	Counted  bool // false: too many events
	Events   []eventRow
	Next     string // link
	First    bool
	Waiting  []txDelta
}

type eventRow struct {
	HistoryEntry
	Amount int64 // negative when it left
	Time   uint32
}

// txDelta is what a waiting transaction brings or takes.
type txDelta struct {
	TxID   consensus.Hash
	Amount int64
	Age    time.Duration
}

func (s *Site) address(r *http.Request) (*view, error) {
	p := s.backend.Params()
	key, err := address.Decode(p.HRP, r.PathValue("id"))
	if err != nil {
		return nil, &problem{http.StatusBadRequest, "This is no address of this network.", err.Error()}
	}
	after, err := parseCursor(r.URL.Query())
	if err != nil {
		return nil, &problem{http.StatusBadRequest, "This page number is damaged.", "Begin at the address's first page."}
	}
	v := addressView{Address: address.Encode(p.HRP, key), First: after == Cursor{}}
	events, err := s.backend.History(key, after, addressRows)
	if err != nil {
		return nil, err
	}
	for _, e := range events {
		row := eventRow{HistoryEntry: e, Amount: e.Value}
		if e.Spend {
			row.Amount = -e.Value
		}
		if block, ok := s.backend.BlockAt(e.Height); ok {
			row.Time = block.Header.Time
		}
		v.Events = append(v.Events, row)
	}
	if len(events) == addressRows {
		last := events[len(events)-1]
		v.Next = "?" + url.Values{"after": {fmt.Sprintf("%d.%d.%t.%d", last.Height, last.TxPos, !last.Spend, last.N)}}.Encode()
	}
	if err := s.balance(key, &v); err != nil {
		return nil, err
	}
	now := s.backend.Now()
	for _, m := range s.backend.MempoolTxs() {
		if delta, touched := deltaOf(&m, key); touched && len(v.Waiting) < addressRows {
			v.Waiting = append(v.Waiting, txDelta{m.TxID, delta, now.Sub(m.Time)})
		}
	}
	return &view{Page: "address", Title: "Address " + short(v.Address), Data: v}, nil
}

func parseCursor(query url.Values) (c Cursor, err error) {
	if text := query.Get("after"); text != "" {
		var output string
		if _, err = fmt.Sscanf(dotsToSpaces(text), "%d %d %s %d", &c.Height, &c.TxPos, &output, &c.N); err == nil {
			c.Output, err = strconv.ParseBool(output)
		}
	}
	return c, err
}

func dotsToSpaces(text string) string {
	b := []byte(text[:min(len(text), maxQuery)])
	for i := range b {
		if b[i] == '.' {
			b[i] = ' '
		}
	}
	return string(b)
}

// balance counts the whole history of a key, within bounds.
func (s *Site) balance(key [consensus.KeySize]byte, v *addressView) error {
	var after Cursor
	for read := 0; read < balanceEvents; read += balancePage {
		events, err := s.backend.History(key, after, balancePage)
		if err != nil {
			return err
		}
		for _, e := range events {
			after = Cursor{Height: e.Height, TxPos: e.TxPos, Output: !e.Spend, N: e.N}
			if e.Spend {
				v.Balance -= e.Value
			} else {
				v.Balance, v.Received = v.Balance+e.Value, v.Received+e.Value
			}
		}
		if len(events) < balancePage {
			v.Counted = true
			return nil
		}
	}
	return nil
}

func deltaOf(m *MempoolTx, key [consensus.KeySize]byte) (delta int64, touched bool) {
	for _, coin := range m.Coins {
		if coin.Key == key {
			delta, touched = delta-coin.Value, true
		}
	}
	for _, out := range m.Tx.Outputs {
		if k, ok := consensus.OutputKey(out.Script); ok && k == key {
			delta, touched = delta+out.Value, true
		}
	}
	return delta, touched
}
