package main_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience bounds every wait for something that must happen: it is reached only by a fault.
const patience = 60 * time.Second

var binaries string // where TestMain has built the programs

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	directory, err := buildPrograms()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(directory)
	binaries = directory
	code := m.Run()
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// buildPrograms builds the daemon and deskctl as they are shipped: without the race detector.
func buildPrograms() (string, error) {
	directory, err := os.MkdirTemp("", "deskbridge-binaries-")
	if err != nil {
		return "", err
	}
	build := exec.Command("go", "build", "-o", directory+"/", ".", "../../../client/cmd/deskctl")
	if output, err := build.CombinedOutput(); err != nil {
		return "", errors.Join(fmt.Errorf("build: %w\n%s", err, output), os.RemoveAll(directory))
	}
	return directory, nil
}

func program(name string) string { return filepath.Join(binaries, name) }

// process is a program that was started. Its standard error goes to a file and is watched for lines.
type process struct {
	command *exec.Cmd
	started time.Time
	watch   *lineWatch
	exited  chan struct{}
	err     error // once exited
}

// start runs the program until the test ends at the latest. Standard output goes to out.
func start(t *testing.T, log *os.File, out *bytes.Buffer, name string, args ...string) *process {
	t.Helper()
	p := newProcess(log, out, exec.Command(program(name), args...))
	if err := p.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.end(syscall.SIGKILL) })
	return p
}

func newProcess(log *os.File, out *bytes.Buffer, command *exec.Cmd) *process {
	p := &process{command: command, watch: newLineWatch(log), exited: make(chan struct{})}
	command.Stderr = p.watch
	if out != nil {
		command.Stdout = out
	}
	return p
}

func (p *process) start() error {
	p.started = time.Now()
	if err := p.command.Start(); err != nil {
		return err
	}
	go func() {
		defer close(p.exited)
		p.err = p.command.Wait()
	}()
	return nil
}

// end sends the signal and waits for the exit. It returns the exit code, -1 after a signal.
func (p *process) end(signal syscall.Signal) int {
	_ = p.command.Process.Signal(signal) // it may have ended already
	return p.wait()
}

func (p *process) wait() int {
	select {
	case <-p.exited:
	case <-time.After(patience):
		_ = p.command.Process.Kill()
		<-p.exited
	}
	return p.command.ProcessState.ExitCode()
}

// lineWatch copies to a file and remembers what came.
type lineWatch struct {
	mu      sync.Mutex
	file    *os.File
	text    bytes.Buffer
	changed chan struct{} // closed and replaced at every write
}

func newLineWatch(file *os.File) *lineWatch {
	return &lineWatch{file: file, changed: make(chan struct{})}
}

func (w *lineWatch) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.file != nil {
		_, _ = w.file.Write(p)
	}
	close(w.changed)
	w.changed = make(chan struct{})
	return w.text.Write(p)
}

func (w *lineWatch) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// line returns the first whole line with the text in it, and a channel that is closed when there may be a new one.
func (w *lineWatch) line(text string) (string, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	scanner := bufio.NewScanner(bytes.NewReader(w.text.Bytes()))
	for scanner.Scan() {
		if strings.Contains(scanner.Text(), text) {
			return scanner.Text(), w.changed
		}
	}
	return "", w.changed
}

// await returns the line with the text, or an error when the process ends or time is up.
func (p *process) await(ctx context.Context, text string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		line, changed := p.watch.line(text)
		if line != "" {
			return line, nil
		}
		select {
		case <-changed:
		case <-p.exited:
			if line, _ := p.watch.line(text); line != "" {
				return line, nil
			}
			return "", fmt.Errorf("it ended before it wrote %q: %w\n%s", text, p.err, p.watch)
		case <-ctx.Done():
			return "", fmt.Errorf("it did not write %q: %w\n%s", text, ctx.Err(), p.watch)
		}
	}
}

const readyLine = "deskbridge is ready"

// daemon is a deskbridge that is started again and again, at the same addresses on the same directory.
type daemon struct {
	*process // the one that runs

	httpAddr, grpcAddr string
	dataDir            string
	args               []string
	bootID             string // file that takes the place of the system's, when not empty
	log                *os.File
	slowest            time.Duration // from a start until it was ready
}

func (d *daemon) launch() error {
	args := append([]string{
		"--http-addr", d.httpAddr, "--grpc-addr", d.grpcAddr, "--data-dir", d.dataDir, "--drain-spread", "50ms",
	}, d.args...)
	d.process = newProcess(d.log, nil, d.newCommand(args))
	return d.start()
}

// newCommand hides the system's boot ID from the daemon where that is asked for. It needs root.
func (d *daemon) newCommand(args []string) *exec.Cmd {
	if d.bootID == "" {
		return exec.Command(program("deskbridge"), args...)
	}
	const script = `mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"`
	command := exec.Command("sh", append([]string{"-c", script, d.bootID, program("deskbridge")}, args...)...)
	command.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	return command
}

func (d *daemon) awaitReady(ctx context.Context) error {
	if _, err := d.await(ctx, readyLine); err != nil {
		return fmt.Errorf("the daemon: %w", err)
	}
	d.slowest = max(d.slowest, time.Since(d.started))
	return nil
}

func (d *daemon) webhook() string { return "http://" + d.httpAddr + "/v1/callbacks/desk" }

// freeAddress is one that stays free while nobody listens there: below the range that the system takes the ports of
// outgoing connections from. A client that keeps trying a port of that range ends up connected to itself.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(12000))
		listener, err := net.Listen("tcp", address)
		if err == nil {
			_ = listener.Close()
			return address
		}
	}
	t.Fatal("found no free port")
	return ""
}

// workspace is a directory that is kept when the test fails.
func workspace(t *testing.T) string {
	t.Helper()
	directory, err := os.MkdirTemp("", "deskbridge-"+t.Name()+"-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("kept for inspection: %s", directory)
			return
		}
		if err := os.RemoveAll(directory); err != nil {
			t.Error(err)
		}
	})
	return directory
}

func createLog(t *testing.T, path string) *os.File {
	t.Helper()
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	return file
}

// eventually polls until the condition holds.
func eventually(ctx context.Context, what string, condition func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for !condition() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, ctx.Err())
		}
	}
	return nil
}
