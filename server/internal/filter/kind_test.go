package filter

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// TestTypeNames holds the names against the contract's numbering.
func TestTypeNames(t *testing.T) {
	t.Parallel()
	values := deskbridgev1.SessionEventType(0).Descriptor().Values()
	names := typeNames()
	if len(names) != values.Len()-1 {
		t.Fatalf("%d names for %d types", len(names), values.Len()-1)
	}
	words := regexp.MustCompile(`([a-z])\.?([A-Z])`)
	for i, name := range names {
		want := "SESSION_EVENT_TYPE_" + strings.ToUpper(words.ReplaceAllString(name, "${1}_$2"))
		if got := string(values.ByNumber(values.Get(i + 1).Number()).Name()); got != want {
			t.Errorf("%s belongs to %s, not %s", name, want, got)
		}
	}
}

func TestKnownNamesAreAccepted(t *testing.T) {
	t.Parallel()
	for _, name := range typeNames() {
		compile(t, &deskbridgev1.EventFilter{TypeNames: []string{name}})
		compile(t, &deskbridgev1.EventFilter{TypeNames: []string{name + "*"}})
	}
}

// TestSlips drops, doubles and swaps each letter of each name: none may pass as a new type.
func TestSlips(t *testing.T) {
	t.Parallel()
	for _, name := range typeNames() {
		for i := range len(name) - 1 {
			for _, slip := range []string{
				name[:i] + name[i+1:], name[:i+1] + name[i:], name[:i] + name[i+1:i+2] + name[i:i+1] + name[i+2:],
				strings.ToLower(name), strings.ToUpper(name),
			} {
				if slices.Contains(typeNames(), slip) {
					continue
				}
				if _, err := Compile(&deskbridgev1.EventFilter{TypeNames: []string{slip}}); err == nil {
					t.Errorf("%q is accepted", slip)
				}
			}
		}
	}
}

// TestNamesThatNobodySends lists names that look right and select nothing.
func TestNamesThatNobodySends(t *testing.T) {
	t.Parallel()
	for name, meant := range map[string][]string{
		"UserSendMsg":           {`"ChatBot.UserSendMsg"`, `"Human.UserSendMsg"`},
		"SessionStart":          {`"SessionBegin"`},
		"Session.End":           {`"SessionEnd"`},
		"HumanUserSendMsg":      {`"Human.UserSendMsg"`},
		"Human.UserSendMessage": {`"Human.UserSendMsg"`},
		"TransferToHuman":       {`"TransferringToHuman"`},
		"Humn.*":                {`"Human.*"`},
		"human.*":               {`"Human.*"`},
		"Chatbot.*":             {`"ChatBot.*"`},
		"SesionEnd*":            {`"SessionEnd*"`},
		"Sesion*":               {`"Session*"`},
	} {
		_, err := Compile(&deskbridgev1.EventFilter{TypeNames: []string{name}})
		if err == nil {
			t.Errorf("%q is accepted", name)
			continue
		}
		for _, want := range append(meant, "ends in *") {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q: the error doesn't name %s: %v", name, want, err)
			}
		}
	}
}

// TestNewTypesCanBeAskedFor lists names that a later contract might have.
func TestNewTypesCanBeAskedFor(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"Brand.NewEvent", "Brand.*", "MessageRecalled", "QueueTimeout", "Human.Typing", "Human.*", "SessionStart*", "*", "S*",
		"Video.CallStarted", "X",
	} {
		compile(t, &deskbridgev1.EventFilter{TypeNames: []string{name}})
	}
}
