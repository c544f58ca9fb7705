package access

import (
	"errors"
	"strings"
	"testing"
)

func TestParseBearer(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"Bearer abc", "bearer abc", "BEARER  abc "} {
		if token, err := parseBearer([]string{good}); token != "abc" || err != nil {
			t.Errorf("%q: %q, %v", good, token, err)
		}
	}
	for _, bad := range []string{"", "Bearer", "Bearer ", "Bearer a b", "Basic abc", "Bearerabc", "Bearer\tabc", "Bearer a,b"} {
		if token, err := parseBearer([]string{bad}); !errors.Is(err, ErrUnauthenticated) {
			t.Errorf("%q: %q, %v", bad, token, err)
		}
	}
	if token, err := parseBearer(nil); token != "" || err != nil {
		t.Errorf("no header: %q, %v", token, err)
	}
}

func FuzzParseBearer(f *testing.F) {
	f.Add("Bearer abc")
	f.Add("bearer  x\x00")
	f.Fuzz(func(t *testing.T, value string) {
		token, err := parseBearer([]string{value})
		switch {
		case err != nil && (token != "" || !errors.Is(err, ErrUnauthenticated)):
			t.Fatalf("%q: %q, %v", value, token, err)
		case err == nil && (token == "" || len(token) > maxTokenBytes || !strings.Contains(value, token)):
			t.Fatalf("%q: %q", value, token)
		}
	})
}
