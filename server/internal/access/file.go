package access

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
	"github.com/deskbridge/deskbridge/server/internal/filter"
)

// file is the operator's file.
type file struct {
	Principals map[string]*entry `yaml:"principals"`
}

// entry is one principal of it. What is not listed is not allowed.
type entry struct {
	Tokens       []tokenEntry `yaml:"tokens"`
	Certificates []string     `yaml:"certificates"`
	Apps         []string     `yaml:"apps"`
	Types        []string     `yaml:"types"`
	Services     []string     `yaml:"customer_services"`
	Content      bool         `yaml:"content"`
	Admin        bool         `yaml:"admin"`
	MaxStreams   int          `yaml:"max_streams"`
}

type tokenEntry struct {
	SHA256  hash `yaml:"sha256"`
	Expires when `yaml:"expires"`
}

const (
	// defaultMaxStreams is for a service with a few streams in each of its replicas.
	defaultMaxStreams = 100
	// maxFileBytes is room for thousands of principals.
	maxFileBytes = 1 << 20
	// everything, as the only value, allows all.
	everything = "*"
)

// Parse reads the operator's file. It is strict: what is unknown, doubtful or without effect is a mistake. An error
// names the line or the principal at fault, and quotes nothing that might be a token.
func Parse(text []byte) (*Policy, error) {
	if len(text) > maxFileBytes {
		return nil, fmt.Errorf("has %d bytes, want at most %d", len(text), maxFileBytes)
	}
	var f file
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&f); err != nil {
		return nil, describe(err)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("holds more than one YAML document")
	}
	if len(f.Principals) == 0 {
		return nil, errors.New("names no principals")
	}
	return f.policy()
}

// describe drops what the YAML library quotes of values.
func describe(err error) error {
	var mistakes *yaml.TypeError
	if !errors.As(err, &mistakes) {
		return err
	}
	for i, text := range mistakes.Errors {
		before, quoted, found := strings.Cut(text, "`")
		if found {
			_, after, _ := strings.Cut(quoted, "`")
			mistakes.Errors[i] = before + "a value" + after
		}
	}
	return errors.New(strings.Join(mistakes.Errors, "; "))
}

func (f *file) policy() (*Policy, error) {
	p := &Policy{tokens: map[tokenHash]credential{}, identities: map[string]*Principal{}}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(f.Principals)) {
		if err := p.add(name, f.Principals[name]); err != nil {
			errs = append(errs, fmt.Errorf("principal %q: %w", name, err))
		}
	}
	return p, errors.Join(errs...)
}

func (p *Policy) add(name string, e *entry) error {
	if e == nil || name == "" {
		return errors.New("has no name, or no entries")
	}
	principal, err := e.principal(name)
	if err != nil {
		return err
	}
	if len(e.Tokens)+len(e.Certificates) == 0 {
		return errors.New("has neither tokens nor certificates: nobody could be it")
	}
	for _, token := range e.Tokens {
		if token.SHA256 == (hash{}) {
			return errors.New("a token has no sha256")
		}
		if _, taken := p.tokens[tokenHash(token.SHA256)]; taken {
			return errors.New("a token is listed twice")
		}
		p.tokens[tokenHash(token.SHA256)] = credential{principal: principal, expires: time.Time(token.Expires)}
	}
	for _, certificate := range e.Certificates {
		if _, taken := p.identities[certificate]; taken || certificate == "" {
			return fmt.Errorf("certificates: %q is empty or listed twice", certificate)
		}
		p.identities[certificate] = principal
	}
	return nil
}

func (e *entry) principal(name string) (*Principal, error) {
	lists := []int{len(e.Apps), len(e.Types), len(e.Services)}
	switch {
	case slices.Max(lists) == 0 && !e.Admin:
		return nil, fmt.Errorf("may do nothing: list apps, types and customer_services, or set admin")
	case slices.Max(lists) > 0 && slices.Min(lists) == 0:
		return nil, fmt.Errorf(`apps, types and customer_services belong together: write ["*"] for all`)
	case e.MaxStreams < 0:
		return nil, errors.New("max_streams must not be negative")
	}
	events, err := e.events()
	return &Principal{
		Name: name, Admin: e.Admin, Reads: slices.Max(lists) > 0, Events: events, Content: e.Content,
		MaxStreams: cmp.Or(e.MaxStreams, defaultMaxStreams), rights: e.rights(),
	}, err
}

// events compiles the lists; nil when all of them are for everything.
func (e *entry) events() (*filter.Filter, error) {
	bound := &deskbridgev1.EventFilter{}
	for _, list := range []struct {
		name   string
		values []string
		target *[]string
	}{
		{"apps", e.Apps, &bound.SdkAppIds},
		{"types", e.Types, &bound.TypeNames},
		{"customer_services", e.Services, &bound.CustomerServiceIds},
	} {
		if slices.Contains(list.values, everything) {
			if len(list.values) > 1 {
				return nil, fmt.Errorf(`%s: "*" is for all, and goes alone`, list.name)
			}
			continue
		}
		*list.target = list.values
	}
	compiled, err := filter.Compile(bound)
	var bad *filter.Error
	switch {
	case errors.As(err, &bad):
		return nil, fmt.Errorf("%s: %s", inFile(bad.Field), bad.Reason)
	case err != nil || compiled.MatchesAll():
		return nil, err
	}
	return compiled, nil
}

// inFile turns the place of a mistake in a filter into the one in the file.
func inFile(field string) string {
	return strings.NewReplacer(
		"filter.sdk_app_ids", "apps", "filter.type_names", "types", "filter.customer_service_ids", "customer_services",
	).Replace(field)
}

// rights are the same for entries that allow the same.
func (e *entry) rights() string {
	sorted := func(list []string) []string { return slices.Compact(slices.Sorted(slices.Values(list))) }
	return fmt.Sprintf("%q %q %q %t %t", sorted(e.Apps), sorted(e.Types), sorted(e.Services), e.Content, e.Admin)
}

// hash is a SHA-256 in hex.
type hash tokenHash

// UnmarshalYAML implements yaml.Unmarshaler.
func (h *hash) UnmarshalYAML(node *yaml.Node) error {
	decoded, err := hex.DecodeString(node.Value)
	if err != nil || len(decoded) != len(h) {
		return fmt.Errorf("line %d: want a SHA-256 in 64 hex digits, as deskctl token new prints it", node.Line)
	}
	copy(h[:], decoded)
	return nil
}

// when is a time with its zone.
type when time.Time

// UnmarshalYAML implements yaml.Unmarshaler. A date is its first moment in UTC.
func (w *when) UnmarshalYAML(node *yaml.Node) error {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(layout, node.Value); err == nil {
			*w = when(at)
			return nil
		}
	}
	return fmt.Errorf("line %d: want a date or a time, as in 2027-12-31 or 2027-12-31T18:00:00Z", node.Line)
}
