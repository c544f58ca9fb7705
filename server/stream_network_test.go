package server_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/deskbridge/deskbridge/client"
	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// TestQuietProxyLetsStreamsLive has a proxy that cuts connections that are quiet for two seconds, and heartbeats of one:
// in the proportion of the default of ten seconds to a proxy of fifteen, and then some.
func TestQuietProxyLetsStreamsLive(t *testing.T) {
	t.Parallel()
	const idle, lives = 2 * time.Second, 8 * time.Second
	b := startBridge(t, testConfig(t))
	for _, way := range allWays {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			p := startProxy(t, b.addr(way), idle)
			stream, closeStream, err := openStream(t.Context(), way, p.addr(), &deskbridgev1.SubscribeRequest{
				Filter:            &deskbridgev1.EventFilter{SessionIds: []string{"no such session"}},
				HeartbeatInterval: durationpb.New(time.Second),
			})
			if err != nil {
				t.Fatal(err)
			}
			defer closeStream()
			for opened := time.Now(); time.Since(opened) < lives; {
				if _, err := stream.Recv(); err != nil {
					t.Fatalf("after %v: %v", time.Since(opened), err)
				}
			}
			if cuts := p.cuts.Load(); cuts > 0 {
				t.Errorf("the proxy cut %d connections", cuts)
			}
		})
	}
	t.Run("a connection without streams is cut", func(t *testing.T) { // the proxy does what it is for
		t.Parallel()
		p := startProxy(t, b.HTTPAddr(), idle)
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", p.addr())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprint(conn, "GET /v1/journal HTTP/1.1\r\nHost: x\r\n\r\n")
		eventually(t, "cut", testDeadline, func() bool { return p.cuts.Load() == 1 })
	})
}

// halfOpenPatience is how soon both ends must notice that nothing comes through any more, and some for the machine.
const halfOpenPatience = 30*time.Second + 3*time.Second

// TestHalfOpenConnectionIsNoticed drops all bytes both ways without a word.
func TestHalfOpenConnectionIsNoticed(t *testing.T) {
	t.Parallel()
	b := startBridge(t, testConfig(t))
	p := startProxy(t, b.GRPCAddr(), 0)
	c, err := client.New(client.Config{Address: p.addr()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	connected, noticed, ended := make(chan struct{}, 8), make(chan error, 8), make(chan struct{})
	go func() {
		defer close(ended)
		events := c.Subscribe(ctx, &deskbridgev1.SubscribeRequest{}, client.WithHooks(client.Hooks{
			Connected:    func(*deskbridgev1.SubscriptionOpened) { connected <- struct{}{} },
			Reconnecting: func(cause error, _ time.Duration) { noticed <- cause },
		}))
		for _, err := range events {
			noticed <- err // there is no event: it is the end that the test's own makes
			break
		}
	}()
	<-connected
	p.silent.Store(true)
	silent := time.Now()
	eventually(t, "the bridge has noticed", halfOpenPatience, func() bool { return b.FanoutStats().Subscriptions == 0 })
	t.Logf("the bridge noticed after %v", time.Since(silent))
	select {
	case cause := <-noticed:
		t.Logf("the client noticed after %v: %v", time.Since(silent), cause)
	case <-time.After(time.Until(silent.Add(halfOpenPatience))):
		t.Fatal("the client has not noticed")
	}
	p.silent.Store(false)
	select {
	case <-connected:
	case <-time.After(testDeadline):
		t.Fatal("the client does not come back")
	}
	b.mustPost(documentQuery, sessionBody("a", 1)) // ends the loop
	<-ended
}

// TestStuckReaderIsCutAndResumes has a reader that takes nothing while its backlog waits.
func TestStuckReaderIsCutAndResumes(t *testing.T) {
	t.Parallel()
	const events = 100
	config := testConfig(t)
	config.SendTimeout = 500 * time.Millisecond
	b := startBridge(t, config)
	for n := range events {
		b.mustPost(documentQuery, longBody(n, 100_000))
	}
	t.Run(overGRPC, func(t *testing.T) { stuckOverGRPC(t, b, events) })
	for _, accept := range []string{"*/*", "text/event-stream"} {
		t.Run("HTTP "+accept, func(t *testing.T) { stuckOverHTTP(t, b, accept) })
	}
}

func stuckOverGRPC(t *testing.T, b *bridge, events int) {
	t.Helper()
	stream, closeStream, err := openGRPC(t.Context(), b.GRPCAddr(), &deskbridgev1.SubscribeRequest{Start: fromEarliest()},
		grpc.WithInitialWindowSize(64<<10), grpc.WithStaticStreamWindowSize(64<<10))
	if err != nil {
		t.Fatal(err)
	}
	defer closeStream()
	b.eventually("the stream is open", func() bool { return b.FanoutStats().Subscriptions == 1 })
	b.eventually("the stream is cut", func() bool { return b.FanoutStats().Subscriptions == 0 })
	var positions []uint64
	var end error
	for end == nil {
		var response *deskbridgev1.SubscribeResponse
		response, end = stream.Recv()
		for _, event := range response.GetEvents().GetEvents() {
			positions = append(positions, event.GetPosition())
		}
	}
	detail := detailOf(t, end)
	if status.Code(end) != codes.Aborted || detail.GetReason() != deskbridgev1.ErrorReason_ERROR_REASON_SLOW_READER {
		t.Fatalf("the stream ended with %v, %v", end, detail)
	}
	resumed := b.subscribe(&deskbridgev1.SubscribeRequest{
		Start: afterCursor(detail.GetResumeCursor()), StopWhenCaughtUp: true,
	}).collect()
	// What was under way when the stream was cut may have arrived, and then it comes again.
	next := positions[len(positions)-1] + 1
	if first := resumed[0].GetPosition(); first > next || int(first)+len(resumed) != events+1 {
		t.Errorf("had all up to %d, resumed at %d with %d events", next-1, first, len(resumed))
	}
}

func stuckOverHTTP(t *testing.T, b *bridge, accept string) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", b.HTTPAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /v1/events:subscribe?start_position=START_POSITION_EARLIEST HTTP/1.1\r\nHost: x\r\nAccept: %s\r\n\r\n", accept)
	b.eventually("the stream is open", func() bool { return b.FanoutStats().Subscriptions == 1 })
	b.eventually("the stream is cut", func() bool { return b.FanoutStats().Subscriptions == 0 })
	// A reader that comes back finds the reason, unless the connection was given up with a write under way.
	_ = conn.SetDeadline(time.Now().Add(testDeadline))
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if errors.Is(err, os.ErrDeadlineExceeded) || err == nil && !bytes.Contains(body, []byte("SLOW_READER")) {
		t.Errorf("%d bytes and then %v", len(body), err)
	}
}
