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

// maxCalls bounds the calls of one principal that are under way at once, event streams apart. Those that need no
// principal, such as health checks, share the bound of nobody.
const maxCalls = 1000

// Control admits calls and ends them. Its methods may be called concurrently.
type Control struct {
	callRate int

	mu          sync.Mutex
	policy      *Policy
	authorities *x509.CertPool // of client certificates; nil: none is good
	leases      map[*lease]struct{}
	usage       map[string]*usage // by the principals' names
}

// usage is what a principal uses at present.
type usage struct {
	streams, calls int
	limiter        *rate.Limiter
}

// lease is a call that was admitted.
type lease struct {
	caller  Caller
	need    need
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
	l := &lease{caller: caller, need: needOf(method)}
	who, err := c.checkLocked(l, time.Now())
	if err != nil {
		return nil, err
	}
	count, err := c.takeLocked(who.principal, isEventStream(method))
	if err != nil {
		return nil, err
	}
	l.rights, l.expires = who.principal.rights, who.expires
	ctx, l.end = context.WithCancelCause(context.WithValue(ctx, principalKey{}, who.principal))
	c.leases[l] = struct{}{}
	context.AfterFunc(ctx, func() { c.release(l, count) })
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
func (c *Control) takeLocked(p *Principal, stream bool) (*int, error) {
	use := c.usage[p.Name]
	if use == nil {
		use = &usage{limiter: rate.NewLimiter(rate.Limit(c.callRate), c.callRate)}
		c.usage[p.Name] = use
	}
	count, limit := &use.calls, maxCalls
	if stream {
		count, limit = &use.streams, p.MaxStreams
	}
	switch {
	case limit > 0 && *count >= limit:
		return nil, fmt.Errorf("%w: this principal has %d calls of this kind under way, and no more", ErrLimit, limit)
	case !stream && p.Name != "" && !use.limiter.Allow():
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
		if use.streams == 0 && use.calls == 0 {
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

// Ended returns why Control has ended the call of this context; nil when it has not.
func Ended(ctx context.Context) error {
	cause := context.Cause(ctx)
	for _, known := range []error{ErrUnauthenticated, ErrDenied, ErrChanged} {
		if errors.Is(cause, known) {
			return cause
		}
	}
	return nil
}
