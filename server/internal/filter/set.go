package filter

import (
	"math/bits"
	"slices"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// stringSet is the values of one field; without any, everything passes.
//
// Nearly all filters name one value or a few: those are compared one after the other, which is faster and, with ten
// thousand subscriptions, far smaller than a map.
type stringSet struct {
	few  []string
	many map[string]struct{}
}

const fewStrings = 4

func compileStrings(field string, values []string) (stringSet, error) {
	if err := checkCount(field, len(values)); err != nil {
		return stringSet{}, err
	}
	for i, v := range values {
		if err := checkValue(field, i, v); err != nil {
			return stringSet{}, err
		}
	}
	return newStringSet(values), nil
}

func checkCount(field string, n int) error {
	if n > MaxValues {
		return fieldError(field, "has %d values; at most %d are allowed", n, MaxValues)
	}
	return nil
}

func checkValue(field string, i int, v string) error {
	switch {
	case v == "":
		return valueError(field, i, "is empty")
	case len(v) > MaxValueBytes:
		return valueError(field, i, "has %d bytes; at most %d are allowed", len(v), MaxValueBytes)
	}
	return nil
}

func newStringSet(values []string) stringSet {
	distinct := slices.Clone(values)
	slices.Sort(distinct)
	distinct = slices.Clip(slices.Compact(distinct))
	if len(distinct) <= fewStrings {
		return stringSet{few: distinct}
	}
	many := make(map[string]struct{}, len(distinct))
	for _, v := range distinct {
		many[v] = struct{}{}
	}
	return stringSet{many: many}
}

func (s *stringSet) empty() bool { return s.few == nil && s.many == nil }

func (s *stringSet) passes(v []byte) bool { return s.empty() || s.has(v) }

func (s *stringSet) has(v []byte) bool {
	for _, f := range s.few {
		if f == string(v) {
			return true
		}
	}
	_, ok := s.many[string(v)]
	return ok
}

// contains tells whether any value fulfils the condition.
func (s *stringSet) contains(condition func(string) bool) (found bool) {
	s.each(func(v string) { found = found || condition(v) })
	return found
}

// each calls do with every value.
func (s *stringSet) each(do func(string)) {
	for _, v := range s.few {
		do(v)
	}
	for v := range s.many {
		do(v)
	}
}

// enumSet holds enum numbers below 64 as bits; when zero, everything passes.
type enumSet uint64

func compileEnums[E protoreflect.Enum](field string, values []E) (enumSet, error) {
	if err := checkCount(field, len(values)); err != nil {
		return 0, err
	}
	var set enumSet
	for i, v := range values {
		known := v.Descriptor().Values().ByNumber(v.Number())
		if known == nil || v.Number() == 0 || v.Number() > 63 {
			return 0, valueError(field, i, "%d is not a known %s", v.Number(), v.Descriptor().Name())
		}
		set |= 1 << v.Number()
	}
	return set, nil
}

func (s enumSet) empty() bool { return s == 0 }

func (s enumSet) passes(n int32) bool { return s.empty() || s.has(n) }

func (s enumSet) has(n int32) bool { return n > 0 && n < 64 && s&(1<<n) != 0 }

// each calls do with every number.
func (s enumSet) each(do func(int32)) {
	for rest := uint64(s); rest != 0; rest &= rest - 1 {
		do(int32(bits.TrailingZeros64(rest)))
	}
}
