package storage

// What a directory says of itself from one user to the next: "clean", that the coins were
// those that were kept count of, or "suspect", that damage was met; neither after a kill,
// nor after one who closed it in order but never counted the coins since a kill.

// disclaim takes back what the last user said on leaving, and leaves word of damage that
// is known of, should a kill come.
func (s *Badger) disclaim(w *writer) {
	w.del(metaKey(metaClean))
	if s.damage.Load() {
		w.put(metaKey(metaSuspect), nil)
	}
}

// Vouch says that all was looked at, and nothing was wrong.
func (s *Badger) Vouch() {
	s.damage.Store(false)
	s.counted.Store(true)
}

// leave says how it is. It reports whether there is anything to say.
func (s *Badger) leave(w *writer) bool {
	switch {
	case s.damage.Load():
		w.put(metaKey(metaSuspect), nil)
	case s.clean || s.counted.Load():
		w.put(metaKey(metaClean), nil)
		w.del(metaKey(metaSuspect))
	default:
		return false
	}
	return true
}

// Vouch makes the next Load after Close clean.
func (m *Memory) Vouch() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counted = true
}
