// Package access decides who is calling and what the caller may do. A Policy, read from the operator's file, names the
// principals: how each proves itself, which events it may read, and whether it is an administrator. Control holds the
// policy in force and is the one place that every call passes: it admits a call, counts it against its principal's
// limits, and ends it when the policy no longer allows it.
//
// The package must not do I/O, log, or know how a call arrives. No error of it holds a token, nor anything a caller
// has sent.
package access

import (
	"context"
	"crypto/x509"
	"errors"
	"time"
)

// Why a call is refused, or ended.
var (
	// ErrUnauthenticated: there are no credentials, or ones that are not valid.
	ErrUnauthenticated = errors.New("unauthenticated")
	// ErrDenied: the principal may not do this.
	ErrDenied = errors.New("permission denied")
	// ErrLimit: the principal has used up what it may use at once.
	ErrLimit = errors.New("limit exceeded")
	// ErrChanged: the principal's rights are no longer those the call began with. It may call again.
	ErrChanged = errors.New("what this principal may do has changed")
	// ErrClosed: it is a stream that would never end, and the bridge is shutting down.
	ErrClosed = errors.New("the bridge is shutting down")
)

// Caller is how a call presents itself.
type Caller struct {
	// Authorization has the values of the header of that name.
	Authorization []string
	// Certificates of the client, when it has some that its connection has verified: its own, and those that join it to an
	// authority.
	Certificates []*x509.Certificate
	// Local: the call comes over loopback, and not by way of the HTTP listener.
	Local bool
}

type principalKey struct{}

// PrincipalOf returns who makes the call of this context. A call that was not admitted is nobody's: nobody reads
// anything.
func PrincipalOf(ctx context.Context) *Principal {
	if p, ok := ctx.Value(principalKey{}).(*Principal); ok {
		return p
	}
	return &Principal{}
}

// expired tells whether a time, which zero leaves open, has come.
func expired(at, now time.Time) bool { return !at.IsZero() && !now.Before(at) }
