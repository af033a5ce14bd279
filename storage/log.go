package storage

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
)

// badgerLog hands Badger's messages on, one level quieter than Badger rates
// them where they are routine. It also listens: Badger only logs it when the
// value log cannot be synced, and the commit returns as if all were well
// (value.go, valueLog.write); and when no table can be written, which it tries for
// ever, while commits wait for it and then Close (db.go, flushMemtable).
type badgerLog struct {
	log    *slog.Logger
	once   sync.Once
	failed chan struct{} // closed when text is there
	text   string
}

func newBadgerLog(log *slog.Logger) *badgerLog {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &badgerLog{log: log, failed: make(chan struct{})}
}

// failure is what Badger only logged, if it did.
func (l *badgerLog) failure() error {
	select {
	case <-l.failed:
		return errors.New(l.text)
	default:
		return nil
	}
}

// wait makes a call to Badger, and gives it up where Badger tries for ever.
func (l *badgerLog) wait(call func() error) error {
	done := make(chan error, 1)
	go func() { done <- call() }()
	select {
	case err := <-done:
		return err
	case <-l.failed:
		return l.failure()
	}
}

func line(format string, args []any) string {
	return strings.TrimSpace(fmt.Sprintf(format, args...))
}

func (l *badgerLog) Errorf(format string, args ...any) {
	text := line(format, args)
	if strings.Contains(format, "sync") || strings.Contains(format, "flushing memtable") {
		l.once.Do(func() {
			l.text = text
			close(l.failed)
		})
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
