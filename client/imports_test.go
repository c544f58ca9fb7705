package client_test

import (
	"os/exec"
	"strings"
	"testing"
)

// A consumer's program must not grow by the bridge it talks to, nor be bound to the libraries that one happens to use.
func TestImportsNothingOfTheServer(t *testing.T) {
	t.Parallel()
	output, err := exec.Command("go", "list", "-deps", ".", "./cmd/...").CombinedOutput()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, output)
	}
	packages := strings.Fields(string(output))
	if len(packages) < 100 {
		t.Fatalf("go list found only %d packages", len(packages))
	}
	for _, path := range packages {
		for _, forbidden := range []string{"deskbridge/deskbridge/server", "nats-io", "grpc-gateway", "cel-go"} {
			if strings.Contains(path, forbidden) {
				t.Errorf("the client depends on %s", path)
			}
		}
	}
}
