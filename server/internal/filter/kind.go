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

// checkTypeName refuses names that can only be slips. A name that is far from every known one stays allowed, because
// the vendor may add types at any time; a misspelt one would be a subscription that is silent for ever.
func checkTypeName(i int, name string) error {
	if err := checkValue("type_names", i, name); err != nil {
		return err
	}
	prefix, isPrefix := strings.CutSuffix(name, "*")
	switch {
	case strings.Contains(prefix, "*"):
		return valueError("type_names", i, "%q: * is allowed at the end only", name)
	case isPrefix:
		return checkPrefix(i, prefix)
	default:
		return checkExact(i, name)
	}
}

func checkPrefix(i int, prefix string) error {
	known := typeNames()
	if slices.ContainsFunc(known, func(n string) bool { return strings.HasPrefix(n, prefix) }) {
		return nil
	}
	for _, n := range known {
		if len(n) >= len(prefix) && strings.EqualFold(n[:len(prefix)], prefix) {
			return valueError("type_names", i, `%q matches no known type; names are case-sensitive: did you mean %q?`,
				prefix+"*", n[:len(prefix)]+"*")
		}
	}
	return nil
}

func checkExact(i int, name string) error {
	known := typeNames()
	if slices.Contains(known, name) {
		return nil
	}
	nearest := slices.MinFunc(known, func(a, b string) int { return distance(name, a) - distance(name, b) })
	if distance(name, nearest) > 2 {
		return nil
	}
	return valueError("type_names", i, "%q is not a known type: did you mean %q? "+
		"To ask for a type of that name that is newer than this bridge, write %q", name, nearest, name+"*")
}

// distance is the Levenshtein distance of a and b, ignoring case. Names that differ in case alone have distance 0.
func distance(a, b string) int {
	a, b = strings.ToLower(a), strings.ToLower(b)
	if len(a)-len(b) > 2 || len(b)-len(a) > 2 {
		return 3 // More than any caller cares for.
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			step := diagonal
			if a[i] != b[j] {
				step++
			}
			diagonal = row[j+1]
			row[j+1] = min(step, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
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
