package deploy_test

import (
	"debug/elf"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// dockerfile is its instructions, with continued lines joined.
type dockerfile [][]string

func readDockerfile(t *testing.T) (instructions dockerfile) {
	t.Helper()
	text, err := os.ReadFile("Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(strings.ReplaceAll(string(text), "\\\n", " ")) {
		if fields := strings.Fields(line); len(fields) > 0 && fields[0] != "#" {
			instructions = append(instructions, fields)
		}
	}
	return instructions
}

// environment is what the last stage sets.
func (d dockerfile) environment() map[string]string {
	environment := map[string]string{}
	for _, instruction := range d {
		if instruction[0] != "ENV" {
			continue
		}
		for _, assignment := range instruction[1:] {
			name, value, _ := strings.Cut(assignment, "=")
			environment[name] = value
		}
	}
	delete(environment, "PATH")
	return environment
}

// TestDockerfile runs the build's own commands, and looks for what the image takes over from them.
func TestDockerfile(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "out")
	built := map[string]bool{}
	for _, instruction := range readDockerfile(t) {
		command := strings.ReplaceAll(strings.Join(instruction[1:], " "), "/out/", out+"/")
		switch {
		case instruction[0] == "RUN" && command != "go mod download":
			run(t, "sh", "-ec", command)
		case instruction[0] == "COPY" && strings.HasPrefix(command, "--from=build"):
			for _, source := range strings.Fields(command) {
				built[filepath.Base(source)] = built[filepath.Base(source)] || exists(source)
			}
		}
	}
	for _, name := range []string{"deskbridge", "deskctl", "data"} {
		if !built[name] {
			t.Errorf("the image has no %s", name)
		}
	}
	for _, name := range []string{"deskbridge", "deskctl"} {
		wantStatic(t, filepath.Join(out, name))
	}
	if version := run(t, filepath.Join(out, "deskbridge"), "version"); !strings.HasPrefix(version, "deskbridge ") {
		t.Errorf("its version is %q", version)
	}
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// wantStatic wants a program that needs no loader and no library: the image has none.
func wantStatic(t *testing.T, name string) {
	t.Helper()
	file, err := elf.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, segment := range file.Progs {
		if segment.Type == elf.PT_INTERP {
			t.Errorf("%s needs a loader", name)
		}
	}
}
