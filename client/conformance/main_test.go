//go:build clients

package conformance_test

import (
	"flag"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var clients = flag.String("clients", "go,python,python-sync,typescript,java,java-listener", "clients to test")

// patience bounds every wait: only a fault reaches it.
const patience = 2 * time.Minute

// language is a client's language; one that has two clients, or two ways to subscribe, is here twice.
type language struct {
	name string
	// program is the command line of the conformance program, run from the repository's root.
	program []string
}

func languages() []language {
	const javaPath = "client/java/target/test-classes:client/java/target/classes:client/java/target/dependency/*"
	python := []string{"client/python/.venv/bin/python", "client/python/tests/conformance.py"}
	java := []string{
		// What makes a short-lived program start quickly.
		"java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", javaPath, "com.deskbridge.client.Conformance",
	}
	return []language{
		{name: "go", program: []string{"bin/conformance-go"}},
		{name: "python", program: python},
		{name: "python-sync", program: append(slices.Clip(python), "sync")},
		{name: "typescript", program: []string{"node", "client/typescript/dist/test/conformance.js"}},
		{name: "java", program: java},
		{name: "java-listener", program: append(slices.Clip(java), "listener")},
	}
}

func chosenLanguages(t *testing.T) []language {
	t.Helper()
	var chosen []language
	for name := range strings.SplitSeq(*clients, ",") {
		all := languages()
		i := slices.IndexFunc(all, func(l language) bool { return l.name == name })
		if i < 0 {
			t.Fatalf("-clients: there is no client in %q", name)
		}
		chosen = append(chosen, all[i])
	}
	return chosen
}

// TestConformance plays every scenario with every client, and prints the table.
func TestConformance(t *testing.T) {
	chosen := chosenLanguages(t)
	table := newTable(chosen)
	t.Cleanup(func() { table.print(t) })
	archive := newArchive(t)
	for _, scenario := range scenarios() {
		for _, language := range chosen {
			t.Run(scenario.name+"/"+language.name, func(t *testing.T) {
				t.Parallel()
				started := time.Now()
				t.Cleanup(func() { table.record(scenario.name, language.name, !t.Failed(), time.Since(started)) })
				scenario.run(&stage{T: t, language: language, archive: archive})
			})
		}
	}
}

// scenario is a row of the table.
type scenario struct {
	name string
	run  func(*stage)
}

func scenarios() []scenario {
	return slices.Concat(startScenarios(), filterScenarios(), resumeScenarios(), faultScenarios(), errorScenarios(),
		contentScenarios(), newerScenarios(), endScenarios())
}

// stage is where one client plays a scenario.
type stage struct {
	*testing.T
	language language
	archive  *archive
}
