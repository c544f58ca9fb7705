package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

const repository = "../../.."

// TestReadme runs the commands under "Start it", with ports and a data directory of its own in place of the defaults.
func TestReadme(t *testing.T) {
	t.Parallel()
	r := newReader(t)
	commands := r.commands()
	if len(commands) < 6 || commands[0] != "make run" {
		t.Fatalf("the commands are %q", commands)
	}
	for _, command := range commands[1:] {
		output := r.run(command)
		if !strings.Contains(output, r.wanted(command)) {
			t.Errorf("%s\nwrote %q, which has no %q", command, output, r.wanted(command))
		}
	}
}

// reader follows the README.
type reader struct {
	t         *testing.T
	text      string
	directory string // looks like the repository's root
	daemon    *daemon
}

func newReader(t *testing.T) *reader {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	r := &reader{t: t, text: string(text), directory: t.TempDir(), daemon: startDaemon(t)}
	root, err := filepath.Abs(repository)
	if err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"server": filepath.Join(root, "server"), "bin": binaries} {
		if err := os.Symlink(target, filepath.Join(r.directory, name)); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// commands of the section, each on one line. Those that need grpcurl are left out: the test doesn't build tools.
func (r *reader) commands() (commands []string) {
	_, section, _ := strings.Cut(r.text, "## Start it\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for _, match := range regexp.MustCompile("(?s)```shell\n(.*?)```").FindAllStringSubmatch(section, -1) {
		block := strings.ReplaceAll(match[1], "\\\n", " ")
		for _, line := range strings.Split(strings.TrimSpace(block), "\n") {
			if !strings.Contains(line, "grpcurl") {
				commands = append(commands, line)
			}
		}
	}
	return commands
}

// wanted is what the output of a command must have.
func (r *reader) wanted(command string) string {
	switch {
	case strings.Contains(command, "--data-binary"):
		_, answer, _ := strings.Cut(r.text, "The answer is `")
		answer, _, _ = strings.Cut(answer, "`")
		return answer
	case strings.Contains(command, "simulate"):
		return "acknowledged"
	case strings.Contains(command, "Human"):
		return "Human."
	default:
		return "2baf4d84-beb4-4607-a1ea-6ebcaef3e0e6" // the documented session
	}
}

// run runs a command to its end, or interrupts it where only that ends it, once it has written something.
func (r *reader) run(command string) string {
	r.t.Helper()
	command = strings.NewReplacer("127.0.0.1:8080", r.daemon.httpAddr, "127.0.0.1:9090", r.daemon.grpcAddr).Replace(command)
	shell := exec.Command("bash", "-euo", "pipefail", "-c", "exec "+command)
	shell.Dir = r.directory
	shell.Env = append(os.Environ(), "DESKCTL_URL="+r.daemon.webhook(), "DESKCTL_ADDR="+r.daemon.grpcAddr)
	output := newLineWatch(nil)
	shell.Stdout, shell.Stderr = output, output
	p := &process{command: shell, watch: output, exited: make(chan struct{})}
	if err := p.start(); err != nil {
		r.t.Fatal(err)
	}
	if strings.Contains(command, "tail") && !strings.Contains(command, "--until-caught-up") {
		if _, err := p.await(r.t.Context(), "Human."); err != nil {
			r.t.Errorf("%s: %v", command, err)
		}
		_ = p.command.Process.Signal(syscall.SIGINT)
	}
	if code := p.wait(); code != 0 {
		r.t.Errorf("%s\nended with %d: %s", command, code, output)
	}
	return output.String()
}
