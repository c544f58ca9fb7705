package main_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// power is what the daemon of a chaos lives on: a disk that forgets.
type power struct {
	*chaos
	mountpoint string
	mount      *mount
}

// noPowerCuts says why this machine can't do them, nil when it can.
func noPowerCuts() error {
	if os.Getuid() != 0 {
		return errors.New("this is not root")
	}
	_, err := os.Stat("/dev/fuse")
	return err
}

// reportUntested makes sure that nobody takes this for a test that passed. CI must fail.
func reportUntested(t *testing.T, reason error) {
	t.Helper()
	const text = "NOT TESTED: power cuts need root and /dev/fuse"
	if os.Getenv("CI") != "" {
		t.Fatalf("%s: %v", text, reason)
	}
	fmt.Printf("%s: %s: %v\n", t.Name(), text, reason) // also without -v
}

// newPower returns false on a machine that can't do this.
func newPower(t *testing.T, args ...string) (*power, bool) {
	t.Helper()
	if reason := noPowerCuts(); reason != nil {
		reportUntested(t, reason)
		return nil, false
	}
	p := &power{mountpoint: t.TempDir()}
	p.chaos = newChaos(t, filepath.Join(p.mountpoint, "deskbridge", "data"), args...)
	m, err := mountDisk(newDisk(rand.New(rand.NewPCG(p.seed, 9))), p.mountpoint)
	if err != nil {
		t.Fatal(err)
	}
	p.mount = m
	p.daemon.bootID = filepath.Join(p.directory, "boot_id")
	p.boot()
	t.Cleanup(func() {
		if err := p.mount.unmount(); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return p, true
}

// cut ends the daemon and the disk, and mounts what is left.
func (p *power) cut() {
	p.t.Helper()
	left := p.mount.disk.cut()
	p.daemon.end(syscall.SIGKILL)
	_, _ = fmt.Fprintf(p.daemon.log, "=== power cut; lost:\n%s\n", strings.Join(p.mount.disk.losses, "\n"))
	p.remount(left)
	p.boot()
}

func (p *power) remount(d *disk) {
	p.t.Helper()
	if err := p.mount.unmount(); err != nil {
		p.t.Fatalf("unmount: %v", err)
	}
	m, err := mountDisk(d, p.mountpoint)
	if err != nil {
		p.t.Fatal(err)
	}
	p.mount = m
}

// boot gives the machine a new boot ID, as after a power cut.
func (p *power) boot() {
	p.t.Helper()
	id := fmt.Sprintf("%016x\n", p.random.Uint64())
	if err := os.WriteFile(p.daemon.bootID, []byte(id), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// strike cuts the power, at times after the daemon has been killed and started again, or was stopped in order: what it
// left unsynced must not be taken for safe.
func (p *power) strike(ctx context.Context) error {
	if err := p.awaitFailure(ctx); err != nil {
		return err
	}
	switch kind := p.random.IntN(4); {
	case p.mount.disk.isDead():
	case kind == 0:
		if err := p.endInOrder(ctx); err != nil {
			return err
		}
	case kind == 1:
		p.daemon.end(syscall.SIGKILL)
		p.launch()
		if err := p.awaitFailure(ctx); err != nil {
			return err
		}
	}
	p.cut()
	// A new setting is written to the journal's own files: at a moment like any other.
	p.daemon.args = []string{"--dedupe-window", []string{"10m", "10m", "11m"}[p.random.IntN(3)]}
	p.launch()
	return nil
}

// endInOrder stops the daemon, also just after it became ready.
func (p *power) endInOrder(ctx context.Context) error {
	if err := p.daemon.awaitReady(ctx); err != nil {
		return err
	}
	if code := p.daemon.end(syscall.SIGTERM); code != 0 {
		return fmt.Errorf("the daemon ended with %d: %s", code, p.daemon.watch)
	}
	return nil
}

// awaitFailure returns at a random moment, or when the disk has failed at a random change. A start has some forty.
func (p *power) awaitFailure(ctx context.Context) error {
	if p.strikes == 0 || p.random.IntN(2) == 0 {
		return p.awaitMoment(ctx)
	}
	p.strikes++
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case <-p.mount.disk.failAfter(1 + p.random.IntN([]int{40, 400}[p.random.IntN(2)])):
		return nil
	case <-p.daemon.exited:
		if p.mount.disk.isDead() {
			return nil
		}
		return fmt.Errorf("the daemon ended by itself: %w\n%s", p.daemon.err, p.daemon.watch)
	case <-ctx.Done():
		return fmt.Errorf("the disk saw too few changes: %w\n%s", ctx.Err(), p.daemon.watch)
	}
}

// TestPowerCut is TestChaos on a disk that forgets what was not synced.
func TestPowerCut(t *testing.T) {
	p, ok := newPower(t)
	if !ok {
		return
	}
	p.begin()
	p.subscribe()
	for range *chaosCuts {
		if err := p.strike(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := p.subscribers.failed(); err != nil {
			t.Fatal(err)
		}
	}
	p.check(p.finish("power cuts", *chaosCuts))
}

// TestPowerCutAtFirstStart cuts the power while the journal is made, at one change after the other: what is left must
// not keep the next start from making it.
func TestPowerCutAtFirstStart(t *testing.T) {
	p, ok := newPower(t)
	if !ok {
		return
	}
	defer func() { p.daemon.end(syscall.SIGKILL) }()
	const changes = 75 // of a first start, and some more
	random := rand.New(rand.NewPCG(p.seed, 5))
	for _, n := range random.Perm(changes)[:min(changes, 2**chaosCuts)] {
		failed := p.mount.disk.failAfter(1 + n)
		p.launch()
		err := eventually(t.Context(), "the disk's failure", func() bool { return isClosed(failed) || p.isServing() })
		if err != nil {
			t.Fatal(err)
		}
		p.cut()
		// The second start must find what the first one has taken.
		for _, step := range []func() error{p.launchReady, p.takesOne, p.launchReady, p.hasOne} {
			if err := step(); err != nil {
				t.Fatalf("seed %d: after a power cut at change %d: %v", p.seed, 1+n, err)
			}
		}
		p.replaceDisk()
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (p *power) isServing() bool {
	line, _ := p.daemon.watch.line(readyLine)
	return line != ""
}

// launchReady kills the daemon where one runs, starts it and waits for it.
func (p *power) launchReady() error {
	p.daemon.end(syscall.SIGKILL)
	return errors.Join(p.daemon.launch(), p.daemon.awaitReady(p.t.Context()))
}

func (p *power) takesOne() error {
	connection := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	if err := p.daemon.post(connection, callbacksOf("first")[0]); err != nil {
		return err
	}
	return p.hasOne()
}

func (p *power) hasOne() error {
	stored, err := readAll(p.t.Context(), p.daemon.grpcAddr)
	if err == nil && len(stored) != 1 {
		err = fmt.Errorf("stored %v", stored)
	}
	return err
}

// replaceDisk ends the daemon and mounts an empty disk.
func (p *power) replaceDisk() {
	p.t.Helper()
	p.daemon.end(syscall.SIGKILL)
	p.remount(newDisk(p.mount.disk.random))
}

// TestPowerCutLosesWithoutSync shows that the disk forgets, and that the check would notice. The bridge goes on with what
// is left, as often as that happens.
func TestPowerCutLosesWithoutSync(t *testing.T) {
	const least, most = 3, 10
	p, ok := newPower(t, "--sync", "interval")
	if !ok {
		return
	}
	p.begin()
	lost := 0
	for cuts := 1; cuts <= least || lost == 0 && cuts <= most; cuts++ {
		if err := p.awaitLoad(t.Context()); err != nil {
			t.Fatalf("seed %d: %v", p.seed, err)
		}
		p.pause(time.Second)
		p.cut()
		p.launch()
		lost += p.losses()
	}
	if lost == 0 {
		t.Errorf("seed %d: nothing was lost in %d power cuts", p.seed, most)
	}
}

// losses compares what was acknowledged before now with what the journal has.
func (p *power) losses() int {
	p.t.Helper()
	acknowledged, err := p.load.recorded()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := p.daemon.awaitReady(p.t.Context()); err != nil {
		p.t.Fatalf("seed %d: %v", p.seed, err)
	}
	stored, err := readAll(p.t.Context(), p.daemon.grpcAddr)
	if err != nil {
		p.t.Fatal(err)
	}
	h := history{acknowledged: acknowledged, stored: stored}
	p.t.Logf("%d of %d acknowledged callbacks are lost", h.losses(), len(acknowledged))
	return h.losses()
}
