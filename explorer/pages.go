package explorer

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kapok-chain/kapok/address"
	"github.com/kapok-chain/kapok/consensus"
)

// Bounds on what one page lists.
const (
	stripBlocks   = 12
	blockTxs      = 50  // transactions per page of a block
	mempoolRows   = 200 // waiting transactions, best paid first
	peerRows      = 500
	maxQuery      = 200 // bytes of the search box that are looked at
	longestHeight = 10  // digits
)

// blockCard is a block in the strip.
type blockCard struct {
	Block
	Age time.Duration
	Gap time.Duration // since its parent
}

type homeView struct {
	Blocks   []blockCard
	Mempool  Mempool
	Age      time.Duration // since the last block
	Spacing  time.Duration // mean of those shown; 0: too few
	Target   time.Duration // spacing that the difficulty aims at; 0: none
	Hashrate float64       // hashes per second, as the blocks shown tell
	Peers    int
}

func (s *Site) home(*http.Request) (*view, error) {
	return &view{Page: "home", Title: "Latest blocks", Data: s.homePage()}, nil
}

func (s *Site) homePage() homeView {
	now, tip := s.backend.Now(), s.backend.Tip()
	h := homeView{Mempool: s.backend.Mempool(), Peers: len(s.backend.Peers()), Target: time.Duration(s.backend.Params().Spacing) * time.Second}
	h.Age = now.Sub(time.Unix(int64(tip.Header.Time), 0))
	block := tip
	for range stripBlocks {
		card := blockCard{Block: block, Age: now.Sub(time.Unix(int64(block.Header.Time), 0))}
		parent, ok := s.backend.BlockByHash(block.Header.Prev)
		if ok {
			card.Gap = time.Duration(int64(block.Header.Time)-int64(parent.Header.Time)) * time.Second
		}
		h.Blocks = append(h.Blocks, card)
		if !ok {
			break
		}
		block = parent
	}
	oldest := h.Blocks[len(h.Blocks)-1].Block
	span := int64(tip.Header.Time) - int64(oldest.Header.Time)
	// Genesis was dated long before anybody mined on it.
	if n := int64(len(h.Blocks) - 1); n > 0 && span > 0 && oldest.Height > 0 {
		h.Spacing = time.Duration(span) * time.Second / time.Duration(n)
		work, _ := tip.Work.Sub(oldest.Work).Big().Float64()
		h.Hashrate = work / float64(span)
	}
	return h
}

type blockView struct {
	Block
	Age           time.Duration
	Confirmations uint32 // 0 off the active chain
	Difficulty    float64
	Size, Weight  int
	MaxWeight     int
	Fees          int64
	KnownFees     bool
	Reward        int64
	Miner         string // address, or ""
	Txs           []txRow
	From, To      int // numbers of those listed, from 1
	PrevPage      int // 0: none
	NextPage      int
	Missing       bool // only the header is here
}

// txRow is a transaction in a list.
type txRow struct {
	TxID     consensus.Hash
	Inputs   int
	Outputs  int
	Value    int64 // sum of the outputs
	Fee      int64 // -1: not known
	VSize    int
	Coinbase bool
	Age      time.Duration // in the mempool
}

func (s *Site) findBlock(id string) (Block, error) {
	if len(id) <= longestHeight {
		if height, err := strconv.ParseUint(id, 10, 32); err == nil {
			if block, ok := s.backend.BlockAt(uint32(height)); ok {
				return block, nil
			}
			return Block{}, missing("There is no block at height "+id+" yet.", "The chain's latest blocks are on the first page.")
		}
	}
	hash, err := consensus.ParseHash(id)
	if err != nil {
		return Block{}, &problem{http.StatusBadRequest, "This is no block: a height, or a hash of 64 hex digits, is expected.", ""}
	}
	block, ok := s.backend.BlockByHash(hash)
	if !ok {
		return block, missing("No block here has this hash.", "It may be on another network, or not have arrived yet.")
	}
	return block, nil
}

func (s *Site) block(r *http.Request) (*view, error) {
	info, err := s.findBlock(r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	v := blockView{Block: info, Difficulty: consensus.Difficulty(info.Header.Bits), MaxWeight: s.backend.Params().MaxWeight}
	v.Age = s.backend.Now().Sub(time.Unix(int64(info.Header.Time), 0))
	if tip := s.backend.Tip(); info.Active && tip.Height >= info.Height {
		v.Confirmations = tip.Height - info.Height + 1
	}
	page := &view{Page: "block", Title: "Block " + count(info.Height)}
	block, spent, err := s.body(info.Hash)
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrPruned) {
		v.Missing = true
		page.Data = v
		return page, nil
	}
	if err != nil {
		return nil, err
	}
	v.Size, v.Weight = block.Size(), block.Weight()
	v.Miner = addressOf(s.backend.Params(), block.Txs[0].Outputs[0].Script)
	v.KnownFees = len(block.Txs) == 1 || spent[len(spent)-1] != nil
	for i, tx := range block.Txs {
		row := rowOf(tx, spent[i])
		if i == 0 {
			v.Reward = row.Value
		} else if row.Fee > 0 {
			v.Fees += row.Fee
		}
	}
	number, _ := strconv.Atoi(r.URL.Query().Get("page")) // anything else is the first page
	last := (len(block.Txs) - 1) / blockTxs
	number = min(max(number, 1), last+1)
	from := (number - 1) * blockTxs
	to := min(from+blockTxs, len(block.Txs))
	for i := from; i < to; i++ {
		v.Txs = append(v.Txs, rowOf(block.Txs[i], spent[i]))
	}
	v.From, v.To, v.PrevPage = from+1, to, number-1
	if to < len(block.Txs) {
		v.NextPage = number + 1
	}
	page.Data = v
	return page, nil
}

// body reads a block with the coins that each transaction spent, nil where they
// are not known.
func (s *Site) body(hash consensus.Hash) (*consensus.Block, [][]consensus.Coin, error) {
	block, err := s.backend.Body(hash)
	if err != nil {
		return nil, nil, err
	}
	split := make([][]consensus.Coin, len(block.Txs))
	coins, err := s.backend.Spent(hash)
	if errors.Is(err, ErrNotFound) {
		return block, split, nil
	}
	if err != nil {
		return nil, nil, err
	}
	for i, tx := range block.Txs[1:] {
		n := min(len(tx.Inputs), len(coins))
		split[i+1], coins = coins[:n:n], coins[n:]
	}
	return block, split, nil
}

func rowOf(tx *consensus.Tx, spent []consensus.Coin) txRow {
	row := txRow{TxID: tx.TxID(), Inputs: len(tx.Inputs), Outputs: len(tx.Outputs), Fee: -1, VSize: tx.VSize(), Coinbase: tx.IsCoinbase()}
	for _, out := range tx.Outputs {
		row.Value += out.Value
	}
	if len(spent) == len(tx.Inputs) && !row.Coinbase {
		row.Fee = -row.Value
		for _, coin := range spent {
			row.Fee += coin.Value
		}
	}
	return row
}

type mempoolView struct {
	Mempool
	Rows []txRow
	More int
}

func (s *Site) mempool(*http.Request) (*view, error) {
	now, txs := s.backend.Now(), slices.Clone(s.backend.MempoolTxs())
	slices.SortStableFunc(txs, func(a, b MempoolTx) int {
		return cmp.Compare(b.Fee*int64(a.VSize), a.Fee*int64(b.VSize)) // best rate first
	})
	v := mempoolView{Mempool: s.backend.Mempool(), More: max(0, len(txs)-mempoolRows)}
	for _, m := range txs[:min(len(txs), mempoolRows)] {
		row := rowOf(m.Tx, m.Coins)
		row.Fee, row.Age = m.Fee, now.Sub(m.Time)
		v.Rows = append(v.Rows, row)
	}
	return &view{Page: "mempool", Title: "Mempool", Data: v}, nil
}

type peerRow struct {
	Peer
	Age time.Duration
}

func (s *Site) peers(*http.Request) (*view, error) {
	now, rows := s.backend.Now(), []peerRow{}
	for _, p := range s.backend.Peers() {
		if len(rows) < peerRows {
			rows = append(rows, peerRow{p, now.Sub(p.Since)})
		}
	}
	return &view{Page: "peers", Title: "Peers", Data: rows}, nil
}

// search sends the visitor to what the text names.
func (s *Site) search(r *http.Request) (*view, error) {
	text := strings.TrimSpace(r.URL.Query().Get("q"))
	text = text[:min(len(text), maxQuery)]
	if text == "" {
		return &view{redirect: "/"}, nil
	}
	digits := strings.NewReplacer(" ", "", ",", "", "\u202f", "").Replace(text)
	if _, err := strconv.ParseUint(digits, 10, 32); err == nil {
		return &view{redirect: "/block/" + digits}, nil
	}
	if hash, err := consensus.ParseHash(strings.ToLower(text)); err == nil {
		if _, ok := s.backend.BlockByHash(hash); ok {
			return &view{redirect: "/block/" + hash.String()}, nil
		}
		return &view{redirect: "/tx/" + hash.String()}, nil
	}
	key, err := address.Decode(s.backend.Params().HRP, text)
	if err == nil {
		return &view{redirect: "/address/" + address.Encode(s.backend.Params().HRP, key)}, nil
	}
	v := s.explain(r, missing("Nothing is named like this.", "A height, the hash of a block or a transaction, or an address of this network ("+s.backend.Params().HRP+"1…) can be looked up."))
	v.Query = text
	return v, nil
}
