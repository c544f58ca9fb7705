// Package filter decides which events a subscription gets. A filter is compiled once from the contract's EventFilter,
// which is where all of its mistakes are reported, and then matched against every event without allocating.
// An Index finds the filters that select an event without asking each of them.
//
// The package is pure: it must not do I/O, start goroutines, or know what a subscription or a journal is.
package filter

import (
	"slices"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// Limits of the contract.
const (
	MaxValues          = 1000
	MaxValueBytes      = 1024
	MaxExpressionBytes = 4 << 10
	// MaxFilterBytes bounds all values together: with thousands of filters they are what takes memory.
	MaxFilterBytes = 256 << 10
)

// Filter is a compiled EventFilter. It is immutable: any number of goroutines may use it at once.
type Filter struct {
	kinds      kinds
	channels   enumSet
	sessions   stringSet
	users      stringSet
	agents     stringSet
	services   stringSet
	apps       stringSet
	expression *expression
	bound      *Filter // selects, too; nil: no bound
}

// Compile validates and compiles f; nil selects everything. A mistake comes back as an *Error that names the field.
func Compile(f *deskbridgev1.EventFilter) (*Filter, error) {
	if err := checkSize(f); err != nil {
		return nil, err
	}
	c := new(Filter)
	var errs [8]error
	c.kinds, errs[0] = compileKinds(f.GetTypes(), f.GetTypeNames())
	c.sessions, errs[1] = compileStrings("session_ids", f.GetSessionIds())
	c.users, errs[2] = compileStrings("client_user_ids", f.GetClientUserIds())
	c.agents, errs[3] = compileStrings("agent_ids", f.GetAgentIds())
	c.services, errs[4] = compileStrings("customer_service_ids", f.GetCustomerServiceIds())
	c.channels, errs[5] = compileEnums("channels", f.GetChannels())
	c.apps, errs[6] = compileStrings("sdk_app_ids", f.GetSdkAppIds())
	c.expression, errs[7] = compileExpression(f.GetExpression())
	if i := slices.IndexFunc(errs[:], isError); i >= 0 {
		return nil, errs[i]
	}
	return c, nil
}

func isError(err error) bool { return err != nil }

// MatchesAll reports whether every event matches.
func (f *Filter) MatchesAll() bool { return !f.HasFields() && !f.HasExpression() }

// HasFields reports whether a field other than the expression selects.
func (f *Filter) HasFields() bool {
	return !f.kinds.all() || !f.channels.empty() || !f.sessions.empty() || !f.users.empty() ||
		!f.agents.empty() || !f.services.empty() || !f.apps.empty()
}

// HasExpression reports whether there is an expression to evaluate. Evaluating one costs microseconds, and what it
// costs is up to whoever wrote it: do it where only its owner waits.
func (f *Filter) HasExpression() bool { return f.expression != nil }

// Match is MatchFields and MatchExpression together.
func (f *Filter) Match(e *Event) (bool, error) {
	if !f.MatchFields(e) {
		return false, nil
	}
	return f.MatchExpression(e)
}

// MatchFields reports whether e passes every field but the expression. It does not allocate.
func (f *Filter) MatchFields(e *Event) bool {
	return f.sessions.passes(e.sessionID) && f.kinds.passes(e.kind, e.typeName) && f.users.passes(e.userID) &&
		f.agents.passes(e.agentID) && f.services.passes(e.serviceID) && f.apps.passes(e.appID) &&
		f.channels.passes(e.channel) && (f.bound == nil || f.bound.MatchFields(e))
}

// MatchExpression reports whether e passes the expression; it does when there is none. The error is an *Error when the
// expression fails on this event: whether the event matches is then unknown, so it may be neither given out nor
// passed over. It is ErrMalformed when the event can't be decoded.
func (f *Filter) MatchExpression(e *Event) (bool, error) {
	if f.expression == nil {
		return true, nil
	}
	return f.expression.eval(e)
}
