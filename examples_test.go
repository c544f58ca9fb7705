package deskbridge

import (
	"os"
	"strings"
	"testing"
)

// TestReadmeSnippets wants a snippet of each language, and holds each code block of the README that names a file to that
// file. The conformance suite runs the files.
func TestReadmeSnippets(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"examples/go/main.go", "examples/python/tail.py", "examples/typescript/tail.ts", "examples/java/Tail.java",
	} {
		if !strings.Contains(string(readme), "<!-- snippet: "+name+" -->\n```") {
			t.Errorf("the README has no snippet of %s", name)
		}
	}
	for _, part := range strings.Split(string(readme), "<!-- snippet: ")[1:] {
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
