// Package fanout gives the events of one journal to many subscriptions.
//
// One tail reads the journal once and keeps what it read in a window of recent events. A subscription has a cursor and
// takes events from one of two places: from the window when its cursor lies there, else from the journal through a
// reader of its own, until it is back in the window. Both are ordered by position, so going from one to the other can
// leave no gap and repeat nothing. A subscription with an indexed filter that has reached the end of the window is told
// by the tail which later events it wants, and looks at no others.
//
// Nothing waits for a subscription: one that is too slow drops out of the window and goes on from the journal. Memory
// is bounded by the window, by the number of journal readers, by one item a subscription, and by a budget for filters.
//
// The package must not know how an item is transported. It starts no goroutine of its own: the tail runs in Run, and
// everything a subscription costs is spent in its Next.
package fanout

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/deskbridge/deskbridge/server/internal/filter"
)

// ErrStopped says that the hub has stopped, or the subscription is closed.
var ErrStopped = errors.New("fan-out stopped")

// Config of a Hub. Zero values mean the defaults; Journal is required.
type Config struct {
	Journal Journal
	// Logger receives what an operator should know; nil discards it.
	Logger *slog.Logger
	// WindowBytes bounds the recent events kept in memory, their overhead included: 64 MiB by default. A reader may be
	// this far behind without reading the journal.
	WindowBytes int
	// MaxCatchUps bounds how many subscriptions read the journal at once, 32 by default; others wait their turn. Each
	// takes about 2 MiB.
	MaxCatchUps int
}

func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.WindowBytes <= 0 {
		c.WindowBytes = 64 << 20
	}
	if c.MaxCatchUps <= 0 {
		c.MaxCatchUps = 32
	}
	return c
}

// Hub gives events to subscriptions while Run runs. All methods may be called concurrently.
type Hub struct {
	config      Config
	stop        context.CancelFunc
	stopped     context.Context
	slots       slots
	unreachable atomic.Bool
	fallBehinds atomic.Uint64

	// mu is held for writing while the tail publishes, and for reading while a subscription looks at the window.
	mu            sync.RWMutex
	window        window
	ready         bool // The window has its place in the journal.
	subscriptions map[*Subscription]struct{}
	filters       budget
	index         *filter.Index[*Subscription]
	watchers      []*Subscription // Those to wake for every event.
	matches       []*Subscription // Scratch space of the tail, as is
	wakes         []*Subscription // this.
}

// New returns a hub; Run makes it work.
func New(config Config) *Hub {
	config = config.withDefaults()
	stopped, stop := context.WithCancel(context.Background())
	return &Hub{
		config:        config,
		stop:          stop,
		stopped:       stopped,
		slots:         newSlots(config.MaxCatchUps),
		window:        window{limit: config.WindowBytes},
		subscriptions: map[*Subscription]struct{}{},
		filters:       budget{owners: map[string]int{}},
		index:         filter.NewIndex[*Subscription](),
	}
}

// Head returns the position of the newest event the tail has read; 0 before it has read any.
func (h *Hub) Head() uint64 {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.window.head
}

// StoreTimeAfter returns when the first event behind a position was stored, as far as the window knows it.
func (h *Hub) StoreTimeAfter(position uint64) (stored time.Time, known bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	w := &h.window
	if position < w.floor || position >= w.head {
		return time.Time{}, false
	}
	return w.at(w.after(position)).StoreTime, true
}

// Stats is a picture of a hub at work.
type Stats struct {
	// Head is the newest position the tail has read.
	Head uint64
	// Running: Run runs, and has found its place in the journal or tries to.
	Running bool
	// Unreachable: the tail can't read the journal at present.
	Unreachable bool
	// Subscriptions open, and how many of them are Replaying from the journal or Waiting for their turn to.
	Subscriptions, Replaying, Waiting int
	// FallBehinds counts how often a live subscription has dropped out of the window.
	FallBehinds uint64
	// WindowEvents and WindowBytes say how much the window holds.
	WindowEvents, WindowBytes int
}

// Stats returns the present state.
func (h *Hub) Stats() Stats {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return Stats{
		Head:          h.window.head,
		Running:       h.stopped.Err() == nil && (h.ready || h.unreachable.Load()),
		Unreachable:   h.unreachable.Load(),
		Subscriptions: len(h.subscriptions),
		Replaying:     h.slots.used(),
		Waiting:       h.slots.waiters(),
		FallBehinds:   h.fallBehinds.Load(),
		WindowEvents:  len(h.window.events),
		WindowBytes:   h.window.bytes,
	}
}
