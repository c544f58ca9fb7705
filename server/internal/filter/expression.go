package filter

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/types"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// Bounds on what an expression may cost, in CEL's units: one is a step of a loop or ten characters searched, and takes
// up to 0.3 µs.
const (
	// maxEstimate bounds the worst case on an event of assumedSizes. Two loops within one another pass, three don't.
	maxEstimate = 1_000_000
	// maxCost bounds the evaluation of one event to some 50 ms.
	maxCost = 200_000
)

// expression is a compiled CEL expression over `event`.
type expression struct {
	program cel.Program
	ast     *ast.AST
	size    int  // of what it takes in memory
	blind   bool // sees events without content
}

// environment is built on first use, as it takes milliseconds. It is immutable.
var environment = sync.OnceValues(func() (*cel.Env, error) {
	return cel.NewEnv(
		cel.Types(&deskbridgev1.SessionEvent{}),
		cel.Container("deskbridge.v1"),
		cel.Variable("event", cel.ObjectType("deskbridge.v1.SessionEvent")),
		cel.RegexProgramSizeLimit(1000),
		cel.ASTValidators(
			cel.ValidateRegexLiterals(), cel.ValidateDurationLiterals(), cel.ValidateTimestampLiterals(),
		),
	)
})

func compileExpression(text string) (*expression, error) {
	if text == "" {
		return nil, nil
	}
	if len(text) > MaxExpressionBytes {
		return nil, expressionError("has %d bytes; at most %d are allowed", len(text), MaxExpressionBytes)
	}
	env, err := environment()
	if err != nil {
		return nil, err
	}
	checked, issues := env.Compile(text)
	if issues.Err() != nil {
		return nil, issueError(issues.Errors())
	}
	if !checked.OutputType().IsExactType(cel.BoolType) {
		return nil, expressionError("yields %s, not a bool", checked.OutputType())
	}
	return plan(env, text, checked)
}

func plan(env *cel.Env, text string, checked *cel.Ast) (*expression, error) {
	estimate, err := env.EstimateCost(checked, assumedSizes{})
	if err != nil {
		return nil, expressionError("its cost can't be estimated")
	}
	if estimate.Max > maxEstimate {
		return nil, expressionError("may cost %d units on an ordinary event; at most %d are allowed",
			estimate.Max, maxEstimate)
	}
	program, err := env.Program(checked, cel.CostLimit(maxCost), cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		return nil, expressionError("%v", err)
	}
	native := checked.NativeRep()
	return &expression{program: program, ast: native, size: expressionSize(text, native)}, nil
}

func (x *expression) eval(e *Event) (bool, error) {
	event, err := e.decoded.get(!x.blind)
	if err != nil {
		return false, err
	}
	result, _, err := x.program.Eval(map[string]any{"event": event})
	if err != nil {
		return false, x.evalError(e.decoded.position, err)
	}
	matches, ok := result.(types.Bool)
	if !ok {
		return false, expressionError("yields no bool on the event at position %d", e.decoded.position)
	}
	return bool(matches), nil
}

// evalError tells where an evaluation failed. The cause's own text may quote the event, so only known texts pass.
func (x *expression) evalError(position uint64, err error) error {
	line, column := 1, 1
	if cause := new(types.Err); errors.As(err, &cause) {
		if at := x.ast.SourceInfo().GetStartLocation(cause.NodeID()); at.Line() > 0 {
			line, column = at.Line(), at.Column()+1
		}
	}
	return expressionError("%d:%d: fails on the event at position %d: %s", line, column, position, evalReason(err))
}

func evalReason(err error) string {
	reasons := []string{
		"division by zero", "modulus by zero", "integer overflow", "index out of bounds", "no such key",
		"no such overload", "cost limit exceeded", "timestamp overflow", "duration overflow",
	}
	for _, r := range reasons {
		if strings.Contains(err.Error(), r) {
			return r
		}
	}
	return "invalid operation"
}

func expressionError(reason string, args ...any) error {
	return fieldError("expression", reason, args...)
}

// issueError reports the first of the compiler's complaints; those after it are often caused by it.
func issueError(issues []*cel.Error) error {
	first := issues[0]
	at := fmt.Sprintf("%d:%d", max(first.Location.Line(), 1), max(first.Location.Column(), 0)+1)
	return expressionError("%s: %s", at, first.Message)
}

// assumedSizes tells the cost estimator how large the parts of an event are, which it would else take for unbounded.
// They are generous for an ordinary event; larger ones are up to the bound on the actual cost.
type assumedSizes struct{}

// EstimateSize implements cost.Estimator.
func (assumedSizes) EstimateSize(node cost.AstNode) *cost.SizeEstimate {
	switch node.Type().Kind() {
	case types.ListKind:
		return &cost.SizeEstimate{Min: 0, Max: 32}
	case types.StringKind, types.BytesKind:
		return &cost.SizeEstimate{Min: 0, Max: 4096}
	default:
		return nil
	}
}

// EstimateCallCost implements cost.Estimator.
func (assumedSizes) EstimateCallCost(string, string, *cost.AstNode, []cost.AstNode) *cost.CallEstimate {
	return nil
}
