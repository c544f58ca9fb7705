package access

import (
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/deskbridge/deskbridge/server/internal/filter"
)

// Policy says who may do what. It is immutable.
type Policy struct {
	tokens     map[tokenHash]credential
	identities map[string]*Principal
	// open: there is no file. Everyone may read everything, and who calls from this machine is an administrator.
	open bool
}

type credential struct {
	principal *Principal
	expires   time.Time
}

// Open returns the policy of a bridge without a file of principals.
func Open() *Policy { return &Policy{open: true} }

// Principal is someone who calls, and what it may do. It is immutable. The zero value is nobody, and may do nothing.
type Principal struct {
	// Name of the principal; empty for nobody, and for everyone while there is no file.
	Name string
	// Admin may call the administrators' services.
	Admin bool
	// Reads: may read events, those of Events.
	Reads bool
	// Events that may be read: a filter without an expression. Nil for all.
	Events *filter.Filter
	// Content may be read, too; see package fields. For an administrator it goes for the quarantine as well.
	Content bool
	// MaxStreams bounds the event streams open at once; 0: no bound.
	MaxStreams int

	// rights are the same text for the same rights.
	rights string
}

// Scope is what the principal may read, for a filter.
func (p *Principal) Scope() filter.Scope {
	return filter.Scope{Events: p.Events, Blind: !p.Content}
}

// MayReadAny tells whether the principal may read the content of anything: of what is in quarantine nobody knows which
// events it would be.
func (p *Principal) MayReadAny() bool { return p.Content && p.Events == nil }

// identity is who calls, and until when that holds.
type identity struct {
	principal *Principal
	expires   time.Time // zero: for ever
}

// identify finds out who calls. A bearer token decides where there is one: a certificate doesn't make a wrong one good.
func (p *Policy) identify(caller Caller, authorities *x509.CertPool, now time.Time) (identity, error) {
	if p.open {
		everyone := &Principal{Admin: caller.Local, Reads: true, Content: true}
		return identity{principal: everyone}, nil
	}
	token, err := parseBearer(caller.Authorization)
	switch {
	case err != nil:
		return identity{}, err
	case token != "":
		return p.byToken(token, now)
	case len(caller.Certificates) > 0:
		return p.byCertificate(caller.Certificates, authorities, now)
	default:
		return identity{}, fmt.Errorf("%w: a bearer token or a client certificate is needed", ErrUnauthenticated)
	}
}

func (p *Policy) byToken(token string, now time.Time) (identity, error) {
	known, ok := p.tokens[sha256.Sum256([]byte(token))]
	switch {
	case !ok:
		return identity{}, fmt.Errorf("%w: the token is not known", ErrUnauthenticated)
	case expired(known.expires, now):
		return identity{}, fmt.Errorf("%w: the token has expired", ErrUnauthenticated)
	}
	return identity(known), nil
}

// byCertificate knows a certificate by the first of its names that the policy has. The connection has verified it, but
// perhaps long ago.
func (p *Policy) byCertificate(
	sent []*x509.Certificate, authorities *x509.CertPool, now time.Time,
) (identity, error) {
	certificate := sent[0]
	if expired(certificate.NotAfter, now) {
		return identity{}, fmt.Errorf("%w: the client certificate has expired", ErrUnauthenticated)
	}
	if !vouched(sent, authorities, now) {
		return identity{}, fmt.Errorf("%w: no authority vouches for the client certificate", ErrUnauthenticated)
	}
	for _, name := range names(certificate) {
		if principal, ok := p.identities[name]; ok {
			return identity{principal: principal, expires: certificate.NotAfter}, nil
		}
	}
	return identity{}, fmt.Errorf("%w: the client certificate is not known", ErrUnauthenticated)
}

// vouched tells whether an authority vouches for the first of the certificates that a client has sent.
func vouched(sent []*x509.Certificate, authorities *x509.CertPool, now time.Time) bool {
	if authorities == nil { // to the library, those of the system
		return false
	}
	options := x509.VerifyOptions{
		Roots: authorities, Intermediates: x509.NewCertPool(), CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, certificate := range sent[1:] {
		options.Intermediates.AddCert(certificate)
	}
	_, err := sent[0].Verify(options)
	return err == nil
}

// names are a certificate's URIs and then its DNS names; the common name counts only where there is neither.
func names(certificate *x509.Certificate) []string {
	var all []string
	for _, uri := range certificate.URIs {
		all = append(all, uri.String())
	}
	all = append(all, certificate.DNSNames...)
	if len(all) == 0 && certificate.Subject.CommonName != "" {
		all = append(all, certificate.Subject.CommonName)
	}
	return all
}
