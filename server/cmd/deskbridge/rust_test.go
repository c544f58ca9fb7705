//go:build rust

package main_test

import (
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// TestRustExample builds the consumer in Rust from the contract, has it read what is played, and ends it; a second one
// goes on behind the cursor that the first has printed.
func TestRustExample(t *testing.T) {
	d := startDaemon(t)
	epoch, err := awaitEpoch(t.Context(), d.grpcAddr)
	if err != nil {
		t.Fatal(err)
	}
	consumer := buildRustExample(t)
	d.play(t, "first")
	first := d.consume(t, consumer, epoch+":0", "1 Human.UserSendMsg first")
	cursor, err := first.await(t.Context(), "done up to "+epoch+":1")
	if err != nil {
		t.Fatal(err)
	}
	first.end(syscall.SIGTERM)
	d.play(t, "second")
	second := d.consume(t, consumer, cursor[len("done up to "):], "2 Human.UserSendMsg second")
	if repeat, _ := second.watch.line("first"); repeat != "" {
		t.Errorf("it came again: %s", repeat)
	}
}

func buildRustExample(t *testing.T) string {
	t.Helper()
	directory := filepath.Join(repository, "examples", "rust")
	target := filepath.Join(directory, "target")
	build := exec.CommandContext(t.Context(), "cargo", "build", "--quiet", "--target-dir", target,
		"--manifest-path", filepath.Join(directory, "Cargo.toml"))
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("cargo build: %v\n%s", err, output)
	}
	return filepath.Join(target, "debug", "deskbridge-consumer")
}

func (d *daemon) play(t *testing.T, session string) {
	t.Helper()
	body := `{"SessionId":"` + session + `","Event":"Human.UserSendMsg"}`
	if err := d.post(newHTTPClient(t), callback{body: body}); err != nil {
		t.Fatal(err)
	}
}

// consume starts the consumer and waits until it has written the line.
func (d *daemon) consume(t *testing.T, consumer, cursor, line string) *process {
	t.Helper()
	output := newLineWatch(nil)
	p := newProcess(nil, nil, exec.Command(consumer, "http://"+d.grpcAddr, cursor))
	p.watch, p.command.Stdout, p.command.Stderr = output, output, output
	if err := p.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.end(syscall.SIGKILL) })
	if _, err := p.await(t.Context(), line); err != nil {
		t.Fatal(err)
	}
	return p
}
