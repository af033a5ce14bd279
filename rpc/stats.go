package rpc

import (
	"encoding/json"
	"math"
	"slices"

	"github.com/kapok-chain/kapok/consensus"
)

func statsMethods() []method {
	const group = "Blockchain"
	return []method{
		{"getchaintxstats", group, []param{
			option("nblocks", kindInt, nil, "the window's length; by default a month at the network's spacing"),
			option("blockhash", kindHash, nil, "the block that the window ends with; the tip by default"),
		}, "Transactions over time, in constant time.", "An object: time, txcount, window_final_block_hash, window_final_block_height, window_block_count, window_tx_count, window_interval, txrate.", getChainTxStats},
		{"getblockstats", group, []param{
			need("hash_or_height", kindBlock, "the block"),
			option("stats", kindList, nil, "names of the values wanted; all by default"),
		}, "Figures of a block. Amounts are in units, fee rates in units per virtual byte.", "An object, of numbers by name.", getBlockStats},
		{"getnetworkhashps", "Mining", []param{
			option("nblocks", kindInt, int64(120), "blocks to look back; -1 for 2016"),
			option("height", kindInt, int64(-1), "the block to look back from; -1 for the tip"),
		}, "The network's hash rate as far as its blocks show it.", "Hashes per second.", getNetworkHashPS},
	}
}

const secondsPerMonth = 30 * 24 * 60 * 60

func getChainTxStats(c *call) (any, error) {
	final := c.b.Chain().Tip
	if c.has(1) {
		var err error
		if final, err = c.block(c.hash(1)); err != nil {
			return nil, err
		}
		if !final.Active {
			return nil, fail(CodeInvalidParameter, "Block is not in main chain")
		}
	}
	count := min(secondsPerMonth/max(1, c.b.Params().Spacing), max(0, int64(final.Height)-1))
	if c.has(0) {
		if count = c.num(0); count < 0 || count > 0 && count >= int64(final.Height) {
			return nil, fail(CodeInvalidParameter, "Invalid block count: should be between 0 and the block's height - 1")
		}
	}
	type stats struct {
		Time       uint32         `json:"time"`
		Txs        uint64         `json:"txcount,omitempty"`
		Hash       consensus.Hash `json:"window_final_block_hash"`
		Height     uint32         `json:"window_final_block_height"`
		Blocks     int64          `json:"window_block_count"`
		WindowTxs  *uint64        `json:"window_tx_count,omitempty"`
		WindowTime *int64         `json:"window_interval,omitempty"`
		Rate       *float64       `json:"txrate,omitempty"`
	}
	s := stats{Time: final.Header.Time, Txs: final.ChainTxs, Hash: final.Hash, Height: final.Height, Blocks: count}
	if count == 0 {
		return s, nil
	}
	first, err := c.atHeight(int64(final.Height) - count)
	if err != nil {
		return nil, err
	}
	interval := final.MedianTime - first.MedianTime
	s.WindowTime = &interval
	if first.ChainTxs > 0 && final.ChainTxs >= first.ChainTxs {
		txs := final.ChainTxs - first.ChainTxs
		s.WindowTxs = &txs
		if interval > 0 {
			rate := float64(txs) / float64(interval)
			s.Rate = &rate
		}
	}
	return s, nil
}

// maxHashRateWindow bounds getnetworkhashps, which visits each block.
const maxHashRateWindow = 10_000

func getNetworkHashPS(c *call) (any, error) {
	blocks, height := c.num(0), c.num(1)
	if blocks < -1 || blocks == 0 {
		return nil, fail(CodeInvalidParameter, "Invalid nblocks. Must be a positive number or -1.")
	}
	if height < -1 {
		return nil, fail(CodeInvalidParameter, "Block does not exist at specified height")
	}
	last := c.b.Chain().Tip
	if height >= 0 {
		var err error
		if last, err = c.atHeight(height); err != nil {
			return nil, fail(CodeInvalidParameter, "Block does not exist at specified height")
		}
	}
	return c.networkHashrate(&last, blocks), nil
}

// networkHashrate is the work of the blocks up to last over their time.
func (c *call) networkHashrate(last *BlockInfo, blocks int64) float64 {
	if blocks < 0 {
		blocks = 2016 // a month or so of any network; Core says "since the last retarget"
	}
	first, earliest, latest := *last, last.Header.Time, last.Header.Time
	for range min(blocks, int64(last.Height), maxHashRateWindow) {
		parent, ok := c.b.BlockByHash(first.Header.Prev)
		if !ok {
			break
		}
		first = parent
		earliest, latest = min(earliest, first.Header.Time), max(latest, first.Header.Time)
	}
	if latest == earliest {
		return 0
	}
	work, _ := last.Work.Sub(first.Work).Big().Float64()
	return work / float64(latest-earliest)
}

// blockFigures is what getblockstats measures.
type blockFigures struct {
	fees, rates, sizes []int64
	weights            []int64 // of the transactions, beside rates
	out, in, outs      int64
	size, weight       int64
	utxos              int64
}

func getBlockStats(c *call) (any, error) {
	var info BlockInfo
	var err error
	if height, ok := c.args[0].(int64); ok {
		info, err = c.atHeight(height)
	} else {
		info, err = c.block(c.hash(0))
	}
	if err != nil {
		return nil, err
	}
	block, err := c.b.Body(info.Hash)
	if err != nil {
		return nil, err
	}
	spent, err := c.spent(info.Hash, block)
	if err != nil {
		return nil, err
	}
	stats := measure(block, spent).stats()
	stats["blockhash"], stats["height"] = info.Hash, info.Height
	stats["time"], stats["mediantime"] = info.Header.Time, info.MedianTime
	stats["subsidy"], stats["txs"] = c.b.Params().Subsidy(info.Height), len(block.Txs)
	if !c.has(1) {
		return stats, nil
	}
	selected := make(map[string]any)
	for _, raw := range c.list(1) {
		var name string
		if err := json.Unmarshal(raw, &name); err != nil {
			return nil, fail(CodeType, "stats must hold strings")
		}
		value, ok := stats[name]
		if !ok {
			return nil, fail(CodeInvalidParameter, "Invalid selected statistic '%s'", clip(name))
		}
		selected[name] = value
	}
	return selected, nil
}

func measure(block *consensus.Block, spent [][]consensus.Coin) *blockFigures {
	f := &blockFigures{}
	for i, tx := range block.Txs {
		f.outs += int64(len(tx.Outputs))
		var fee int64
		for _, out := range tx.Outputs {
			fee -= out.Value
			if _, ok := consensus.OutputKey(out.Script); ok {
				f.utxos++
			}
		}
		if i == 0 {
			continue
		}
		f.out -= fee
		f.in += int64(len(tx.Inputs))
		f.size += int64(tx.Size())
		f.weight += int64(tx.Weight())
		f.sizes = append(f.sizes, int64(tx.Size()))
		if len(spent[i]) != len(tx.Inputs) {
			continue
		}
		for _, coin := range spent[i] {
			fee += coin.Value
		}
		f.fees = append(f.fees, fee)
		f.rates = append(f.rates, fee/int64(tx.VSize()))
		f.weights = append(f.weights, int64(tx.Weight()))
	}
	return f
}

func (f *blockFigures) stats() map[string]any {
	fees, sizes, rates := sorted(f.fees), sorted(f.sizes), sorted(f.rates)
	return map[string]any{
		"avgfee": mean(fees), "medianfee": median(fees), "minfee": first(fees), "maxfee": last(fees), "totalfee": sum(fees),
		"avgfeerate": perVByte(sum(fees), f.weight), "minfeerate": first(rates), "maxfeerate": last(rates),
		"feerate_percentiles": f.percentiles(),
		"avgtxsize":           mean(sizes), "mediantxsize": median(sizes), "mintxsize": first(sizes), "maxtxsize": last(sizes),
		"ins": f.in, "outs": f.outs, "total_out": f.out, "total_size": f.size, "total_weight": f.weight,
		"swtxs": len(sizes), "swtotal_size": f.size, "swtotal_weight": f.weight,
		"utxo_increase": f.outs - f.in, "utxo_increase_actual": f.utxos - f.in,
	}
}

// percentiles are the fee rates at 10, 25, 50, 75 and 90 % of the weight.
func (f *blockFigures) percentiles() [5]int64 {
	order := make([]int, len(f.rates))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return int(min(1, max(-1, f.rates[a]-f.rates[b]))) })
	var result [5]int64
	total, passed, next := float64(sum(f.weights)), 0.0, 0
	for _, i := range order {
		passed += float64(f.weights[i])
		for next < len(result) && passed >= total*[]float64{0.1, 0.25, 0.5, 0.75, 0.9}[next] {
			result[next] = f.rates[i]
			next++
		}
	}
	return result
}

func sorted(list []int64) []int64 {
	list = slices.Clone(list)
	slices.Sort(list)
	return list
}

func sum(list []int64) (total int64) {
	for _, n := range list {
		total += n
	}
	return total
}

func mean(list []int64) int64 { return sum(list) / max(1, int64(len(list))) }

func perVByte(fee, weight int64) int64 {
	return int64(math.Floor(float64(fee) * consensus.WitnessScale / float64(max(1, weight))))
}

func first(sorted []int64) int64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[0]
}

func last(sorted []int64) int64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[len(sorted)-1]
}

func median(sorted []int64) int64 {
	n := len(sorted)
	switch {
	case n == 0:
		return 0
	case n%2 == 1:
		return sorted[n/2]
	}
	return (sorted[n/2-1] + sorted[n/2]) / 2
}
