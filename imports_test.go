// Package deskbridge holds the tests of the repository as a whole.
package deskbridge

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"strings"
	"testing"
)

const module = "github.com/deskbridge/deskbridge/"

// rule forbids packages that match from to import, themselves, packages that match any of the patterns in deny.
// A pattern is a path below the module, or another module's path; "…/**" matches it and everything below.
type rule struct {
	from   string
	deny   []string
	except []string
	why    string
}

var rules = []rule{
	{
		from: "**", deny: []string{"github.com/nats-io/**", "github.com/synadia-io/**"},
		except: []string{"server/internal/journal", "server/internal/journal/journaltest", "bench"},
		why: "only journal knows the log engine, so that it can be embedded or external; journaltest runs a cluster of it " +
			"for tests, and bench has it as the peer",
	},
	{
		from: "client/**", deny: []string{"server/**", "gen/gateway/**"}, except: []string{"client/bridgetest"},
		why: "a consumer's program must not carry the server; bridgetest runs it for tests",
	},
	{
		from: "server/internal/callback", deny: []string{"server/**", "net", "net/http", "os", "google.golang.org/grpc/**"},
		why: "the vendor's protocol is pure: no I/O, testable with bytes alone",
	},
	{
		from: "server/internal/filter", deny: []string{
			"server", "server/internal/rpc", "server/internal/gateway", "server/internal/access", "server/internal/fanout",
			"server/internal/callback", "server/internal/journal", "net", "net/http", "os", "google.golang.org/grpc/**",
		},
		why: "filters are pure: no I/O",
	},
	{
		from: "server/internal/fields", deny: []string{"server/**", "net", "net/http", "os", "google.golang.org/grpc/**"},
		why: "what is content is decided without knowing who asks",
	},
	{
		from: "server/internal/access", deny: []string{"server", "server/internal/rpc", "server/internal/gateway", "os"},
		why: "access decides; it does not know how a call arrives, or where the policy is kept",
	},
	{
		from: "server/internal/journal", deny: []string{"server/**", "gen/**"},
		why: "the journal stores bytes: it must not know what an event means",
	},
	{
		from: "server/internal/fanout",
		deny: []string{"server", "server/internal/rpc", "server/internal/gateway", "server/internal/callback"},
		why:  "data goes one way: the fan-out knows the journal and filters only",
	},
	{
		from: "server/internal/rpc", deny: []string{"server", "server/internal/gateway"},
		why: "services don't know how HTTP reaches them",
	},
	{
		from: "server/internal/gateway", deny: []string{"server", "server/internal/rpc", "server/internal/journal"},
		why: "the edge hands callbacks on through the contract and stores nothing",
	},
}

type listedPackage struct {
	ImportPath string
	Imports    []string
}

func TestImports(t *testing.T) {
	t.Parallel()
	for _, p := range listPackages(t) {
		from := strings.TrimPrefix(p.ImportPath, module)
		for _, r := range rules {
			if !matches(r.from, from) || matchesAny(r.except, from) {
				continue
			}
			for _, imported := range p.Imports {
				if to := strings.TrimPrefix(imported, module); matchesAny(r.deny, to) {
					t.Errorf("%s imports %s: %s", from, to, r.why)
				}
			}
		}
	}
}

func matchesAny(patterns []string, name string) bool {
	for _, pattern := range patterns {
		if matches(pattern, name) {
			return true
		}
	}
	return false
}

func matches(pattern, name string) bool {
	if pattern == "**" {
		return true
	}
	if below, ok := strings.CutSuffix(pattern, "/**"); ok {
		return name == below || strings.HasPrefix(name, below+"/")
	}
	ok, _ := path.Match(pattern, name)
	return ok
}

func listPackages(t *testing.T) []listedPackage {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var packages []listedPackage
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listedPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
	if len(packages) < 10 {
		t.Fatalf("go list found %d packages only", len(packages))
	}
	return packages
}
