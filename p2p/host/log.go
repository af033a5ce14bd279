package host

import (
	"context"
	"log/slog"
	"os"

	"github.com/libp2p/go-libp2p/gologshim"
)

// atLeast is a log handler that passes on what is at least as grave as a level:
// libp2p's lesser messages are about libp2p.
type atLeast struct {
	slog.Handler
	level slog.Level
}

func (a atLeast) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= a.level && a.Handler.Enabled(ctx, level)
}

func (a atLeast) WithAttrs(attrs []slog.Attr) slog.Handler {
	return atLeast{a.Handler.WithAttrs(attrs), a.level}
}

func (a atLeast) WithGroup(name string) slog.Handler {
	return atLeast{a.Handler.WithGroup(name), a.level}
}

// demoted is a log handler that passes everything on as a debugging message.
type demoted struct{ slog.Handler }

func (d demoted) Enabled(ctx context.Context, _ slog.Level) bool {
	return d.Handler.Enabled(ctx, slog.LevelDebug)
}

func (d demoted) Handle(ctx context.Context, r slog.Record) error {
	r.Level = slog.LevelDebug
	return d.Handler.Handle(ctx, r)
}

func (d demoted) WithAttrs(attrs []slog.Attr) slog.Handler {
	return demoted{d.Handler.WithAttrs(attrs)}
}

func (d demoted) WithGroup(name string) slog.Handler { return demoted{d.Handler.WithGroup(name)} }

// RedirectLibraryLog sends the errors that libp2p logs for the whole process to
// log, as debugging messages: what concerns a node comes back from its calls,
// and the rest, such as a listener that was closed on purpose, concerns nobody.
// It also keeps quic-go from writing to standard error about the size of the
// system's UDP buffers. libp2p has one log, not one for each host: the program
// calls this once, before the first New.
func RedirectLibraryLog(log *slog.Logger) error {
	gologshim.SetDefaultHandler(atLeast{demoted{log.Handler()}, slog.LevelError})
	return os.Setenv("QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING", "true")
}
