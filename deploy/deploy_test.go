// Package deploy_test holds what is handed to Docker, systemd and Kubernetes to the bridge's settings. It needs none of
// them: manifests are decoded strictly into Kubernetes' own types.
package deploy_test

import (
	"context"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/deskbridge/deskbridge/server"
)

// closingTime is for what comes behind the drain of a shutdown: the journal closes.
const closingTime = 20 * time.Second

// parseSettings wants each variable of ours to be a setting, and its value to be one.
func parseSettings(t *testing.T, environment map[string]string) server.Config {
	t.Helper()
	var args []string
	for _, name := range slices.Sorted(maps.Keys(environment)) {
		if setting, ours := strings.CutPrefix(name, "DESKBRIDGE_"); ours {
			flag := strings.ToLower(strings.ReplaceAll(setting, "_", "-"))
			args = append(args, "--"+flag+"="+environment[name])
		}
	}
	var config struct{ server.Config }
	parser, err := kong.New(&config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(args); err != nil {
		t.Errorf("%q: %v", args, err)
	}
	return config.Config
}

// startBridge runs a bridge until the test ends.
func startBridge(t *testing.T) *server.Server {
	t.Helper()
	config := server.DefaultConfig()
	config.DataDir = t.TempDir()
	config.HTTPAddr, config.GRPCAddr, config.MetricsAddr = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	bridge, err := server.New(t.Context(), config, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- bridge.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return bridge
}

// wantOK asks until the bridge is ready.
func wantOK(t *testing.T, url string) {
	t.Helper()
	var status, answer string
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if status, answer = get(t, url); status == "200 OK" && answer == "ok\n" {
			return
		}
	}
	t.Errorf("%s: got %s %q", url, status, answer)
}

func get(t *testing.T, url string) (status, answer string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.Status, string(body)
}

// run runs a command in the repository's root.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), name, args...)
	command.Dir = ".."
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, output)
	}
	return string(output)
}
