package storage

import (
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
)

// badgerLog hands Badger's messages on, one level quieter than Badger rates
// them where they are routine. It also listens: Badger only logs it when the
// value log cannot be synced, and the commit returns as if all were well
// (value.go, valueLog.write).
type badgerLog struct {
	log  *slog.Logger
	sync atomic.Pointer[string]
}

func newBadgerLog(log *slog.Logger) *badgerLog {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &badgerLog{log: log}
}

// failure is the sync that failed, if one did.
func (l *badgerLog) failure() error {
	if text := l.sync.Load(); text != nil {
		return fmt.Errorf("%s", *text)
	}
	return nil
}

func line(format string, args []any) string {
	return strings.TrimSpace(fmt.Sprintf(format, args...))
}

func (l *badgerLog) Errorf(format string, args ...any) {
	text := line(format, args)
	if strings.Contains(format, "sync") {
		l.sync.CompareAndSwap(nil, &text)
	}
	l.log.Error("badger: " + text)
}

func (l *badgerLog) Warningf(format string, args ...any) {
	l.log.Warn("badger: " + line(format, args))
}

func (l *badgerLog) Infof(format string, args ...any) {
	l.log.Debug("badger: " + line(format, args))
}

// Debugf is Badger's tracing, which says nothing about the chain.
func (l *badgerLog) Debugf(string, ...any) {}
