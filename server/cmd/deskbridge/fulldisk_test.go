package main_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
)

// TestFullDisk takes the room away under load, at once, so that writes fail before the bridge can see it coming, and
// gives it back; then single writes fail. The bridge goes on by itself each time, and has lost nothing.
func TestFullDisk(t *testing.T) {
	p, ok := newPower(t)
	if !ok {
		return
	}
	p.begin()
	p.subscribe()
	for range 2 {
		if err := p.fill(t.Context()); err != nil {
			t.Fatalf("seed %d: full: %v", p.seed, err)
		}
		p.mount.disk.fill(false)
		if err := p.awaitLoad(t.Context()); err != nil {
			t.Fatalf("seed %d: with room again: %v", p.seed, err)
		}
		p.mount.disk.failWrites(2)
		if err := p.awaitLoad(t.Context()); err != nil {
			t.Fatalf("seed %d: after failed writes: %v", p.seed, err)
		}
	}
	if isClosed(p.daemon.exited) {
		t.Errorf("the daemon has ended: %v", p.daemon.err)
	}
	p.check(p.finish("full disks", 2))
}

// TestStartOnFullDisk starts the bridge where nothing can be written: what it has can be read.
func TestStartOnFullDisk(t *testing.T) {
	p, ok := newPower(t)
	if !ok {
		return
	}
	p.begin()
	p.subscribe()
	for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		if err := p.fill(t.Context()); err != nil {
			t.Fatalf("seed %d: full: %v", p.seed, err)
		}
		p.daemon.end(signal)
		p.launch()
		if err := p.daemon.awaitReady(t.Context()); err != nil {
			t.Fatalf("seed %d: %v: %v", p.seed, signal, err)
		}
		if err := p.refuses(t.Context()); err != nil {
			t.Fatalf("seed %d: %v: %v", p.seed, signal, err)
		}
		p.mount.disk.fill(false)
		if err := p.awaitLoad(t.Context()); err != nil {
			t.Fatalf("seed %d: %v, with room again: %v", p.seed, signal, err)
		}
	}
	p.check(p.finish("starts on full disks", 2))
}

func (p *power) fill(ctx context.Context) error {
	p.mount.disk.fill(true)
	return p.refuses(ctx)
}

// refuses returns when the daemon refuses callbacks for want of room. It lives, and what it has can be read.
func (p *power) refuses(ctx context.Context) error {
	err := eventually(ctx, "a refusal", func() bool { return strings.Contains(p.answer(), "50303") })
	if err != nil {
		return fmt.Errorf("%w: the last answer was %s", err, p.answer())
	}
	if status := p.probe("/livez"); status != http.StatusOK {
		return fmt.Errorf("/livez: got %d", status)
	}
	acknowledged, err := p.load.recorded()
	if err != nil {
		return err
	}
	stored, err := readAll(ctx, p.daemon.grpcAddr)
	if err == nil && len(stored) < len(acknowledged) {
		err = fmt.Errorf("%d callbacks were acknowledged, %d can be read", len(acknowledged), len(stored))
	}
	return err
}

// answer posts a callback of its own.
func (p *power) answer() string {
	c := callbacksOf("probe")[0]
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	_, answer, err := post(client, p.daemon.webhook()+"?SdkAppid="+app+"&RequestID="+c.requestID, c.body)
	return fmt.Sprint(answer, err)
}

func (p *power) probe(path string) int {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	response, err := client.Get("http://" + p.daemon.httpAddr + path)
	if err != nil {
		return 0
	}
	_ = response.Body.Close()
	return response.StatusCode
}
