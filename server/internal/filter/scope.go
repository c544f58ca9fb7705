package filter

import (
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/common/ast"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
	"github.com/deskbridge/deskbridge/server/internal/fields"
)

// Scope is what the owner of a filter may read. The zero value is everything.
type Scope struct {
	// Events that may be selected: a filter without an expression. Nil for all.
	Events *Filter
	// Blind owners have no right to content: what people wrote, see package fields.
	Blind bool
}

// CompileWithin is Compile for an owner with a scope: the result selects only events of the scope, and its expression
// is evaluated on what the owner may see of them. What can't select anything in the scope is refused, with an *Error
// that is Denied: a subscription that is silent for ever would be worse.
func CompileWithin(f *deskbridgev1.EventFilter, scope Scope) (*Filter, error) {
	c, err := Compile(f)
	if err != nil {
		return nil, err
	}
	if scope.Events != nil {
		if err := scope.Events.permits(f); err != nil {
			return nil, err
		}
		c = c.within(scope.Events)
	}
	if scope.Blind && c.expression != nil {
		if name := contentIn(c.expression.ast); name != "" {
			return nil, denied("expression", "reads "+name+", which is message content: this caller may not")
		}
		c.expression.blind = true
	}
	return c, nil
}

// within returns what f and bound select, both.
func (f *Filter) within(bound *Filter) *Filter {
	switch {
	case !bound.HasFields():
		return f
	case !f.HasFields(): // The bound's fields are then what an Index goes by.
		narrowed := *bound
		narrowed.expression = f.expression
		return &narrowed
	default:
		f.bound = bound
		return f
	}
}

// permits refuses values that are not among those of f.
func (f *Filter) permits(asked *deskbridgev1.EventFilter) error {
	for _, field := range []struct {
		name   string
		set    *stringSet
		values []string
	}{
		{"sdk_app_ids", &f.apps, asked.GetSdkAppIds()},
		{"customer_service_ids", &f.services, asked.GetCustomerServiceIds()},
	} {
		for i, value := range field.values {
			if !field.set.passes([]byte(value)) {
				return deniedValue(field.name, i)
			}
		}
	}
	for i, number := range asked.GetTypes() {
		if !f.kinds.passes(int32(number), []byte(typeNames()[number-1])) {
			return deniedValue("types", i)
		}
	}
	for i, name := range asked.GetTypeNames() {
		if !f.kinds.meets(name) {
			return deniedValue("type_names", i)
		}
	}
	return nil
}

// meets tells whether any type can both have this name, or prefix that ends in "*", and pass.
func (k *kinds) meets(name string) bool {
	prefix, isPrefix := strings.CutSuffix(name, "*")
	if !isPrefix {
		return k.passes(typeNumber(name), []byte(name))
	}
	return k.all() || k.hasPrefix([]byte(prefix)) ||
		slices.ContainsFunc(k.prefixes, func(p string) bool { return strings.HasPrefix(p, prefix) }) ||
		k.names.contains(func(n string) bool { return strings.HasPrefix(n, prefix) })
}

// typeNumber is the type of a documented name, and 0 of any other.
func typeNumber(name string) int32 { return int32(slices.Index(typeNames(), name) + 1) }

// contentIn returns the first field that holds content and is named in an expression.
func contentIn(expression *ast.AST) string {
	names := fields.ContentNames()
	found := ""
	ast.PreOrderVisit(expression.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() == ast.SelectKind && slices.Contains(names, e.AsSelect().FieldName()) {
			found = e.AsSelect().FieldName()
		}
	}))
	return found
}

func denied(name, reason string) error {
	return &Error{Field: "filter." + name, Reason: reason, Denied: true}
}

func deniedValue(name string, i int) error {
	return denied(fmt.Sprintf("%s[%d]", name, i), "this caller may not read these events")
}

// checkSize bounds what the values take together.
func checkSize(f *deskbridgev1.EventFilter) error {
	size := 0
	for _, values := range [][]string{
		f.GetTypeNames(), f.GetSessionIds(), f.GetClientUserIds(), f.GetAgentIds(), f.GetCustomerServiceIds(),
		f.GetSdkAppIds(),
	} {
		for _, value := range values {
			size += len(value)
		}
	}
	if size > MaxFilterBytes {
		return &Error{Field: "filter", Reason: "its values take more than 256 KiB together"}
	}
	return nil
}
