package spec

import "time"

// Build is Parse without the search of the genesis block.
func Build(text []byte, dir string, now time.Time) (*Spec, error) {
	s, _, err := build(text, dir, now)
	return s, err
}

// WithAsked fills in which keys each table was asked for, by its label.
func WithAsked(asked map[string][]string) Option { return func(o *options) { o.asked = asked } }

// Marks is how many keys the scanner sees.
func Marks(text string) int { return len(scan(text).marks) }
