package spec

// CoinsOf is how many of the prepared coins an event takes: those of a double spend.
func (s *Spec) CoinsOf(e *Event) int { return int(e.coins(s.longest(), s.SpacingS)) }
