package server_test

import (
	"bufio"
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestGoExample runs examples/go against a bridge: it prints the human stage of a session, and nothing else.
func TestGoExample(t *testing.T) {
	t.Parallel()
	b := startBridge(t, testConfig(t))
	program := filepath.Join(t.TempDir(), "example")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "../examples/go").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), testDeadline)
	defer cancel()
	command := exec.CommandContext(ctx, program, b.GRPCAddr())
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cancel()
		_ = command.Wait() // killed
	}()
	lines := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(out).ReadString('\n')
		lines <- line
	}()
	// The example starts at the head: feed it until it shows something.
	for i := 0; ; i++ {
		select {
		case line := <-lines:
			if !strings.Contains(line, "Human.UserSendMsg") {
				t.Errorf("the example printed %q", line)
			}
			return
		default:
			b.mustPost(documentQuery, documentedBody(t))
			b.mustPost(documentQuery, sessionBody("s", i))
		}
	}
}
