package deskbridge

import (
	"os"
	"strings"
	"testing"
)

// TestReadmeSnippets holds each code block of the README that names a file to that file.
func TestReadmeSnippets(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(string(readme), "<!-- snippet: ")
	if len(parts) < 2 {
		t.Fatal("the README names no snippet")
	}
	for _, part := range parts[1:] {
		name, rest, _ := strings.Cut(part, " -->\n")
		_, block, _ := strings.Cut(rest, "```")
		_, code, _ := strings.Cut(block, "\n")
		code, _, found := strings.Cut(code, "```")
		source, err := os.ReadFile(name)
		if err != nil {
			t.Error(err)
			continue
		}
		if !found || !strings.Contains(string(source), code) {
			t.Errorf("the README's code block for %s is not in that file", name)
		}
	}
}
