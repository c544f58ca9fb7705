package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// load is what a number of connections got out of an HTTP server.
type load struct {
	rate     perSecond
	p50, p99 time.Duration
}

// measureLoad posts callbacks over this many connections for a while, each waiting for its answer before its next. The
// client is bare: it must not be what is measured.
func measureLoad(
	ctx context.Context, addr string, connections int, duration time.Duration, bodyOf bodyFunc,
) (load, error) {
	var next atomic.Int64
	var mu sync.Mutex
	var latencies []time.Duration
	var errs []error
	var group sync.WaitGroup
	started := time.Now()
	deadline := started.Add(duration)
	for range connections {
		group.Go(func() {
			own, err := post(ctx, addr, deadline, &next, bodyOf)
			mu.Lock()
			defer mu.Unlock()
			latencies, errs = append(latencies, own...), append(errs, err)
		})
	}
	group.Wait()
	took := time.Since(started)
	if err := errors.Join(errs...); err != nil || len(latencies) == 0 {
		return load{}, fmt.Errorf("after %d answers: %w", len(latencies), err)
	}
	slices.Sort(latencies)
	return load{
		rate: perSecond(float64(len(latencies)) / took.Seconds()),
		p50:  latencies[len(latencies)/2],
		p99:  latencies[len(latencies)*99/100],
	}, nil
}

// bodyFunc makes the n-th callback.
type bodyFunc func(n int64) []byte

func post(
	ctx context.Context, addr string, deadline time.Time, next *atomic.Int64, bodyOf bodyFunc,
) ([]time.Duration, error) {
	p, err := newPoster(ctx, addr, deadline)
	if err != nil {
		return nil, err
	}
	defer p.conn.Close()
	var latencies []time.Duration
	for time.Now().Before(deadline) {
		n := next.Add(1)
		body := bodyOf(n)
		started := time.Now()
		if err := p.post(n, body); err != nil {
			return latencies, err
		}
		latencies = append(latencies, time.Since(started))
	}
	return latencies, nil
}

// postEach posts the callbacks with these numbers.
func postEach(ctx context.Context, addr string, numbers <-chan int64, sending func(n int64)) error {
	p, err := newPoster(ctx, addr, time.Now().Add(time.Hour))
	if err != nil {
		return err
	}
	defer p.conn.Close()
	for n := range numbers {
		sending(n)
		if err := p.post(n, vendorBody(n)); err != nil {
			return err
		}
	}
	return nil
}

// poster is a connection to the webhook.
type poster struct {
	conn    net.Conn
	reader  *bufio.Reader
	request bytes.Buffer
}

func newPoster(ctx context.Context, addr string, deadline time.Time) (*poster, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return &poster{conn: conn, reader: bufio.NewReader(conn)}, conn.SetDeadline(deadline.Add(10 * time.Second))
}

// post sends the n-th callback and waits for its OK.
func (p *poster) post(n int64, body []byte) error {
	p.request.Reset()
	fmt.Fprintf(&p.request, "POST /v1/callbacks/desk?SdkAppid=1600012345&CallbackCommand=Desk.SessionEventNotify"+
		"&contenttype=json&ClientIP=203.0.113.24&OptPlatform=iOS&RequestID=bench-%d HTTP/1.1\r\nHost: bench\r\n"+
		"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n", n, len(body))
	p.request.Write(body)
	if _, err := p.conn.Write(p.request.Bytes()); err != nil {
		return err
	}
	return readOK(p.reader)
}

// readOK reads an answer that must have status 200 and a Content-Length.
func readOK(r *bufio.Reader) error {
	status, err := r.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(status, []byte("HTTP/1.1 200 ")) {
		return fmt.Errorf("answer %q", status)
	}
	length := -1
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) <= 2 {
			break
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return err
			}
		}
	}
	if length < 0 {
		return errors.New("an answer without Content-Length")
	}
	_, err = r.Discard(length)
	return err
}
