package storage

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
)

// badgerLog hands Badger's messages on, one level quieter than Badger rates
// them where they are routine. It also listens: Badger only logs it when the
// value log cannot be synced, and the commit returns as if all were well
// (value.go, valueLog.write); and when no table can be written, which it tries for
// ever, while commits wait for it and then Close (db.go, flushMemtable); and how many keys
// a compaction writes.
type badgerLog struct {
	log    *slog.Logger
	once   sync.Once
	failed chan struct{} // closed when text is there
	text   string
	watch  atomic.Pointer[compactions] // once the database is open
	lost   func(text string) error     // keeps it that a compaction lost keys; nil: nobody does
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

// wait makes a call to Badger, and gives it up where Badger tries for ever: the call
// may still run when it returns an error of failure. After a failure it makes none.
func (l *badgerLog) wait(call func() error) error {
	if err := l.failure(); err != nil {
		return err
	}
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
		l.fail(text)
	}
	l.log.Error("badger: " + text)
}

func (l *badgerLog) fail(text string) {
	l.once.Do(func() {
		l.text = text
		close(l.failed)
	})
}

func (l *badgerLog) Warningf(format string, args ...any) {
	if strings.Contains(format, "Compact FAILED") { // after it, nobody knows what the manifest says
		l.fail(line(format, args))
	}
	l.log.Warn("badger: " + line(format, args))
}

func (l *badgerLog) Infof(format string, args ...any) {
	l.log.Debug("badger: " + line(format, args))
}

// Debugf is Badger's tracing, which says nothing about the chain, but how compactions
// go.
func (l *badgerLog) Debugf(format string, args ...any) {
	watch := l.watch.Load()
	if watch == nil || !strings.Contains(format, "ompact") {
		return
	}
	keys := watch.follow(format, args)
	if keys == 0 {
		return
	}
	text := fmt.Sprintf("a compaction lost %d keys: the disk did not take a table", keys)
	if l.lost != nil {
		if err := l.lost(text); err != nil {
			text += fmt.Sprintf(" (nor a note of that: %v)", err)
		}
	}
	l.log.Error("badger: " + text)
	l.fail(text)
}
