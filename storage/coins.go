package storage

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/dgraph-io/badger/v4"

	"github.com/kapok-chain/kapok/consensus"
)

// coinCache holds what the disk has to be told.
type coinCache map[consensus.OutPoint]cachedCoin

// cachedCoin is in one of three states: new (live), spent (onDisk), and back again (both).
// A coin that is like the disk's, or was never there and is spent, has no entry.
type cachedCoin struct {
	coin   consensus.Coin
	live   bool // unspent
	onDisk bool // the disk has a coin of this name
}

// cachedCoinSize is what an entry of the cache costs in bytes: 36 for the name
// and 56 for the entry, in a map that is two thirds full.
const cachedCoinSize = 144

func (c coinCache) create(op consensus.OutPoint, coin consensus.Coin) {
	c[op] = cachedCoin{coin: coin, live: true, onDisk: c[op].onDisk}
}

func (c coinCache) spend(op consensus.OutPoint) {
	if old, ok := c[op]; ok && !old.onDisk {
		delete(c, op)
		return
	}
	c[op] = cachedCoin{onDisk: true}
}

// Coins returns those of the outpoints that are unspent.
func (s *Badger) Coins(outpoints []consensus.OutPoint) (map[consensus.OutPoint]consensus.Coin, error) {
	if err := s.reading(); err != nil {
		return nil, err
	}
	defer s.life.RUnlock()
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.coins(outpoints)
}

// coins is Coins for whoever holds the locks.
func (s *Badger) coins(outpoints []consensus.OutPoint) (coinSet, error) {
	found := make(coinSet, len(outpoints))
	err := s.kv.view(func(txn *badger.Txn) error {
		for _, op := range outpoints {
			if c, ok := s.cached(op); ok {
				if c.live {
					found[op] = c.coin
				}
				continue
			}
			value, err := getIn(txn, coinKey(op))
			if errors.Is(err, ErrNotFound) {
				continue
			}
			if err == nil {
				found[op], err = decodeCoin(value)
			}
			if err != nil {
				return fmt.Errorf("storage: coin %v: %w", op, err)
			}
		}
		return nil
	})
	if err != nil {
		return nil, s.met(err)
	}
	return found, nil
}

// cached looks for a coin in both layers of the cache.
func (s *Badger) cached(op consensus.OutPoint) (c cachedCoin, ok bool) {
	if c, ok = s.cache[op]; !ok {
		c, ok = s.below[op]
	}
	return c, ok
}

// Snapshot returns the coins of this moment.
func (s *Badger) Snapshot() (Snapshot, error) {
	if err := s.reading(); err != nil {
		return nil, err
	}
	defer s.life.RUnlock()
	v := newPinned(s)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pins[v] = struct{}{}
	return v, nil
}

func (s *Badger) coinsAt(v *pinned, outpoints []consensus.OutPoint) (coinSet, error) {
	if err := s.reading(); err != nil {
		return nil, err
	}
	defer s.life.RUnlock()
	s.mu.RLock()
	defer s.mu.RUnlock()
	return v.look(outpoints, s.coins)
}

func (s *Badger) unpin(v *pinned) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.pins, v)
}

// Connect moves the tip to a child of it.
func (s *Badger) Connect(rec consensus.Record, height uint32, b *consensus.Block, d *consensus.Delta) error {
	if err := s.boundIndex(); err != nil {
		return err
	}
	undo := d.Undo.Append(make([]byte, 0, d.Undo.Size()+sealSize))
	d.Sum() // once, before others have to wait
	if err := s.taking(); err != nil {
		return err
	}
	defer s.written()
	if err := checkConnect(s.head.point, &rec, height, b, &d.Undo); err != nil {
		return err
	}
	stored, err := s.hasBody(rec.Hash)
	if err == nil && !stored {
		err = errors.New("its body was never stored")
	}
	if err != nil {
		return fmt.Errorf("storage: connect %v: %w", rec.Hash, err)
	}
	to := point{rec.Hash, height}
	s.waiting.put(hashKey(prefixUndo, rec.Hash), undo)
	s.waiting.put(hashKey(prefixRecord, rec.Hash), encodeRecord(&rec))
	if s.index {
		s.unindexed.add(tipMove{at: to, to: to, block: b, undo: &d.Undo, on: true})
	}
	return s.moved(to, d)
}

// Disconnect moves the tip to its parent.
func (s *Badger) Disconnect(rec consensus.Record, height uint32, b *consensus.Block, d *consensus.Delta) error {
	if err := s.boundIndex(); err != nil {
		return err
	}
	if err := s.taking(); err != nil {
		return err
	}
	defer s.written()
	if err := checkDisconnect(s.head.point, &rec, height, b); err != nil {
		return err
	}
	from, to := s.head.point, point{rec.Hash, height - 1}
	if s.index {
		undo, err := s.readUndo(from.Hash)
		if err != nil {
			return damaged(err)
		}
		s.unindexed.add(tipMove{at: from, to: to, block: b, undo: undo})
	}
	s.waiting.put(hashKey(prefixRecord, rec.Hash), encodeRecord(&rec))
	return s.moved(to, d)
}

// moved moves the coins and the tip.
func (s *Badger) moved(to point, d *consensus.Delta) error {
	s.pins.moved(d)
	for i := range d.Spent {
		s.cache.spend(d.Spent[i].OutPoint)
	}
	for i := range d.Created {
		s.cache.create(d.Created[i].OutPoint, d.Created[i].Coin)
	}
	s.head = s.head.move(to, d)
	s.unflushed++
	if len(s.cache) > s.budget || s.unflushed >= maxUnflushed {
		return s.flush()
	}
	return s.syncMany()
}

// Flush moves the coins to disk.
func (s *Badger) Flush() error {
	if err := s.writing(); err != nil {
		return err
	}
	defer s.written()
	return s.flush()
}

// FlushWhenDue moves the coins to disk when half of what may be in memory is used up, so
// that no move of the tip has to. It may take seconds, and holds nobody up: what is taken
// meanwhile is synced beside it.
func (s *Badger) FlushWhenDue() error {
	if err := s.writing(); err != nil {
		return err
	}
	defer s.written()
	due := len(s.cache) > s.budget/2 || s.unflushed >= maxUnflushed/2
	if !due || s.flushing {
		return nil
	}
	s.flushing = true
	defer func() {
		s.flushing = false
		s.idle.Broadcast()
	}()
	from, to := s.lower()
	if err := s.write(func(w *writer) { w.put(metaKey(metaTip), encodeTip(from, to.point)) }); err != nil {
		return err
	}
	coins := s.below
	s.mu.Unlock()
	w := s.kv.besideWriter()
	w.putCoins(coins)
	err := w.commit()
	s.mu.Lock()
	if err != nil {
		s.broken = err
		return err
	}
	if s.awaitIdle(); s.broken != nil {
		return s.stopped()
	}
	if err := s.write(func(w *writer) { w.put(metaKey(metaTip), encodeTip(to, point{})) }); err != nil {
		return err
	}
	s.raised(to)
	return nil
}

// lower makes the cache the layer below, of which the disk is to be told, and returns the
// tips of the disk and of the layer.
func (s *Badger) lower() (from, to head) {
	s.kv.log.log.Debug("flushing the coins", "from", s.flushed.Height, "to", s.head.Height)
	s.cache, s.below, s.unflushed = make(coinCache), s.cache, 0
	return s.flushed, s.head
}

// raised ends what lower began: the disk knows.
func (s *Badger) raised(to head) {
	s.kv.log.log.Debug("flushed the coins", "height", to.Height)
	s.flushed, s.below = to, nil
}

// flush notes in the old tip where it goes to, writes the coins, and replaces
// the note by the new tip and its sum. Cut short in between, redo finishes it. It is for
// whoever holds the locks, and has waited for others to be idle. It lets go of mu while
// the disk is at work: the coins are below the cache by then, and for the cache they are
// on disk.
func (s *Badger) flush() error {
	for s.flushing || s.syncing {
		s.idle.Wait()
	}
	switch {
	case s.broken != nil:
		return s.stopped()
	case s.unflushed == 0:
		return s.sync()
	}
	from, to := s.lower()
	err := s.write(func(w *writer) {
		w.put(metaKey(metaTip), encodeTip(from, to.point))
		w.putCoins(s.below)
		w.put(metaKey(metaTip), encodeTip(to, point{}))
	})
	if err != nil {
		return err
	}
	s.raised(to)
	return nil
}

// putCoins tells the disk of the coins of a cache.
func (w *writer) putCoins(coins coinCache) {
	for op, c := range coins {
		if c.live {
			w.put(coinKey(op), encodeCoin(&c.coin))
		} else {
			w.del(coinKey(op))
		}
	}
}

// redo finishes a flush to a tip that a kill cut short. Some coins on disk are those of
// the one tip, some of the other; walking the blocks between the two, every
// coin that any of them touched is written as it ends up. It may be cut short
// and begun again as often as it takes.
func (s *Badger) redo(to point) error {
	off, on, err := s.path(s.flushed.point, to)
	if err != nil {
		return err
	}
	w := &redoWriter{writer: s.kv.writer(), sum: s.flushed.Sum}
	defer w.discard()
	for _, p := range off {
		if err := s.redoBlock(w, p, false); err != nil {
			return err
		}
	}
	for _, p := range on {
		if err := s.redoBlock(w, p, true); err != nil {
			return err
		}
	}
	s.flushed = head{to, w.sum}
	w.put(metaKey(metaTip), encodeTip(s.flushed, point{}))
	return w.commit()
}

// redoWriter writes coins one by one and keeps their sum.
type redoWriter struct {
	*writer
	sum consensus.CoinSum
}

func (w *redoWriter) add(e *event) {
	w.put(coinKey(e.outpoint), encodeCoin(&e.coin))
	w.sum.Add(e.outpoint, &e.coin)
}

func (w *redoWriter) remove(e *event) {
	w.del(coinKey(e.outpoint))
	w.sum.Remove(e.outpoint, &e.coin)
}

// redoBlock writes a block's effect on the coins: on its way on in the order of
// its events, on its way off backwards.
func (s *Badger) redoBlock(w *redoWriter, p point, on bool) error {
	b, undo, err := s.stored(p)
	if err != nil {
		return err
	}
	list, err := events(b, b.TxIDs(), p.Height, undo)
	if err != nil {
		return fmt.Errorf("block %v: %w", p.Hash, err)
	}
	if !on {
		slices.Reverse(list)
	}
	for i := range list {
		if e := &list[i]; e.spend == on {
			w.remove(e)
		} else {
			w.add(e)
		}
	}
	return w.err
}

// ForEachCoin calls f with every coin of this moment.
func (s *Badger) ForEachCoin(f func(consensus.OutPoint, consensus.Coin) error) error {
	_, err := s.eachCoin(f)
	return err
}

// Recount counts the coins anew.
func (s *Badger) Recount(ctx context.Context) (found, kept consensus.CoinSum, err error) {
	kept, err = s.eachCoin(func(op consensus.OutPoint, c consensus.Coin) error {
		found.Add(op, &c)
		return ctx.Err()
	})
	switch {
	case err != nil:
	case found == kept:
		s.counted.Store(true)
	default:
		s.damage.Store(true)
	}
	return found, kept, err
}

// eachCoin takes a snapshot of the cache and of the disk, and walks it without
// holding up anybody but Close.
func (s *Badger) eachCoin(f func(consensus.OutPoint, consensus.Coin) error) (kept consensus.CoinSum, err error) {
	if err := s.reading(); err != nil {
		return kept, err
	}
	defer s.life.RUnlock()
	s.mu.RLock()
	cache, below, kept := maps.Clone(s.cache), s.below, s.head.Sum
	disk := s.kv.views.take()
	s.mu.RUnlock()
	defer s.kv.views.give(disk)

	for op, c := range below {
		if _, ok := cache[op]; !ok {
			cache[op] = c
		}
	}
	for op, c := range cache {
		if !c.live {
			continue
		}
		if err := f(op, c.coin); err != nil {
			return kept, err
		}
	}
	prefix := []byte{prefixCoin}
	return kept, s.met(each(disk.txn, prefix, prefix, func(key, value []byte) (bool, error) {
		op, err := parseCoinKey(key)
		if err != nil {
			return false, fmt.Errorf("storage: %v: %w", err, ErrDamaged)
		}
		if _, ok := cache[op]; ok {
			return true, nil
		}
		coin, err := decodeCoin(value)
		if err != nil {
			return false, fmt.Errorf("storage: coin %v: %w", op, err)
		}
		return true, f(op, coin)
	}))
}

// ResetCoins takes the coins and the index back to genesis.
func (s *Badger) ResetCoins() error {
	if err := s.reading(); err != nil {
		return err
	}
	defer s.life.RUnlock()
	s.indexing.Lock()
	defer s.indexing.Unlock()
	if err := s.begin(); err != nil {
		return err
	}
	defer s.mu.Unlock()
	if s.pruned > 0 {
		return needsAll(s.pruned, "the coins")
	}
	for s.flushing || len(s.waiting.list) > 0 {
		if s.broken != nil {
			return s.stopped()
		}
		if s.flushing {
			s.idle.Wait()
		} else if err := s.syncWaiting(); err != nil {
			return err
		}
	}
	err := s.reset()
	if err != nil {
		s.broken = err
		return err
	}
	s.damage.Store(false) // whatever was wrong with them; bodies are read on the way
	return nil
}

// reset drops all coins and the index, under a marker of its own: begun again
// by recover when it was cut short.
func (s *Badger) reset() error {
	if s.pruned > 0 {
		return needsAll(s.pruned, "the coins")
	}
	s.pins.reset()
	w := s.kv.writer()
	w.put(metaKey(metaReset), nil)
	if s.damage.Load() {
		w.put(metaKey(metaSuspect), nil)
	}
	if err := w.commit(); err != nil {
		return err
	}
	if err := s.kv.drop(prefixCoin, prefixTx, prefixHistory); err != nil {
		return fmt.Errorf("storage: drop the coins: %w", err)
	}
	s.head = head{point: point{Hash: s.params.GenesisHash()}}
	s.flushed, s.unflushed, s.cache, s.below, s.unindexed = s.head, 0, make(coinCache), nil, unindexed{}
	s.counted.Store(true) // none
	w = s.kv.writer()
	w.put(metaKey(metaTip), encodeTip(s.head, point{}))
	w.del(metaKey(metaIndex))
	w.del(metaKey(metaReset))
	if err := w.commit(); err != nil || !s.index {
		return err
	}
	return s.catchUpIndex()
}
