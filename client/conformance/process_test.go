//go:build clients

package conformance_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"testing"
)

// root is the repository's, where programs run.
const root = "../.."

// process is a program of some language. It is killed with the test, if it has not ended by then.
type process struct {
	command *exec.Cmd
	input   io.WriteCloser
	errors  bytes.Buffer // its standard error; to be read when it has exited
	exited  chan struct{}
	exit    error // valid once exited
}

// launch starts a program. take is called with each line of its standard output, by one goroutine.
func launch(t testing.TB, program, environment []string, take func(line []byte)) *process {
	t.Helper()
	p := &process{exited: make(chan struct{})}
	p.command = exec.CommandContext(context.Background(), program[0], program[1:]...)
	p.command.Dir, p.command.Stderr = root, &p.errors
	p.command.Env = append(os.Environ(), environment...)
	input, err := p.command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := p.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.command.Start(); err != nil {
		t.Fatalf("is it built? make build-clients: %v", err)
	}
	p.input = input
	go p.read(output, take)
	t.Cleanup(func() {
		p.kill()
		if p.errors.Len() > 0 && t.Failed() {
			t.Logf("standard error of the program:\n%s", p.errors.String())
		}
	})
	return p
}

func (p *process) read(output io.Reader, take func([]byte)) {
	defer close(p.exited)
	lines := bufio.NewReaderSize(output, 1<<20)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			break
		}
		take(line)
	}
	p.exit = p.command.Wait()
}

func (c *consumer) signal(signal os.Signal) {
	c.stage.Helper()
	if err := c.command.Process.Signal(signal); err != nil {
		c.stage.Fatal(err)
	}
}

// kill is kill -9. It does nothing to a program that has ended.
func (p *process) kill() {
	_ = p.command.Process.Kill()
	<-p.exited
}
