package storage

import "fmt"

// Who waits for whom. A read waits for no disk but its own. What is taken into memory
// (PutBlock, Connect, Disconnect) waits for no disk either, unless there is too much of
// it. All other writes come one at a time.

// reading is the prelude of every read. The caller defers s.life.RUnlock()
// unless there is an error.
func (s *Badger) reading() error {
	s.life.RLock()
	if s.closed {
		s.life.RUnlock()
		return ErrClosed
	}
	return nil
}

// writing is the prelude of every write: one at a time, and none after one
// that failed. The caller defers s.written() unless there is an error.
func (s *Badger) writing() error {
	err := s.reading()
	if err == nil {
		if err = s.begin(); err != nil {
			s.life.RUnlock()
		}
	}
	return err
}

// begin is writing for whoever holds life. The caller unlocks mu unless there is an
// error.
func (s *Badger) begin() error {
	s.mu.Lock()
	s.awaitIdle()
	return s.mayWrite()
}

// awaitIdle waits, under mu, until nobody writes what waited.
func (s *Badger) awaitIdle() {
	for s.syncing {
		s.idle.Wait()
	}
}

// taking is writing for what goes into memory, while others may be written.
func (s *Badger) taking() error {
	err := s.reading()
	if err == nil {
		s.mu.Lock()
		if err = s.mayWrite(); err != nil {
			s.life.RUnlock()
		}
	}
	return err
}

// mayWrite unlocks mu where the answer is no.
func (s *Badger) mayWrite() error {
	switch {
	case s.fixed:
		defer s.mu.Unlock()
		return ErrReadOnly
	case s.broken != nil:
		defer s.mu.Unlock()
		return s.stopped()
	}
	return nil
}

func (s *Badger) stopped() error {
	return fmt.Errorf("storage: stopped after an earlier failure: %w", s.broken)
}

func (s *Badger) written() {
	s.mu.Unlock()
	s.life.RUnlock()
}

// commit ends what writer began. A failure breaks the store, because nobody knows how
// much of it is on disk.
func (s *Badger) commit(w *writer) error {
	err := w.commit()
	if err != nil {
		s.broken = err
		return err
	}
	s.waiting.written(len(s.waiting.list))
	return nil
}
