package deskbridge

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// TestGuaranteesNameTests holds docs/guarantees.md to the tests that exist.
func TestGuaranteesNameTests(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("docs/guarantees.md")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "git", "grep", "-ho", "^func Test[A-Za-z0-9_]*", "--", "*_test.go").Output()
	if err != nil {
		t.Fatal(err)
	}
	exists := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		exists[strings.TrimSpace(strings.TrimPrefix(line, "func "))] = true
	}
	named := regexp.MustCompile("`(Test[A-Za-z0-9_]*)`").FindAllStringSubmatch(string(text), -1)
	if len(named) < 8 {
		t.Fatalf("docs/guarantees.md names %d tests", len(named))
	}
	for _, name := range named {
		if !exists[name[1]] {
			t.Errorf("docs/guarantees.md names %s, which is no test", name[1])
		}
	}
}
