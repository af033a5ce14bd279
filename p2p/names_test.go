package p2p_test

import (
	"testing"

	"github.com/kapok-chain/kapok/p2p"
)

// TestTypeNames: each message type has a name of its own, all others have one
// together.
func TestTypeNames(t *testing.T) {
	seen := make(map[string]p2p.Type)
	for id := range 256 {
		kind := p2p.Type(id)
		_, err := p2p.Decode([]byte{byte(id)})
		m, unknown := p2p.Msg(nil), false
		if err == nil {
			m, _ = p2p.Decode([]byte{byte(id)})
			_, unknown = m.(*p2p.Unknown)
		}
		name := kind.String()
		if unknown != (name == "*other*") || !unknown && kind > p2p.MaxType {
			t.Errorf("type %d has the name %q", id, name)
		}
		if other, twice := seen[name]; twice && !unknown {
			t.Errorf("types %d and %d are both %q", other, id, name)
		}
		seen[name] = kind
	}
}
