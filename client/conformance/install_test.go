//go:build clients

package conformance_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTypeScriptInstallsFromItsDirectory takes the package as a fresh clone has it, and wants one command to do.
func TestTypeScriptInstallsFromItsDirectory(t *testing.T) {
	t.Parallel()
	if !isChosen("typescript") {
		return
	}
	directory := t.TempDir()
	source, app := filepath.Join(directory, "typescript"), filepath.Join(directory, "app")
	copyPackage(t, filepath.Join(root, "client/typescript"), source)
	if err := os.Mkdir(app, 0o700); err != nil {
		t.Fatal(err)
	}
	succeeds(t, "npm", "install", "--prefix", app, "--no-audit", "--no-fund", source)
	program := filepath.Join(app, "main.mjs")
	if err := os.WriteFile(program, []byte(`import { Client } from "@deskbridge/client";
console.log(typeof Client);
`), 0o600); err != nil {
		t.Fatal(err)
	}
	if lines := succeeds(t, "node", program); strings.Join(lines, "") != "function" {
		t.Errorf("the program printed %q", lines)
	}
}

// copyPackage leaves out what a clone does not have.
func copyPackage(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, clean{os.DirFS(from)}); err != nil {
		t.Fatal(err)
	}
}

// clean is a file system without what npm installs and builds.
type clean struct{ fs.FS }

func (c clean) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(c.FS, name)
	var kept []fs.DirEntry
	for _, entry := range entries {
		if entry.Name() != "node_modules" && entry.Name() != "dist" {
			kept = append(kept, entry)
		}
	}
	return kept, err
}

// succeeds runs a program to its end and returns what it printed.
func succeeds(t *testing.T, program ...string) []string {
	t.Helper()
	var lines []string
	p := launch(t, program, nil, func(line []byte) { lines = append(lines, strings.TrimSpace(string(line))) })
	<-p.exited
	if p.exit != nil {
		t.Fatalf("%q ended with %v: %q\n%s", program, p.exit, lines, p.errors.String())
	}
	return lines
}
