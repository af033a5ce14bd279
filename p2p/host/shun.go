package host

import (
	"context"
	"log/slog"
	"strings"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"
)

// shunned are the peers that have no part in gossip: those that we dialed for blocks
// alone, or to see whether they are there. GossipSub is not spoken with them at all,
// so that payments do not tell a watcher who is connected to whom. It implements
// pubsub.Blacklist, and so has to be told before the connection stands.
type shunned struct{ ids sync.Map } // peer.ID → struct{}

// Contains implements pubsub.Blacklist.
func (s *shunned) Contains(id peer.ID) bool {
	_, ok := s.ids.Load(id)
	return ok
}

// Add implements pubsub.Blacklist.
func (s *shunned) Add(id peer.ID) bool {
	s.ids.Store(id, struct{}{})
	return true
}

func (g *gossip) shun(id peer.ID)   { g.shy.Add(id) }
func (g *gossip) unshun(id peer.ID) { g.shy.ids.Delete(id) }

// shyLog is a log handler that passes over what GossipSub says of shunned peers.
type shyLog struct{ atLeast }

func (l shyLog) Handle(ctx context.Context, r slog.Record) error {
	if strings.Contains(r.Message, "blacklisted peer") {
		return nil
	}
	return l.atLeast.Handle(ctx, r)
}

func (l shyLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return shyLog{atLeast{l.Handler.WithAttrs(attrs), l.level}}
}

func (l shyLog) WithGroup(name string) slog.Handler {
	return shyLog{atLeast{l.Handler.WithGroup(name), l.level}}
}
