package main_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// invocation is one run of the daemon that a test waits for the end or the ready line of.
type invocation struct {
	args []string
	env  []string
	dir  string
}

func (i invocation) start(t *testing.T) *process {
	t.Helper()
	var out bytes.Buffer
	command := exec.Command(program("deskbridge"), i.args...)
	command.Env, command.Dir = append(os.Environ(), i.env...), i.dir
	p := newProcess(nil, &out, command)
	if err := p.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.end(syscall.SIGKILL)
		if out.Len() > 0 && !strings.Contains(strings.Join(i.args, " "), "--help") {
			t.Errorf("it wrote to standard output: %s", out.String())
		}
	})
	return p
}

// onFreePorts are the flags that keep daemons out of each other's way.
func onFreePorts(t *testing.T, args ...string) []string {
	t.Helper()
	return append([]string{
		"--http-addr", "127.0.0.1:0", "--grpc-addr", "127.0.0.1:0", "--data-dir", filepath.Join(t.TempDir(), "data"),
	}, args...)
}

func mustBecomeReady(t *testing.T, p *process) string {
	t.Helper()
	line, err := p.await(t.Context(), readyLine)
	if err != nil {
		t.Fatal(err)
	}
	return line
}

var addresses = regexp.MustCompile(`http=127\.0\.0\.1:(\d+) grpc=127\.0\.0\.1:(\d+)`)

func TestReadyLineNamesTheAddresses(t *testing.T) {
	t.Parallel()
	p := invocation{args: onFreePorts(t)}.start(t)
	match := addresses.FindStringSubmatch(mustBecomeReady(t, p))
	if match == nil || match[1] == "0" || match[2] == "0" || match[1] == match[2] {
		t.Fatalf("no two addresses in %s", p.watch)
	}
	if _, err := readAll(t.Context(), "127.0.0.1:"+match[2]); err != nil {
		t.Error(err)
	}
}

// TestSignalEndsCleanly also signals as soon as the daemon says that it is ready.
func TestSignalEndsCleanly(t *testing.T) {
	t.Parallel()
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		for range 3 {
			p := invocation{args: onFreePorts(t)}.start(t)
			mustBecomeReady(t, p)
			if code := p.end(signal); code != 0 {
				t.Errorf("%v: exit code %d\n%s", signal, code, p.watch)
			}
			if line, _ := p.watch.line("deskbridge has stopped"); line == "" {
				t.Errorf("%v: the log does not say that it has stopped:\n%s", signal, p.watch)
			}
		}
	}
}

// TestSignalWithReaders ends a daemon that a subscriber is connected to.
func TestSignalWithReaders(t *testing.T) {
	t.Parallel()
	d := startDaemon(t)
	subscribers := startSubscribers(t, following("all", d.grpcAddr, nil, func(event) bool { return true }))
	for _, c := range callbacksOf("a") {
		if err := d.post(newHTTPClient(t), c); err != nil {
			t.Fatal(err)
		}
	}
	reached := func() bool { return subscribers.all[0].count() == 2 }
	if err := eventually(t.Context(), "two events", reached); err != nil {
		t.Fatal(err)
	}
	if code := d.end(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d\n%s", code, d.watch)
	}
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	taken := freeAddress(t)
	holder := invocation{args: onFreePorts(t, "--http-addr", taken)}.start(t)
	mustBecomeReady(t, holder)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		args  []string
		code  int
		names string // what the message must say
	}{
		"help":               {[]string{"--help"}, 0, ""},
		"unknown flag":       {[]string{"--nonsense"}, 2, "--nonsense"},
		"argument":           {[]string{"nonsense"}, 2, "nonsense"},
		"no number":          {[]string{"--max-bytes", "many"}, 2, "max-bytes"},
		"no duration":        {[]string{"--ack-timeout", "soon"}, 2, "ack-timeout"},
		"out of range":       {[]string{"--ack-timeout", "0s"}, 2, "ack-timeout"},
		"not one of":         {[]string{"--sync", "never"}, 2, "--sync"},
		"open to everybody":  {[]string{"--http-addr", "0.0.0.0:0"}, 2, "--http-addr"},
		"no such config":     {[]string{"--config", "/nonexistent.yaml"}, 2, "/nonexistent.yaml"},
		"port taken":         {onFreePorts(t, "--http-addr", taken), 1, "--http-addr"},
		"no such token file": {onFreePorts(t, "--callback-token-file", "/nonexistent"), 1, "--callback-token-file"},
		"empty token file":   {onFreePorts(t, "--callback-token-file", file), 1, "--callback-token-file"},
		"data in a file":     {onFreePorts(t, "--data-dir", file), 1, file},
	} {
		p := invocation{args: test.args}.start(t)
		if code := p.wait(); code != test.code || !strings.Contains(p.watch.String(), test.names) {
			t.Errorf("%s: exit code %d, want %d and a message with %q:\n%s", name, code, test.code, test.names, p.watch)
		}
	}
}

func TestSecondProcessOnADirectory(t *testing.T) {
	t.Parallel()
	d := startDaemon(t)
	second := invocation{args: onFreePorts(t, "--data-dir", d.dataDir)}.start(t)
	if code := second.wait(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	for _, text := range []string{d.dataDir, "another process"} {
		if !strings.Contains(second.watch.String(), text) {
			t.Errorf("the message does not say %q:\n%s", text, second.watch)
		}
	}
	if err := d.post(newHTTPClient(t), callbacksOf("a")[0]); err != nil {
		t.Errorf("the first process: %v", err)
	}
}

// TestSettingsPrecedence gives one setting in up to three places.
func TestSettingsPrecedence(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	config := filepath.Join(directory, "deskbridge.yaml")
	text := "data-dir: " + directory + "/file\nlog-format: json\nhttp-addr: 127.0.0.1:0\ngrpc-addr: 127.0.0.1:0\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	environment := []string{"DESKBRIDGE_DATA_DIR=" + directory + "/environment"}
	flags := []string{"--data-dir", directory + "/flag"}
	for want, i := range map[string]invocation{
		"file":        {args: []string{"--config", config}},
		"environment": {args: []string{"--config", config}, env: environment},
		"flag":        {args: append([]string{"--config", config}, flags...), env: environment},
	} {
		p := i.start(t)
		line, err := p.await(t.Context(), readyLine)
		if err != nil {
			t.Errorf("%s: %v", want, err)
			continue
		}
		if !strings.HasPrefix(line, "{") {
			t.Errorf("%s: log-format of the file has no effect: %s", want, line)
		}
		if _, err := os.Stat(filepath.Join(directory, want)); err != nil {
			t.Errorf("%s: %v", want, err)
		}
		p.end(syscall.SIGKILL)
		if err := os.RemoveAll(filepath.Join(directory, want)); err != nil {
			t.Error(err)
		}
	}
	left, err := filepath.Glob(directory + "/*")
	if err != nil || len(left) != 1 {
		t.Errorf("other places were used: %v %v", left, err)
	}
}

// TestSettingsOfEnvironmentAlone has no flag at all.
func TestSettingsOfEnvironmentAlone(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	config := filepath.Join(directory, "deskbridge.yaml")
	if err := os.WriteFile(config, []byte("http-addr: 127.0.0.1:0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	i := invocation{dir: directory, env: []string{
		"DESKBRIDGE_CONFIG=" + config, "DESKBRIDGE_GRPC_ADDR=127.0.0.1:0", "DESKBRIDGE_LOG_FORMAT=json",
		"DESKBRIDGE_DEDUPE_WINDOW=5m",
	}}
	mustBecomeReady(t, i.start(t))
	if _, err := os.Stat(filepath.Join(directory, "data")); err != nil {
		t.Errorf("the default of --data-dir: %v", err)
	}
}

// TestSecretsStaySecret looks for the token wherever others could see it: in the log at its most talkative, and in what
// the system shows of the process.
func TestSecretsStaySecret(t *testing.T) {
	t.Parallel()
	const secret = "sesame-3f81c0"
	const text = "Where is my parcel 8831?"
	tokens := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(tokens, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := startDaemon(t, "--callback-token-file", tokens, "--log-level", "debug")
	body := `{"SessionId":"a","Event":"Human.UserSendMsg","MsgBody":[{"MsgType":"TIMTextElem","MsgContent":{"Text":"` + text + `"}}]}`
	if err := d.post(newHTTPClient(t), callback{body: body}); err == nil {
		t.Error("an unsigned callback was taken")
	}
	bodyFile := filepath.Join(t.TempDir(), "body.json")
	if err := os.WriteFile(bodyFile, []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
	send := exec.Command(program("deskctl"), "send", "--url", d.webhook(), "--token-file", tokens, bodyFile)
	if output, err := send.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	d.wantStored(t, 1)
	seen := map[string]string{"log": d.watch.String()}
	for _, name := range []string{"cmdline", "environ"} {
		content, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(d.command.Process.Pid), name))
		if err != nil {
			t.Fatal(err)
		}
		seen[name] = string(content)
	}
	for where, content := range seen {
		for _, private := range []string{secret, text} {
			if strings.Contains(content, private) {
				t.Errorf("%q is in the %s: %s", private, where, content)
			}
		}
	}
}
