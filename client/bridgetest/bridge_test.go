package bridgetest_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/deskbridge/deskbridge/client"
	"github.com/deskbridge/deskbridge/client/bridgetest"
	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
	"github.com/deskbridge/deskbridge/server"
)

// patience bounds every wait: only a fault reaches it.
const patience = time.Minute

// reader is a consumer of everything, under test.
type reader struct {
	t            *testing.T
	positions    chan uint64
	reconnecting chan error
	end          chan error
}

// read starts a consumer behind a cursor; of everything when that is empty.
func read(t *testing.T, address, cursor string) *reader {
	t.Helper()
	c, err := client.New(client.Config{Address: address})
	if err != nil {
		t.Fatal(err)
	}
	r := &reader{t: t, positions: make(chan uint64, 10_000), reconnecting: make(chan error, 1000), end: make(chan error, 1)}
	request := &deskbridgev1.SubscribeRequest{HeartbeatInterval: durationpb.New(time.Second)}
	request.Start = &deskbridgev1.SubscribeRequest_StartPosition{
		StartPosition: deskbridgev1.StartPosition_START_POSITION_EARLIEST,
	}
	if cursor != "" {
		request.Start = &deskbridgev1.SubscribeRequest_AfterCursor{AfterCursor: cursor}
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.end <- r.run(ctx, c, request)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
		_ = c.Close()
	})
	return r
}

func (r *reader) run(ctx context.Context, c *client.Client, request *deskbridgev1.SubscribeRequest) error {
	hooks := client.Hooks{Reconnecting: func(cause error, _ time.Duration) { r.reconnecting <- cause }}
	for event, err := range c.Subscribe(ctx, request, client.WithHooks(hooks)) {
		if err != nil {
			return err
		}
		r.positions <- event.GetPosition()
	}
	return nil
}

// expect wants to be handed the next events up to the journal's last.
func (r *reader) expect(bridge *bridgetest.Bridge, after uint64) (last uint64) {
	r.t.Helper()
	for _, event := range bridge.Events() {
		if event.GetPosition() <= after {
			continue
		}
		last = event.GetPosition()
		select {
		case got := <-r.positions:
			if got != last {
				r.t.Fatalf("got position %d, want %d", got, last)
			}
		case err := <-r.end:
			r.t.Fatalf("ended before position %d: %v", last, err)
		case <-time.After(patience):
			r.t.Fatalf("position %d did not come", last)
		}
	}
	return last
}

func (r *reader) expectReconnecting() error {
	r.t.Helper()
	return receive(r.t, r.reconnecting)
}

func (r *reader) expectEnd(reason deskbridgev1.ErrorReason) {
	r.t.Helper()
	end, ok := errors.AsType[*client.Error](receive(r.t, r.end))
	if !ok || end.Reason != reason {
		r.t.Errorf("ended with %v, want %v", end, reason)
	}
}

func receive[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case value := <-from:
		return value
	case <-time.After(patience):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

// trouble is mended by a client, which reconnects.
func TestTroubleIsMended(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*bridgetest.Bridge){
		"cut":                                func(b *bridgetest.Bridge) { b.Cut() },
		"cut after":                          func(b *bridgetest.Bridge) { b.CutAfter(2000) },
		"blackhole":                          func(b *bridgetest.Bridge) { b.Blackhole(); b.Resume() },
		"restart":                            func(b *bridgetest.Bridge) { b.Restart() },
		"drain":                              func(b *bridgetest.Bridge) { b.Drain() },
		"reject":                             func(b *bridgetest.Bridge) { b.Reject(codes.Unavailable, nil) },
		"stall longer than three heartbeats": func(b *bridgetest.Bridge) { b.Stall() },
	}
	for name, trouble := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bridge := bridgetest.Start(t)
			bridge.Play(2)
			r := read(t, bridge.Addr(), "")
			last := r.expect(bridge, 0)
			trouble(bridge)
			bridge.Play(2)
			if err := r.expectReconnecting(); err == nil {
				t.Error("reconnecting without a cause")
			}
			bridge.Resume()
			r.expect(bridge, last)
		})
	}
}

func TestStallLosesNothing(t *testing.T) {
	t.Parallel()
	bridge := bridgetest.Start(t)
	bridge.Play(1)
	r := read(t, bridge.Addr(), "")
	last := r.expect(bridge, 0)
	bridge.Stall()
	bridge.Play(1)
	bridge.Resume()
	r.expect(bridge, last)
	if len(r.reconnecting) > 0 {
		t.Errorf("reconnected: %v", <-r.reconnecting)
	}
}

func TestCutAfterCutsOnce(t *testing.T) {
	t.Parallel()
	bridge := bridgetest.Start(t)
	bridge.Play(5)
	bridge.CutAfter(3000)
	r := read(t, bridge.Addr(), "")
	r.expect(bridge, 0)
	if n := len(r.reconnecting); n != 1 {
		t.Errorf("reconnected %d times", n)
	}
}

func TestRejectsInOrder(t *testing.T) {
	t.Parallel()
	bridge := bridgetest.Start(t)
	bridge.Play(1)
	r := read(t, bridge.Addr(), "")
	r.expect(bridge, 0)
	bridge.Reject(codes.ResourceExhausted, &deskbridgev1.ErrorDetail{
		Reason: deskbridgev1.ErrorReason_ERROR_REASON_LIMIT_EXCEEDED,
	})
	bridge.Reject(codes.PermissionDenied, &deskbridgev1.ErrorDetail{
		Reason: deskbridgev1.ErrorReason_ERROR_REASON_PERMISSION_DENIED,
	})
	r.expectEnd(deskbridgev1.ErrorReason_ERROR_REASON_PERMISSION_DENIED)
	var causes []codes.Code
	for len(r.reconnecting) > 0 {
		causes = append(causes, status.Code(<-r.reconnecting))
	}
	if !slices.Contains(causes, codes.ResourceExhausted) {
		t.Errorf("reconnected because of %v", causes)
	}
	read(t, bridge.Addr(), "").expect(bridge, 0) // the next call gets through
}

func TestExpire(t *testing.T) {
	t.Parallel()
	bridge := bridgetest.Start(t)
	bridge.Play(1)
	before := bridge.Journal()
	bridge.Expire()
	if n := len(bridge.Events()); n != 0 {
		t.Errorf("%d events are left", n)
	}
	read(t, bridge.Addr(), before.GetEarliestCursor()).expectEnd(deskbridgev1.ErrorReason_ERROR_REASON_CURSOR_EXPIRED)
	bridge.Play(1)
	read(t, bridge.Addr(), before.GetLatestCursor()).expect(bridge, before.GetLatest().GetPosition())
}

func TestLoseJournal(t *testing.T) {
	t.Parallel()
	bridge := bridgetest.Start(t)
	bridge.Play(1)
	before := bridge.Journal()
	bridge.LoseJournal()
	bridge.Play(1)
	read(t, bridge.Addr(), before.GetLatestCursor()).expectEnd(deskbridgev1.ErrorReason_ERROR_REASON_CURSOR_FOREIGN_EPOCH)
	read(t, bridge.Addr(), "").expect(bridge, 0)
}

// A consumer's rights can be tested: the bridge's own methods have a token of theirs.
func TestAccessControl(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "access.yaml")
	const policy = `principals:
  test:
    tokens: [{sha256: %x}]
    apps: ["*"]
    types: ["*"]
    customer_services: ["*"]
    content: true
`
	token := strings.Repeat("t", 40)
	if err := os.WriteFile(path, fmt.Appendf(nil, policy, sha256.Sum256([]byte(token))), 0o600); err != nil {
		t.Fatal(err)
	}
	bridge := bridgetest.Start(t, func(config *server.Config) { config.Access = path })
	bridge.CallWith(client.Config{Token: func(context.Context) (string, error) { return token, nil }})
	bridge.Play(1)
	bridge.Expire()
	bridge.Play(1)
	if events, info := bridge.Events(), bridge.Journal(); uint64(len(events)) != info.GetEventCount() || len(events) == 0 {
		t.Errorf("%d events of %v", len(events), info)
	}
	read(t, bridge.Addr(), "").expectEnd(deskbridgev1.ErrorReason_ERROR_REASON_UNAUTHENTICATED)
}

func TestPost(t *testing.T) {
	t.Parallel()
	bridge := bridgetest.Start(t)
	const callback = `{"Event": "SessionBegin", "SessionId": "s1", "EventTime": %d}`
	bridge.Post(fmt.Sprintf(callback, 1725540020017))
	bridge.Post(fmt.Sprintf(callback, 1725540020017))
	bridge.Post(fmt.Sprintf(callback, 1725540020018))
	events := bridge.Events()
	if len(events) != 2 || events[0].GetSessionId() != "s1" || events[0].GetSdkAppId() != bridgetest.AppID {
		t.Errorf("events: %v", events)
	}
}

func TestExample(t *testing.T) {
	t.Parallel()
	testCountRatings(t)
}
