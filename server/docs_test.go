package server_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/deskbridge/deskbridge/server"
)

var update = flag.Bool("update", false, "rewrite the generated parts of docs/")

const operations = "../docs/operations.md"

// docs keeps tests apart that rewrite the file.
var docs sync.Mutex

// holdSection holds a generated part of the operations manual to what it should be. With -update it is rewritten.
func holdSection(t *testing.T, name, want string) {
	t.Helper()
	docs.Lock()
	defer docs.Unlock()
	begin, end := "<!-- "+name+": begin -->\n", "<!-- "+name+": end -->\n"
	text, err := os.ReadFile(operations)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), begin)
	section, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("%s has no section between %q and %q", operations, begin, end)
	}
	if section == want {
		return
	}
	if !*update {
		t.Fatalf("the %s in %s differ from the code: run go test ./server -run Operations -update", name, operations)
	}
	if err := os.WriteFile(operations, []byte(before+begin+want+end+after), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestOperationsListsEverySetting holds the table of settings to the struct.
func TestOperationsListsEverySetting(t *testing.T) {
	t.Parallel()
	holdSection(t, "settings", settingsTable())
}

// TestTroubleshootingQuotesRealMessages looks for what the table says of the log in the sources.
func TestTroubleshootingQuotesRealMessages(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(operations)
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "\n## Troubleshoot\n")
	table, _, _ = strings.Cut(table, "\n## ")
	messages := regexp.MustCompile("(?m)^\\| `([^`]+)`").FindAllStringSubmatch(table, -1)
	if len(messages) < 10 {
		t.Fatalf("found %d messages", len(messages))
	}
	for _, message := range messages {
		found := exec.CommandContext(t.Context(), "git", "grep", "-qF", message[1], "--", "*.go", ":!*_test.go")
		if err := found.Run(); err != nil {
			t.Errorf("no source has %q: %v", message[1], err)
		}
	}
}

func settingsTable() string {
	var table strings.Builder
	table.WriteString("| setting | default | meaning |\n| --- | --- | --- |\n")
	for _, field := range reflect.VisibleFields(reflect.TypeFor[server.Config]()) {
		fallback := "none"
		if value := field.Tag.Get("default"); value != "" {
			fallback = "`" + value + "`"
		}
		fmt.Fprintf(&table, "| `--%s` | %s | %s |\n", field.Tag.Get("name"), fallback, field.Tag.Get("help"))
	}
	return table.String()
}
