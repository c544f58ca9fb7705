package client_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/deskbridge/deskbridge/client"
	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

func TestSubscribeResumesBehindWhatWasConsumed(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		scripts []script
		starts  []string
		events  []uint64
	}{
		{
			name:    "no trouble",
			scripts: []script{plays(nil, opened(0, 4), batch(1, 2), batch(3, 4), caughtUp(4))},
			starts:  []string{""},
			events:  []uint64{1, 2, 3, 4},
		},
		{
			name: "cut by the network",
			scripts: []script{
				plays(unavailable(), opened(0, 4), batch(1, 2)),
				plays(nil, opened(2, 4), batch(3, 4), caughtUp(4)),
			},
			starts: []string{"", "e1:2"},
			events: []uint64{1, 2, 3, 4},
		},
		{
			name: "ended without an error",
			scripts: []script{
				plays(nil, opened(0, 4), batch(1, 2, 3)),
				plays(nil, opened(3, 4), batch(4), caughtUp(4)),
			},
			starts: []string{"", "e1:3"},
			events: []uint64{1, 2, 3, 4},
		},
		{
			name: "cut before anything came",
			scripts: []script{
				plays(unavailable()),
				plays(nil, opened(0, 4), batch(1, 2, 3, 4), caughtUp(4)),
			},
			starts: []string{"", ""},
			events: []uint64{1, 2, 3, 4},
		},
		{
			name: "cut right after the opening",
			scripts: []script{
				plays(unavailable(), opened(0, 4)),
				plays(nil, opened(0, 4), batch(1, 2, 3, 4), caughtUp(4)),
			},
			starts: []string{"", "e1:0"},
			events: []uint64{1, 2, 3, 4},
		},
		{
			name: "repeats",
			scripts: []script{
				plays(unavailable(), opened(0, 4), batch(1, 2, 3)),
				plays(nil, opened(0, 4), batch(2, 3, 4), batch(4), caughtUp(4)),
			},
			starts: []string{"", "e1:3"},
			events: []uint64{1, 2, 3, 4},
		},
		{
			name: "a heartbeat's cursor",
			scripts: []script{
				plays(unavailable(), opened(0, 90), batch(1, 2, 3), heartbeat(70, 90)),
				plays(nil, opened(70, 90), batch(80), caughtUp(90)),
			},
			starts: []string{"", "e1:70"},
			events: []uint64{1, 2, 3, 80},
		},
		{
			name: "a kind that is newer than the client",
			scripts: []script{
				plays(unavailable(), opened(0, 4), batch(1, 2), &subscribeResponse{Cursor: at(3)}),
				plays(nil, opened(3, 4), batch(4), caughtUp(4)),
			},
			starts: []string{"", "e1:3"},
			events: []uint64{1, 2, 4},
		},
		{
			name: "too slow",
			scripts: []script{
				plays(failure(codes.Aborted, &deskbridgev1.ErrorDetail{
					Reason: deskbridgev1.ErrorReason_ERROR_REASON_SLOW_READER, ResumeCursor: at(2),
				}), opened(0, 4), batch(1, 2)),
				plays(nil, opened(2, 4), batch(3, 4), caughtUp(4)),
			},
			starts: []string{"", "e1:2"},
			events: []uint64{1, 2, 3, 4},
		},
		{
			name: "silent",
			scripts: []script{
				stalls(opened(0, 4), batch(1, 2)),
				plays(nil, opened(2, 4), batch(3, 4), caughtUp(4)),
			},
			starts: []string{"", "e1:2"},
			events: []uint64{1, 2, 3, 4},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				bridge := &scriptedBridge{scripts: test.scripts}
				got, err := collect(t, serveInMemory(t, bridge), batchRequest())
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(test.events, got); diff != "" {
					t.Errorf("events (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(test.starts, bridge.starts()); diff != "" {
					t.Errorf("streams opened after (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestSubscribeAsksForTheSameAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bridge := &scriptedBridge{scripts: []script{
			plays(unavailable(), opened(0, 1), batch(1)),
			plays(nil, opened(1, 1), caughtUp(1)),
		}}
		request := batchRequest()
		request.Filter = &deskbridgev1.EventFilter{TypeNames: []string{"Human.*"}}
		request.Start = &deskbridgev1.SubscribeRequest_StartPosition{
			StartPosition: deskbridgev1.StartPosition_START_POSITION_EARLIEST,
		}
		request.OnExpired = deskbridgev1.OnExpired_ON_EXPIRED_EARLIEST
		before := proto.CloneOf(request)
		if _, err := collect(t, serveInMemory(t, bridge), request); err != nil {
			t.Fatal(err)
		}
		again := proto.CloneOf(before)
		again.Start = &deskbridgev1.SubscribeRequest_AfterCursor{AfterCursor: at(1)}
		for i, want := range []*subscribeRequest{before, again} {
			if got := bridge.seen()[i]; !proto.Equal(want, got) {
				t.Errorf("request %d is %v, want %v", i, got, want)
			}
		}
		if !proto.Equal(before, request) {
			t.Errorf("the caller's request was modified: %v", request)
		}
	})
}

func TestSubscribeWaitsAsLongAsADrainingBridgeAsks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		draining := &subscribeResponse{Cursor: at(1), Kind: &deskbridgev1.SubscribeResponse_Draining{
			Draining: &deskbridgev1.Draining{ReconnectDelay: durationpb.New(42 * time.Second)},
		}}
		bridge := &scriptedBridge{scripts: []script{
			plays(nil, opened(0, 3), batch(1), draining, batch(2)),
			plays(nil, opened(2, 3), batch(3), caughtUp(3)),
		}}
		drained := false
		hooks := client.Hooks{Draining: func(*deskbridgev1.Draining) { drained = true }}
		started := time.Now()
		got, err := collect(t, serveInMemory(t, bridge), batchRequest(), client.WithHooks(hooks))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]uint64{1, 2, 3}, got); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		if waited := time.Since(started); waited != 42*time.Second {
			t.Errorf("reconnected after %v", waited)
		}
		if !drained {
			t.Error("the hook was not told")
		}
	})
}

func TestSubscribeCutsASilentStream(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		interval *durationpb.Duration
		patience time.Duration
	}{
		{"default", nil, 30 * time.Second},
		{"as requested", durationpb.New(2 * time.Second), 6 * time.Second},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				bridge := &scriptedBridge{scripts: []script{
					stalls(opened(0, 0)),
					plays(nil, opened(0, 0), caughtUp(0)),
				}}
				request := batchRequest()
				request.HeartbeatInterval = test.interval
				var reconnected reconnects
				started := time.Now()
				_, err := collect(t, serveInMemory(t, bridge), request, client.WithHooks(reconnected.hooks()))
				if err != nil {
					t.Fatal(err)
				}
				if len(reconnected.causes) != 1 || !errors.Is(reconnected.causes[0], client.ErrSilent) {
					t.Fatalf("reconnected because of %v", reconnected.causes)
				}
				if took := time.Since(started) - reconnected.delays[0]; took != test.patience {
					t.Errorf("cut after %v, want %v", took, test.patience)
				}
			})
		})
	}
}

func TestSubscribeHeartbeatsKeepAStreamAlive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bridge := &scriptedBridge{scripts: []script{
			func(_ *subscribeRequest, stream serverStream) error {
				if err := stream.Send(opened(0, 0)); err != nil {
					return err
				}
				for range 100 {
					time.Sleep(25 * time.Second)
					if err := stream.Send(heartbeat(0, 0)); err != nil {
						return err
					}
				}
				return stream.Send(caughtUp(0))
			},
		}}
		if _, err := collect(t, serveInMemory(t, bridge), batchRequest()); err != nil {
			t.Fatal(err)
		}
		if n := len(bridge.seen()); n != 1 {
			t.Errorf("%d streams were opened", n)
		}
	})
}

func TestSubscribeLetsTheLoopTakeItsTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bridge := &scriptedBridge{scripts: []script{
			func(request *subscribeRequest, stream serverStream) error {
				if err := plays(nil, opened(0, 1), batch(1))(request, stream); err != nil {
					return err
				}
				for range 360 {
					time.Sleep(10 * time.Second)
					if err := stream.Send(heartbeat(1, 1)); err != nil {
						return err
					}
				}
				return stream.Send(caughtUp(1))
			},
		}}
		for _, err := range serveInMemory(t, bridge).Subscribe(t.Context(), batchRequest()) {
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(50 * time.Minute)
		}
		if n := len(bridge.seen()); n != 1 {
			t.Errorf("%d streams were opened", n)
		}
	})
}

func TestSubscribeCopiesTheRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bridge := &scriptedBridge{scripts: []script{plays(nil, opened(0, 0), caughtUp(0))}}
		request := batchRequest()
		events := serveInMemory(t, bridge).Subscribe(t.Context(), request)
		request.StopWhenCaughtUp = false
		for _, err := range events {
			t.Error(err)
		}
		if !bridge.seen()[0].GetStopWhenCaughtUp() {
			t.Error("the caller's later change went into the request")
		}
	})
}

func TestSubscribeBacksOffAndRecovers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		refuses := plays(unavailable())
		bridge := &scriptedBridge{scripts: []script{
			refuses, refuses, refuses, refuses, refuses, refuses, refuses, refuses, refuses,
			plays(unavailable(), opened(0, 2)), // to be opened is not health yet
			plays(unavailable(), opened(0, 2), batch(1)),
			refuses,
			plays(unavailable(), opened(0, 2), heartbeat(1, 2)),
			plays(nil, opened(1, 2), batch(2), caughtUp(2)),
		}}
		var reconnected reconnects
		_, err := collect(t, serveInMemory(t, bridge), batchRequest(), client.WithHooks(reconnected.hooks()))
		if err != nil {
			t.Fatal(err)
		}
		ceilings := []int{ // milliseconds
			100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000, 10000, // refused, then opened
			100, 200, // healthy, refused
			100, // healthy
		}
		if len(reconnected.delays) != len(ceilings) {
			t.Fatalf("reconnected %d times: %v", len(reconnected.delays), reconnected.delays)
		}
		for i, delay := range reconnected.delays {
			ceiling := time.Duration(ceilings[i]) * time.Millisecond
			if delay < ceiling/2 || delay > ceiling {
				t.Errorf("delay %d is %v, want %v to %v", i, delay, ceiling/2, ceiling)
			}
		}
	})
}

func TestSubscribeEndsWhereTheApplicationMustDecide(t *testing.T) {
	t.Parallel()
	const prefix = "ERROR_REASON_"
	reasons := map[codes.Code][]string{
		codes.InvalidArgument:    {"REQUEST_INVALID", "FILTER_INVALID", "CURSOR_MALFORMED"},
		codes.OutOfRange:         {"CURSOR_EXPIRED", "CURSOR_IN_FUTURE"},
		codes.FailedPrecondition: {"CURSOR_FOREIGN_EPOCH"},
		codes.Unimplemented:      {"NOT_SERVED"},
		codes.DataLoss:           {"JOURNAL_DAMAGED"},
		codes.Unauthenticated:    {"UNAUTHENTICATED"},
		codes.PermissionDenied:   {"PERMISSION_DENIED"},
		codes.NotFound:           {"NOT_FOUND"},
	}
	for code, names := range reasons {
		for _, name := range names {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					detail := &deskbridgev1.ErrorDetail{
						Reason: deskbridgev1.ErrorReason(deskbridgev1.ErrorReason_value[prefix+name]),
						Field:  "after_cursor", EarliestCursor: "e1:10", LatestCursor: "e1:20",
					}
					checkFinal(t, failure(code, detail), code, detail)
				})
			})
		}
	}
	t.Run("no reason", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			err := status.Error(codes.PermissionDenied, "a proxy says no")
			checkFinal(t, err, codes.PermissionDenied, &deskbridgev1.ErrorDetail{})
		})
	})
}

func checkFinal(t *testing.T, end error, code codes.Code, detail *deskbridgev1.ErrorDetail) {
	t.Helper()
	bridge := &scriptedBridge{scripts: []script{plays(end, opened(0, 1), batch(1))}}
	positions, err := collect(t, serveInMemory(t, bridge), &subscribeRequest{})
	got, ok := errors.AsType[*client.Error](err)
	if !ok {
		t.Fatalf("ended with %v (%T)", err, err)
	}
	if got.Reason != detail.GetReason() || got.Field != detail.GetField() ||
		got.EarliestCursor != detail.GetEarliestCursor() || got.LatestCursor != detail.GetLatestCursor() {
		t.Errorf("got %+v, want %v", got, detail)
	}
	if status.Code(err) != code {
		t.Errorf("code %v, want %v", status.Code(err), code)
	}
	if len(positions) != 1 || len(bridge.seen()) != 1 {
		t.Errorf("%d events by %d streams, want one of each", len(positions), len(bridge.seen()))
	}
}

func TestSubscribeMendsWhatIsTemporary(t *testing.T) {
	t.Parallel()
	ends := map[string]error{
		"draining": failure(codes.Unavailable, &deskbridgev1.ErrorDetail{
			Reason: deskbridgev1.ErrorReason_ERROR_REASON_DRAINING,
		}),
		"journal unavailable": failure(codes.Unavailable, &deskbridgev1.ErrorDetail{
			Reason: deskbridgev1.ErrorReason_ERROR_REASON_JOURNAL_UNAVAILABLE,
		}),
		"limit": failure(codes.ResourceExhausted, &deskbridgev1.ErrorDetail{
			Reason: deskbridgev1.ErrorReason_ERROR_REASON_LIMIT_EXCEEDED,
		}),
		"fault": failure(codes.Internal, &deskbridgev1.ErrorDetail{
			Reason: deskbridgev1.ErrorReason_ERROR_REASON_INTERNAL,
		}),
		"stream reset by a proxy": status.Error(codes.Canceled, "stream terminated by RST_STREAM"),
		"a proxy's error page":    status.Error(codes.Unknown, "unexpected HTTP status code 520"),
		"a proxy's timeout":       status.Error(codes.DeadlineExceeded, "stream timeout"),
		"newer reason":            failure(codes.Unavailable, &deskbridgev1.ErrorDetail{Reason: 4711}),
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				bridge := &scriptedBridge{scripts: []script{
					plays(end, opened(0, 1)), plays(nil, opened(0, 1), batch(1), caughtUp(1)),
				}}
				var reconnected reconnects
				hooks := client.WithHooks(reconnected.hooks())
				if _, err := collect(t, serveInMemory(t, bridge), batchRequest(), hooks); err != nil {
					t.Fatal(err)
				}
				if len(reconnected.causes) != 1 || status.Code(reconnected.causes[0]) != status.Code(end) {
					t.Errorf("reconnected because of %v", reconnected.causes)
				}
			})
		})
	}
}

func TestSubscribeEndsWithItsContext(t *testing.T) {
	t.Parallel()
	tests := map[string]script{
		"while it waits for events":     stalls(opened(0, 1), batch(1)),
		"while it waits to reconnect":   plays(unavailable(), opened(0, 1), batch(1)),
		"while a bridge doesn't answer": stalls(),
	}
	for name, play := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				bridge := serveInMemory(t, &scriptedBridge{scripts: []script{play}})
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
				defer cancel()
				var last error
				for _, err := range bridge.Subscribe(ctx, nil) {
					last = err
				}
				if last != context.DeadlineExceeded { //nolint:errorlint // the context's error itself is promised
					t.Errorf("ended with %v", last)
				}
			})
		})
	}
}

func TestSubscribeEndsWithItsClient(t *testing.T) {
	t.Parallel()
	tests := map[string]script{
		"while it waits for events":   stalls(opened(0, 0)),
		"while it waits to reconnect": plays(unavailable()),
	}
	for name, play := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				bridge := serveInMemory(t, &scriptedBridge{scripts: []script{play}})
				time.AfterFunc(20*time.Millisecond, func() { _ = bridge.Close() })
				if _, err := collect(t, bridge, &subscribeRequest{}); !errors.Is(err, client.ErrClosed) {
					t.Errorf("ended with %v", err)
				}
				if _, err := collect(t, bridge, &subscribeRequest{}); !errors.Is(err, client.ErrClosed) {
					t.Errorf("a second subscription ended with %v", err)
				}
			})
		})
	}
}

// A loop that cancels, or closes the client, is not made to work off the rest of a batch. What it has consumed counts.
func TestSubscribeEndsWithinABatch(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		stop func(context.CancelFunc, *client.Client)
		want error
	}{
		"cancelled": {func(cancel context.CancelFunc, _ *client.Client) { cancel() }, context.Canceled},
		"closed":    {func(_ context.CancelFunc, c *client.Client) { _ = c.Close() }, client.ErrClosed},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				play := stalls(opened(0, 5), batch(1, 2, 3, 4, 5))
				bridge := serveInMemory(t, &scriptedBridge{scripts: []script{play}})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				store := &client.MemoryCursorStore{}
				var positions []uint64
				var last error
				for event, err := range bridge.Subscribe(ctx, nil, client.WithCursorStore(store)) {
					if last = err; err != nil {
						break
					}
					if positions = append(positions, event.GetPosition()); len(positions) == 2 {
						tt.stop(cancel, bridge)
					}
				}
				if !errors.Is(last, tt.want) || len(positions) != 2 {
					t.Errorf("ended with %v after %v", last, positions)
				}
				if cursor, _ := store.Load(t.Context()); cursor != at(2) {
					t.Errorf("the store has %q, want %q", cursor, at(2))
				}
			})
		})
	}
}

func TestSubscribeTellsItsHooks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fellBehind := &subscribeResponse{Cursor: at(2), Kind: &deskbridgev1.SubscribeResponse_FellBehind{
			FellBehind: &deskbridgev1.FellBehind{HeadPosition: 9, Lag: 7},
		}}
		bridge := &scriptedBridge{scripts: []script{
			plays(nil, opened(0, 5), heartbeat(2, 9), heartbeat(9, 9), fellBehind, caughtUp(9)),
		}}
		var told []any
		hooks := client.Hooks{
			Connected:  func(o *deskbridgev1.SubscriptionOpened) { told = append(told, o.GetEpoch(), o.GetHeadPosition()) },
			Heartbeat:  func(_ *deskbridgev1.Heartbeat, lag uint64) { told = append(told, lag) },
			FellBehind: func(f *deskbridgev1.FellBehind) { told = append(told, f.GetLag()) },
			CaughtUp:   func(c *deskbridgev1.CaughtUp) { told = append(told, c.GetHeadPosition()) },
		}
		if _, err := collect(t, serveInMemory(t, bridge), batchRequest(), client.WithHooks(hooks)); err != nil {
			t.Fatal(err)
		}
		want := []any{"e1", uint64(5), uint64(7), uint64(0), uint64(7), uint64(9)}
		if diff := cmp.Diff(want, told); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
	})
}
