package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const unitFile = "systemd/deskbridge.service"

// TestUnit holds the unit's settings to the bridge's, and has systemd check the rest where it is there.
func TestUnit(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	environment := readEnvironment(t, "systemd/deskbridge.env")
	stop := time.Duration(0)
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch key {
		case "Environment":
			name, value, _ := strings.Cut(value, "=")
			environment[name] = value
		case "TimeoutStopSec":
			if stop, err = time.ParseDuration(value); err != nil {
				t.Error(err)
			}
		}
	}
	for name, value := range environment {
		if strings.Contains(value, "%d") || strings.Contains(value, "CREDENTIALS_DIRECTORY") {
			t.Errorf("%s is a copy that systemd makes at the start: the bridge would not see a change", name)
		}
	}
	config := parseSettings(t, environment)
	if err := config.Validate(); err != nil || config.Insecure {
		t.Errorf("settings are refused or insecure: %v", err)
	}
	if need := config.ShutdownDelay + config.DrainTimeout + closingTime; stop < need {
		t.Errorf("TimeoutStopSec is %s, a shutdown may take %s", stop, need)
	}
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Log("systemd-analyze is not there: the unit was not verified")
		return
	}
	verifyUnit(t, string(text))
}

// verifyUnit puts a program that is there in place of the installed one.
func verifyUnit(t *testing.T, text string) {
	t.Helper()
	unit := filepath.Join(t.TempDir(), filepath.Base(unitFile))
	text = strings.ReplaceAll(text, "/usr/local/bin/deskbridge", "/bin/true")
	if err := os.WriteFile(unit, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if complaints := run(t, "systemd-analyze", "verify", unit); complaints != "" {
		t.Error(complaints)
	}
}

func readEnvironment(t *testing.T, file string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	environment := map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, value, assigned := strings.Cut(strings.TrimSpace(line), "=")
		if assigned && !strings.HasPrefix(name, "#") {
			environment[name] = value
		}
	}
	return environment
}
