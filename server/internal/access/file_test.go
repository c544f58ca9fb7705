package access

import (
	"os"
	"strings"
	"testing"
	"time"
)

const hashOfEmpty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

const reads = `apps: ["1"], types: ["Human.*"], customer_services: ["*"]`

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	token := "tokens: [{sha256: " + hashOfEmpty + "}]"
	for name, tt := range map[string]struct{ text, want string }{
		"nothing":            {"", "EOF"},
		"no principals":      {"principals: {}", "no principals"},
		"not YAML":           {"principals:\n\t- x", "line 2"},
		"unknown key":        {"principals:\n  a:\n    token: x", "line 3: field token not found"},
		"unknown on top":     {"principle: {}", "line 1: field principle not found"},
		"key twice":          {"principals:\n  a: {admin: true}\n  a: {admin: true}", "line 3"},
		"two documents":      {"principals: {a: {" + token + ", " + reads + "}}\n---\nb: 1", "more than one"},
		"empty entry":        {"principals: {a: }", `principal "a"`},
		"nobody can be it":   {"principals: {a: {" + reads + "}}", "neither tokens nor certificates"},
		"may do nothing":     {"principals: {a: {" + token + "}}", "may do nothing"},
		"content of nothing": {"principals: {a: {" + token + ", content: true}}", "may do nothing"},
		"half a list":        {"principals: {a: {" + token + `, apps: ["1"]}}`, "belong together"},
		"star and more":      {"principals: {a: {" + token + `, apps: ["*", "1"], types: ["*"], customer_services: ["*"]}}`, "apps"},
		"misspelt type": {
			"principals: {a: {" + token + `, apps: ["*"], types: ["SessionEnd", "human.*"], customer_services: ["*"]}}`, "types[1]",
		},
		"short hash":         {"principals:\n  a:\n    tokens: [{sha256: abcd}]", "line 3: want a SHA-256"},
		"no hash":            {"principals: {a: {tokens: [{expires: 2030-01-01}], " + reads + "}}", "no sha256"},
		"bad time":           {"principals:\n  a:\n    tokens:\n    - {sha256: " + hashOfEmpty + ", expires: soon}", "line 4: want a date"},
		"token of two":       {"principals: {a: {" + token + ", " + reads + "}, b: {" + token + ", " + reads + "}}", "listed twice"},
		"certificate of two": {"principals: {a: {certificates: [x], " + reads + "}, b: {certificates: [x], " + reads + "}}", "listed twice"},
		"negative streams":   {"principals: {a: {" + token + ", max_streams: -1, " + reads + "}}", "max_streams"},
		"wrong kind":         {"principals:\n  a:\n    admin: dsk_secret", "line 3: cannot unmarshal"},
		"too large":          {strings.Repeat("#", maxFileBytes+1), "at most"},
	} {
		_, err := Parse([]byte(tt.text))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", name, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), "dsk_secret") {
			t.Errorf("%s: quotes a value: %v", name, err)
		}
	}
}

func TestExpiryIsTheFirstMomentOfADay(t *testing.T) {
	t.Parallel()
	p, err := Parse([]byte("principals: {a: {tokens: [{sha256: " + hashOfEmpty + ", expires: 2030-05-01}], " + reads + "}}"))
	if err != nil {
		t.Fatal(err)
	}
	for _, known := range p.tokens {
		if want := time.Date(2030, 5, 1, 0, 0, 0, 0, time.UTC); !known.expires.Equal(want) {
			t.Errorf("expires %v, want %v", known.expires, want)
		}
	}
}

// TestContentOfTheQuarantine is for administrators who may read all that it could be.
func TestContentOfTheQuarantine(t *testing.T) {
	t.Parallel()
	const all = `apps: ["*"], types: ["*"], customer_services: ["*"]`
	for rest, want := range map[string]bool{
		"admin: true":                          false,
		"admin: true, content: true":           true,
		"admin: true, content: true, " + reads: false,
		"admin: true, content: true, " + all:   true,
		"admin: true, " + all:                  false,
	} {
		p, err := Parse([]byte("principals: {a: {certificates: [a], " + rest + "}}"))
		if err != nil {
			t.Fatalf("%s: %v", rest, err)
		}
		if got := p.identities["a"].MayReadAny(); got != want {
			t.Errorf("%s: %t", rest, got)
		}
	}
}

// FuzzParse looks for a file that is accepted and yet lets somebody in without credentials.
func FuzzParse(f *testing.F) {
	f.Add("principals: {a: {tokens: [{sha256: " + hashOfEmpty + ", expires: 2030-01-01}], " + reads + "}}")
	f.Add("principals:\n  b: &x\n    certificates: [spiffe://b]\n    admin: true\n")
	f.Add("principals: {a: *a}")
	f.Add("a: &a [*a]")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Parse([]byte(text))
		if err != nil {
			return
		}
		if p.open || len(p.tokens)+len(p.identities) == 0 {
			t.Fatal("the policy is open, or lets nobody in")
		}
		if _, err := p.identify(Caller{Local: true}, nil, time.Now()); err == nil {
			t.Fatal("nobody is somebody")
		}
		for _, known := range p.tokens {
			if known.principal.Name == "" || !known.principal.Reads && !known.principal.Admin {
				t.Fatalf("%+v", known.principal)
			}
		}
	})
}

// TestDocumentedFile parses the example in the documentation.
func TestDocumentedFile(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, found := strings.Cut(string(text), "<!-- access file -->\n```yaml\n")
	example, _, closed := strings.Cut(example, "```")
	if !found || !closed {
		t.Fatal("the documentation has no example of an access file")
	}
	p, err := Parse([]byte(example))
	if err != nil {
		t.Fatal(err)
	}
	if len(p.tokens) != 2 || len(p.identities) != 1 {
		t.Errorf("%d tokens, %d certificates", len(p.tokens), len(p.identities))
	}
	if dashboards := p.identities["spiffe://corp.example/dashboards"]; !dashboards.Reads || dashboards.Content ||
		dashboards.Admin || dashboards.Events != nil || dashboards.MaxStreams != defaultMaxStreams {
		t.Errorf("dashboards: %+v", dashboards)
	}
}
