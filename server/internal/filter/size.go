package filter

import (
	"regexp/syntax"

	"cel.dev/cel-go/common/ast"
)

// What a filter takes beside the bytes of its values, together with its place in an Index. Measured, and rounded up.
const (
	filterBytes         = 1 << 10
	bytesPerValue       = 256
	bytesPerExprByte    = 320 // a comparison or a macro of a few characters becomes many objects
	bytesPerInstruction = 64  // of a regular expression's program
)

// Size returns about how much memory the filter takes while it is in use, rather more than less.
func (f *Filter) Size() int {
	size := filterBytes
	for _, set := range []*stringSet{
		&f.kinds.names, {few: f.kinds.prefixes}, &f.sessions, &f.users, &f.agents, &f.services, &f.apps,
	} {
		set.each(func(value string) { size += len(value) + bytesPerValue })
	}
	if f.expression != nil {
		size += f.expression.size
	}
	return size
}

// expressionSize is what a compiled expression takes.
func expressionSize(text string, checked *ast.AST) int {
	size := len(text) * bytesPerExprByte
	ast.PreOrderVisit(checked.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() == ast.CallKind && e.AsCall().FunctionName() == "matches" {
			size += patternSize(e.AsCall().Args())
		}
	}))
	return size
}

// patternSize is what the pattern takes that is the last argument of a call. One that is no literal is compiled for
// each event, and not kept.
func patternSize(args []ast.Expr) int {
	last := args[len(args)-1]
	if last.Kind() != ast.LiteralKind {
		return 0
	}
	pattern, _ := last.AsLiteral().Value().(string)
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return 0
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return 0
	}
	return len(program.Inst) * bytesPerInstruction
}
