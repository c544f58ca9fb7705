//go:build clients

package conformance_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// table collects the results, language by scenario.
type table struct {
	languages []language

	mu      sync.Mutex
	results map[string]map[string]string // of a scenario, by language
}

func newTable(languages []language) *table {
	return &table{languages: languages, results: map[string]map[string]string{}}
}

func (r *table) record(scenario, language string, passed bool, took time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.results[scenario] == nil {
		r.results[scenario] = map[string]string{}
	}
	verdict := "FAIL"
	if passed {
		verdict = "ok"
	}
	r.results[scenario][language] = fmt.Sprintf("%-4s %5.1f s", verdict, took.Seconds())
}

// print shows the scenarios that ran, in their order.
func (r *table) print(t *testing.T) {
	t.Helper()
	var text strings.Builder
	fmt.Fprintf(&text, "\n%-52s", "")
	for _, language := range r.languages {
		fmt.Fprintf(&text, "%-16s", language.name)
	}
	for _, scenario := range scenarios() {
		row := r.results[scenario.name]
		if row == nil {
			continue
		}
		fmt.Fprintf(&text, "\n%-52s", scenario.name)
		for _, language := range r.languages {
			fmt.Fprintf(&text, "%-16s", row[language.name])
		}
	}
	fmt.Println(text.String())
}

// Names are rows of the table and parts of a test's name: each once.
func TestScenarioNamesDiffer(t *testing.T) {
	t.Parallel()
	var names []string
	for _, scenario := range scenarios() {
		if slices.Contains(names, scenario.name) {
			t.Errorf("two scenarios are %q", scenario.name)
		}
		names = append(names, scenario.name)
	}
}
