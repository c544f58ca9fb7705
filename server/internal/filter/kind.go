package filter

import (
	"slices"
	"strings"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// typeNames returns the names of the documented types as the vendor sends them, in the order of SessionEventType.
func typeNames() []string {
	return []string{
		"SessionBegin", "ChatBot.UserSendMsg", "ChatBot.RobotSendMsg", "Human.UserSendMsg", "Human.AgentSendMsg",
		"TransferringToHuman", "TransferringToHumanWait", "TransferToHumanSuccess", "NoAgentOnline", "AgentForward",
		"SatisfactionSelected", "SessionUserEnd", "SessionAgentEnd", "SessionUserTimeoutEnd",
		"SessionAgentTimeoutEnd", "SessionPendingAutoFinishEnd", "SessionEnd",
	}
}

// kinds is `types` and `type_names` together: an event passes when any value of either selects its type.
type kinds struct {
	types    enumSet
	names    stringSet
	prefixes []string
}

func compileKinds(types []deskbridgev1.SessionEventType, names []string) (kinds, error) {
	var k kinds
	var err error
	if k.types, err = compileEnums("types", types); err != nil {
		return kinds{}, err
	}
	if err = checkCount("type_names", len(names)); err != nil {
		return kinds{}, err
	}
	for i, n := range names {
		if err = checkTypeName(i, n); err != nil {
			return kinds{}, err
		}
	}
	return k.withNames(names), nil
}

func (k kinds) withNames(names []string) kinds {
	if slices.Contains(names, "*") {
		return kinds{}
	}
	var exact []string
	for _, n := range names {
		if prefix, ok := strings.CutSuffix(n, "*"); ok {
			k.prefixes = append(k.prefixes, prefix)
		} else {
			exact = append(exact, n)
		}
	}
	k.names = newStringSet(exact)
	return k
}

// checkTypeName refuses names that look like slips. A name that is far from every known one stays allowed, because the
// vendor may add types at any time; a misspelt one would be a subscription that is silent for ever.
func checkTypeName(i int, name string) error {
	if err := checkValue("type_names", i, name); err != nil {
		return err
	}
	prefix, isPrefix := strings.CutSuffix(name, "*")
	if strings.Contains(prefix, "*") {
		return valueError("type_names", i, "%q: * is allowed at the end only", name)
	}
	var meant []string
	if isPrefix {
		meant = meantPrefixes(prefix)
	} else {
		meant = meantNames(name)
	}
	if meant == nil {
		return nil
	}
	return valueError("type_names", i, "%q matches no known type: did you mean %s? To ask for a type that is newer "+
		"than this bridge, write a prefix of it that ends in *, or an expression on event.type_name",
		name, strings.Join(meant, " or "))
}

func (k *kinds) all() bool {
	return k.types.empty() && k.names.empty() && k.prefixes == nil
}

func (k *kinds) passes(number int32, name []byte) bool {
	return k.all() || k.types.has(number) || k.names.has(name) || k.hasPrefix(name)
}

func (k *kinds) hasPrefix(name []byte) bool {
	for _, p := range k.prefixes {
		if len(name) >= len(p) && string(name[:len(p)]) == p {
			return true
		}
	}
	return false
}
