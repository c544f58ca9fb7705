package callback

import (
	"testing"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

func TestTypeNames(t *testing.T) {
	t.Parallel()
	names := TypeNames()
	if len(names) != 17 || len(names) != len(deskbridgev1.SessionEventType_name)-1 {
		t.Fatalf("have %d names", len(names))
	}
	for i, name := range names {
		want := deskbridgev1.SessionEventType(i + 1)
		if name == "" || TypeOf(name) != want || TypeName(want) != name {
			t.Errorf("%v: name %q, TypeOf %v, TypeName %q", want, name, TypeOf(name), TypeName(want))
		}
	}
	for _, unknown := range []deskbridgev1.SessionEventType{-1, 0, 18} {
		if TypeName(unknown) != "" {
			t.Errorf("TypeName(%d) = %q", unknown, TypeName(unknown))
		}
	}
	for _, unknown := range []string{"", "sessionbegin", "Session", "SessionBegin "} {
		if got := TypeOf(unknown); got != 0 {
			t.Errorf("TypeOf(%q) = %v", unknown, got)
		}
	}
}
