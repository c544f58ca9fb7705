package main_test

import (
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
)

// startDaemon runs a daemon of its own on a directory of its own.
func startDaemon(t *testing.T, args ...string) *daemon {
	t.Helper()
	directory := workspace(t)
	d := &daemon{
		httpAddr: freeAddress(t), grpcAddr: freeAddress(t), dataDir: filepath.Join(directory, "data"), args: args,
		log: createLog(t, filepath.Join(directory, "daemon.log")),
	}
	d.restart(t)
	t.Cleanup(func() { d.end(syscall.SIGKILL) })
	return d
}

func (d *daemon) restart(t *testing.T) {
	t.Helper()
	if err := d.launch(); err != nil {
		t.Fatal(err)
	}
	if err := d.awaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// callback is a body and the RequestID it comes under, which may be missing.
type callback struct{ requestID, body string }

func (d *daemon) post(client *http.Client, c callback) error {
	query := url.Values{"SdkAppid": {app}, "CallbackCommand": {"Desk.SessionEventNotify"}}
	if c.requestID != "" {
		query.Set("RequestID", c.requestID)
	}
	status, answer, err := post(client, d.webhook()+"?"+query.Encode(), c.body)
	if err == nil && !isOK(status, answer) {
		err = fmt.Errorf("answer %d %s", status, answer)
	}
	return err
}

func newHTTPClient(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 100}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

func callbacksOf(name string) []callback {
	body := func(session string) string {
		return `{"CallbackCommand":"Desk.SessionEventNotify","SessionId":"` + session +
			`","Event":"SessionBegin","EventTime":1735689600123}`
	}
	return []callback{{requestID: "request-" + name, body: body(name + "-1")}, {body: body(name + "-2")}}
}

// TestRepeatAfterKill repeats callbacks to a process that has never seen them: what it knows it has from the disk.
func TestRepeatAfterKill(t *testing.T) {
	t.Parallel()
	d, client := startDaemon(t), newHTTPClient(t)
	const rounds = 4
	var all []callback
	for round := range rounds {
		all = append(all, callbacksOf(fmt.Sprint(round))...)
		for range 2 {
			for _, c := range all {
				if err := d.post(client, c); err != nil {
					t.Fatalf("round %d: %v", round, err)
				}
			}
		}
		d.end(syscall.SIGKILL)
		d.restart(t)
	}
	for _, c := range all {
		if err := d.post(client, c); err != nil {
			t.Fatal(err)
		}
	}
	d.wantStored(t, 2*rounds)
}

// wantStored wants that many events, each of a session of its own.
func (d *daemon) wantStored(t *testing.T, want int) {
	t.Helper()
	stored, err := readAll(t.Context(), d.grpcAddr)
	if err != nil {
		t.Fatal(err)
	}
	sessions, ids := map[string]bool{}, map[string]bool{}
	for _, e := range stored {
		sessions[e.Session], ids[e.ID] = true, true
	}
	if len(stored) != want || len(sessions) != want || len(ids) != want {
		t.Errorf("%d events of %d sessions with %d ids are stored, want %d of each: %v",
			len(stored), len(sessions), len(ids), want, stored)
	}
}

// TestRepeatAfterUnansweredPost kills the daemon while callbacks are on their way, and posts them all again: whatever
// became of the first ones, there is one event each.
func TestRepeatAfterUnansweredPost(t *testing.T) {
	t.Parallel()
	d, client := startDaemon(t), newHTTPClient(t)
	var all []callback
	for n := range 200 {
		all = append(all, callbacksOf(fmt.Sprint(n))...)
	}
	posts := d.postAtOnce(client, all)
	d.end(syscall.SIGKILL)
	posts.Wait()
	d.restart(t)
	again := make(chan error, len(all))
	var second sync.WaitGroup
	for _, c := range all {
		second.Go(func() { again <- d.post(client, c) })
	}
	second.Wait()
	close(again)
	for err := range again {
		if err != nil {
			t.Fatal(err)
		}
	}
	d.wantStored(t, len(all))
}

// postAtOnce posts each, once, and returns when the first one is answered. The others may fail.
func (d *daemon) postAtOnce(client *http.Client, all []callback) *sync.WaitGroup {
	var posts sync.WaitGroup
	first := make(chan struct{}, len(all))
	for _, c := range all {
		posts.Go(func() {
			_ = d.post(client, c)
			first <- struct{}{}
		})
	}
	<-first
	return &posts
}

func TestCopiesAtOnceAreOneEvent(t *testing.T) {
	t.Parallel()
	d, client := startDaemon(t), newHTTPClient(t)
	for _, c := range callbacksOf("copied") {
		answers := make(chan error, 100)
		for range cap(answers) {
			go func() { answers <- d.post(client, c) }()
		}
		for range cap(answers) {
			if err := <-answers; err != nil {
				t.Error(err)
			}
		}
	}
	d.wantStored(t, 2)
}
