package journal_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/deskbridge/deskbridge/server/internal/journal"
)

func TestSecondOpenNamesTheDirectory(t *testing.T) {
	t.Parallel()
	config := journal.Config{Dir: t.TempDir()}
	first := open(t, config)
	_, err := journal.Open(t.Context(), config)
	if err == nil || !strings.Contains(err.Error(), config.Dir) || !strings.Contains(err.Error(), "another process") {
		t.Errorf("got %v, want an error that names the directory and the reason", err)
	}
	closeJournal(t, first)
	open(t, config)
}

func TestUnknownFormatIsRefused(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"newer": "deskbridge-journal 2\n", "foreign": "something else\n", "empty": "",
	} {
		dir := t.TempDir()
		j := open(t, journal.Config{Dir: dir})
		appendEntries(t, j, 1, 1)
		closeJournal(t, j)
		if err := os.WriteFile(filepath.Join(dir, "format"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := journal.Open(t.Context(), journal.Config{Dir: dir}); err == nil {
			t.Errorf("%s format: opened", name)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	for field, config := range map[string]journal.Config{
		"Dir":             {},
		"Sync":            {Dir: "x", Sync: "never"},
		"DedupeWindow":    {Dir: "x", DedupeWindow: -1},
		"MaxBytes":        {Dir: "x", MaxBytes: -1},
		"SpoolBytes":      {Dir: "x", SpoolBytes: -1},
		"Replicas":        {Dir: "x", Cluster: journal.Cluster{URLs: "nats://127.0.0.1:1", Replicas: 2}},
		"KeyFile":         {Dir: "x", Cluster: journal.Cluster{URLs: "nats://127.0.0.1:1", CertFile: "x"}},
		"QuarantineBytes": {Dir: "x", QuarantineBytes: -1},
		"AckTimeout":      {Dir: "x", AckTimeout: -1},
	} {
		if _, err := journal.Open(t.Context(), config); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: got %v, want an error that names it", field, err)
		}
	}
}
