package deskbridge

import (
	"os"
	"strings"
	"testing"
)

// TestSnippets wants a snippet of each language in the README, and holds each code block that names a file to that file.
// The conformance suite runs the files.
func TestSnippets(t *testing.T) {
	t.Parallel()
	readme := readText(t, "README.md")
	for _, name := range []string{
		"examples/go/main.go", "examples/python/tail.py", "examples/typescript/tail.ts", "examples/java/Tail.java",
	} {
		if !strings.Contains(readme, "<!-- snippet: "+name+" -->\n```") {
			t.Errorf("the README has no snippet of %s", name)
		}
	}
	checkSnippets(t, readme)
	checkSnippets(t, readText(t, "docs/clients.md"))
}

func readText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func checkSnippets(t *testing.T, text string) {
	t.Helper()
	for _, part := range strings.Split(text, "<!-- snippet: ")[1:] {
		name, rest, _ := strings.Cut(part, " -->\n")
		_, block, _ := strings.Cut(rest, "```")
		_, code, _ := strings.Cut(block, "\n")
		code, _, found := strings.Cut(code, "```")
		if !found || !strings.Contains(readText(t, name), code) {
			t.Errorf("a code block for %s is not in that file", name)
		}
	}
}
