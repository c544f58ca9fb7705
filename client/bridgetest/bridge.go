// Package bridgetest runs a real bridge for the tests of a program that consumes its events, and makes the trouble that
// such a program meets in production: cut, stalled and vanished connections, refused calls, restarts, a journal that
// was trimmed or lost.
//
//	bridge := bridgetest.Start(t)
//	bridge.Play(3)                  // three whole sessions, posted to the webhook
//	go consume(bridge.Addr())       // the program under test
//	bridge.Cut()                    // it must notice nothing but the delay
//	want := bridge.Events()         // what it must have seen
//
// The bridge listens on loopback and keeps its journal in a directory of the test. It is for tests only: this package
// brings the whole server along. It must stay the only one under client that does.
package bridgetest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/deskbridge/deskbridge/client"
	"github.com/deskbridge/deskbridge/client/internal/webhook"
	"github.com/deskbridge/deskbridge/server"
)

// patience bounds what the bridge is asked to do: it is reached only by a fault.
const patience = time.Minute

// Bridge is a bridge that runs until its test ends. Its clients reach it through a Proxy, whose methods make trouble
// on the way; the methods of Bridge itself go past it. A method that can't do its work fails the test: call it from the
// test's goroutine.
type Bridge struct {
	*Proxy

	t       testing.TB
	web     *Proxy
	poster  *webhook.Poster
	caller  client.Config
	config  server.Config
	played  uint64
	running *running

	mu                 sync.Mutex // guards what proxies ask for
	grpcAddr, httpAddr string     // empty while the bridge is stopped
}

// running is one life of the server.
type running struct {
	cancel context.CancelFunc
	done   chan error
}

// Start runs a bridge until the test ends. It differs from server.DefaultConfig in what makes tests quick: the journal
// isn't synced before each answer, and a drain takes a tenth of a second. configure may change that and everything else
// but addresses and the directory, which belong to this package. With an access file, see CallWith.
func Start(t testing.TB, configure ...func(*server.Config)) *Bridge {
	t.Helper()
	b := &Bridge{t: t, config: server.DefaultConfig()}
	b.config.Sync = "interval"
	b.config.DrainSpread = 100 * time.Millisecond
	// A busy machine may need more than the vendor's patience.
	b.config.AckTimeout, b.config.CallbackTimeout = patience, patience
	for _, change := range configure {
		change(&b.config)
	}
	b.config.DataDir = t.TempDir()
	b.config.GRPCAddr, b.config.HTTPAddr = "127.0.0.1:0", "127.0.0.1:0"
	b.start()
	t.Cleanup(b.stop)
	b.Proxy = NewProxy(t, b.address(&b.grpcAddr))
	b.web = NewProxy(t, b.address(&b.httpAddr))
	b.connectPoster()
	return b
}

// CallWith says how the methods of Bridge call it: where the bridge has an access file, with the token of a principal
// that may read everything. The Address is left alone.
func (b *Bridge) CallWith(config client.Config) { b.caller = config }

// URL is where the bridge serves HTTP: "http://127.0.0.1:…". The webhook is at /v1/callbacks/desk.
func (b *Bridge) URL() string { return "http://" + b.web.Addr() }

// Restart stops the bridge and starts it on the same journal and the same addresses. To its clients it is a crash:
// connections are cut, and refused until it is back.
func (b *Bridge) Restart() {
	b.t.Helper()
	b.setAddresses("", "")
	b.Cut()
	b.stop()
	b.start()
}

// Drain restarts the bridge as a rolling update does: each stream is told to drain and ends, then the bridge stops and
// comes back.
func (b *Bridge) Drain() {
	b.t.Helper()
	b.stop()
	b.start()
}

// LoseJournal restarts the bridge with an empty journal, as after the loss of its disk: every cursor is of a foreign
// epoch from then on.
func (b *Bridge) LoseJournal() {
	b.t.Helper()
	b.setAddresses("", "")
	b.Cut()
	b.stop()
	b.check(os.RemoveAll(b.config.DataDir))
	b.start()
}

// Expire restarts the bridge and trims all events that are in the journal: every cursor before its head is expired
// from then on.
func (b *Bridge) Expire() {
	b.t.Helper()
	b.setAddresses("", "")
	b.Cut()
	b.stop()
	retention := b.config.Retention
	b.config.Retention = 1
	b.start()
	b.waitUntil("the journal is trimmed", func() bool { return b.Journal().GetEventCount() == 0 })
	b.config.Retention = retention
	b.stop()
	b.start()
}

func (b *Bridge) start() {
	b.t.Helper()
	logger := slog.New(slog.NewTextHandler(b.t.Output(), nil))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := server.New(ctx, b.config, logger)
	b.check(err)
	ctx, cancel = context.WithCancel(context.Background())
	b.running = &running{cancel: cancel, done: make(chan error, 1)}
	go func() { b.running.done <- s.Run(ctx) }()
	b.setAddresses(s.GRPCAddr(), s.HTTPAddr())
}

// stop drains the bridge.
func (b *Bridge) stop() {
	b.t.Helper()
	if b.running == nil {
		return
	}
	b.running.cancel()
	err := <-b.running.done
	b.running = nil
	b.setAddresses("", "")
	if err != nil && !errors.Is(err, context.DeadlineExceeded) { // a stalled stream can't be told to drain
		b.t.Errorf("bridgetest: the bridge ended with: %v", err)
	}
}

// address returns a function, for a proxy, that reads one of the addresses.
func (b *Bridge) address(of *string) func() string {
	return func() string {
		b.mu.Lock()
		defer b.mu.Unlock()
		return *of
	}
}

func (b *Bridge) setAddresses(grpcAddr, httpAddr string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.grpcAddr, b.httpAddr = grpcAddr, httpAddr
}

func (b *Bridge) waitUntil(what string, reached func() bool) {
	b.t.Helper()
	for deadline := time.Now().Add(patience); !reached(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.check(fmt.Errorf("not within %v: %s", patience, what))
		}
	}
}

func (b *Bridge) check(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatalf("bridgetest: %v", err)
	}
}
