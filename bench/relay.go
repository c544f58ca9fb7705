package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"

	"google.golang.org/grpc"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// relay is the raw limit of the way from a callback to its subscribers: it hands each body to every open stream, with a
// frame of its own, and stores nothing.
type relay struct {
	deskbridgev1.UnimplementedSessionEventServiceServer

	mu      sync.Mutex
	readers map[chan *deskbridgev1.SubscribeResponse]struct{}
}

// relayQueue is how far a reader may be behind; the handler waits for one that is further.
const relayQueue = 1024

// ServeHTTP takes a callback.
func (r *relay) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.broadcast(&deskbridgev1.SubscribeResponse{Kind: &deskbridgev1.SubscribeResponse_Events{
		Events: &deskbridgev1.EventBatch{Events: []*deskbridgev1.SessionEvent{{
			Callback:  &deskbridgev1.CallbackMetadata{RequestId: request.URL.Query().Get("RequestID")},
			ExtraJson: string(body),
		}}},
	}})
	writeOK(w)
}

func (r *relay) broadcast(response *deskbridgev1.SubscribeResponse) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for reader := range r.readers {
		reader <- response
	}
}

// Subscribe implements SessionEventServiceServer.
func (r *relay) Subscribe(
	_ *deskbridgev1.SubscribeRequest, stream grpc.ServerStreamingServer[deskbridgev1.SubscribeResponse],
) error {
	reader := make(chan *deskbridgev1.SubscribeResponse, relayQueue)
	r.mu.Lock()
	r.readers[reader] = struct{}{}
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.readers, reader)
	}()
	next := &deskbridgev1.SubscribeResponse{
		Kind: &deskbridgev1.SubscribeResponse_CaughtUp{CaughtUp: &deskbridgev1.CaughtUp{}},
	}
	for {
		if err := stream.Send(next); err != nil {
			return err
		}
		select {
		case next = <-reader:
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
	}
}

// startRelay serves a relay until stop.
func startRelay(ctx context.Context) (httpAddr, grpcAddr string, stop func() error, err error) {
	r := &relay{readers: map[chan *deskbridgev1.SubscribeResponse]struct{}{}}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", nil, err
	}
	server := grpc.NewServer()
	deskbridgev1.RegisterSessionEventServiceServer(server, r)
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	httpAddr, stopHTTP, err := serveHTTP(ctx, r)
	return httpAddr, listener.Addr().String(), func() error {
		server.Stop()
		return errors.Join(stopHTTP(), <-done)
	}, err
}
