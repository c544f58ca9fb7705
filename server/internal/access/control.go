package access

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// maxCalls bounds the calls of one principal that are under way at once, and, apart from them, its streams that bring
	// no events. Those that need no principal, such as health checks, share the bounds of nobody.
	maxCalls = 1000
	// maxCallTime bounds a call, so that one whose request never ends has not taken its place for ever.
	maxCallTime = 30 * time.Second
)

// Control admits calls and ends them. Its methods may be called concurrently.
type Control struct {
	callRate int

	mu          sync.Mutex
	policy      *Policy
	authorities *x509.CertPool // of client certificates; nil: none is good
	leases      map[*lease]struct{}
	usage       map[string]*usage // by the principals' names
	closed      bool
}

// usage is what a principal uses at present.
type usage struct {
	underWay [kinds]int
	limiter  *rate.Limiter
}

// lease is a call that was admitted.
type lease struct {
	caller  Caller
	need    need
	kind    kind
	rights  string // of the principal, when the call began
	expires time.Time
	end     context.CancelCauseFunc
}

// NewControl returns a Control. A principal of a file may make callRate calls a second, event streams apart.
func NewControl(policy *Policy, callRate int) *Control {
	return &Control{callRate: callRate, policy: policy, leases: map[*lease]struct{}{}, usage: map[string]*usage{}}
}

// Admit lets a call in, or says why not: an error that wraps ErrUnauthenticated, ErrDenied or ErrLimit. The context
// that it returns knows the principal, and ends when the call must, with such an error, or ErrChanged, as its cause.
// The call is over when ctx is done.
func (c *Control) Admit(ctx context.Context, method string, caller Caller) (context.Context, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := &lease{caller: caller, need: needOf(method), kind: kindOf(method)}
	who, err := c.checkLocked(l, time.Now())
	if err != nil {
		return nil, err
	}
	count, err := c.takeLocked(who.principal, l.kind)
	if err != nil {
		return nil, err
	}
	l.rights, l.expires = who.principal.rights, who.expires
	cancel := func() {}
	if l.kind == call {
		ctx, cancel = context.WithTimeout(ctx, maxCallTime)
	}
	ctx, l.end = context.WithCancelCause(context.WithValue(ctx, principalKey{}, who.principal))
	c.leases[l] = struct{}{}
	context.AfterFunc(ctx, func() { cancel(); c.release(l, count) })
	return ctx, nil
}

// checkLocked says who calls, if it may.
func (c *Control) checkLocked(l *lease, now time.Time) (identity, error) {
	if l.need == needNothing {
		return identity{principal: &Principal{}}, nil
	}
	who, err := c.policy.identify(l.caller, c.authorities, now)
	if err != nil {
		return identity{}, err
	}
	return who, who.principal.fulfils(l.need)
}

// takeLocked counts a call, and returns the count that it is in.
func (c *Control) takeLocked(p *Principal, kind kind) (*int, error) {
	use := c.usage[p.Name]
	if use == nil {
		use = &usage{limiter: rate.NewLimiter(rate.Limit(c.callRate), c.callRate)}
		c.usage[p.Name] = use
	}
	count, limit := &use.underWay[kind], maxCalls
	if kind == eventStream {
		limit = p.MaxStreams
	}
	switch {
	case kind == sideStream && c.closed:
		return nil, ErrClosed
	case limit > 0 && *count >= limit:
		return nil, fmt.Errorf("%w: this principal has %d calls of this kind under way, and no more", ErrLimit, limit)
	case kind != eventStream && p.Name != "" && !use.limiter.Allow():
		return nil, fmt.Errorf("%w: this principal may make %d calls a second", ErrLimit, c.callRate)
	}
	*count++
	return count, nil
}

func (c *Control) release(l *lease, count *int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*count--
	delete(c.leases, l)
}

// ReplacePolicy puts another policy in force. Calls that it doesn't allow end, and so do those of principals whose
// rights it changes, so that they come back with the new ones.
func (c *Control) ReplacePolicy(policy *Policy) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.policy = policy
	c.recheckLocked()
}

// ReplaceAuthorities puts others in force that vouch for client certificates. Calls end whose certificate had been
// vouched for by another one, and their connections are good for no other call.
func (c *Control) ReplaceAuthorities(authorities *x509.CertPool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.authorities = authorities
	c.recheckLocked()
}

func (c *Control) recheckLocked() {
	now := time.Now()
	for l := range c.leases {
		who, err := c.checkLocked(l, now)
		switch {
		case err != nil:
			l.end(err)
		case who.principal.rights != l.rights:
			l.end(ErrChanged)
		default:
			l.expires = who.expires
		}
	}
	for name, use := range c.usage {
		if use.underWay == [kinds]int{} {
			delete(c.usage, name)
		}
	}
}

// Expire ends the calls whose credentials have expired.
func (c *Control) Expire(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for l := range c.leases {
		if expired(l.expires, now) {
			l.end(fmt.Errorf("%w: the credentials have expired", ErrUnauthenticated))
		}
	}
}

// Close ends the streams that bring no events, and lets no more in: nothing else in a shutdown ends them.
func (c *Control) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for l := range c.leases {
		if l.kind == sideStream {
			l.end(ErrClosed)
		}
	}
}

// Ended returns why Control has ended the call of this context; nil when it has not.
func Ended(ctx context.Context) error {
	cause := context.Cause(ctx)
	for _, known := range []error{ErrUnauthenticated, ErrDenied, ErrChanged, ErrClosed} {
		if errors.Is(cause, known) {
			return cause
		}
	}
	return nil
}
