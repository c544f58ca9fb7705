package server

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/deskbridge/deskbridge/server/internal/access"
	"github.com/deskbridge/deskbridge/server/internal/callback"
)

// secure reads the files of transport security and of access.
func (s *Server) secure() (err error) {
	s.authenticator, err = callback.NewAuthenticator(callback.AuthConfig{
		MaxSkew: s.config.CallbackSkew, AppIDs: s.config.SDKAppIDs,
	})
	if err != nil {
		return err
	}
	files := newFileMetrics(s.metrics)
	if s.config.CallbackTokens != "" {
		s.reloads = append(s.reloads, &reload{
			paths: []string{s.config.CallbackTokens}, load: s.loadCallbackTokens,
			stale: files.WithLabelValues("callback-token-file"),
		})
	}
	s.handshakes = newHandshakes(s.logger, s.metrics)
	s.access = access.NewControl(access.Open(), s.config.CallRate)
	if s.config.Access != "" {
		s.reloads = append(s.reloads, &reload{
			paths: []string{s.config.Access}, load: s.loadAccess, stale: files.WithLabelValues("access-file"),
		})
	}
	if s.config.TLSCert != "" {
		s.certificates = &certificates{
			certFile: s.config.TLSCert, keyFile: s.config.TLSKey, clientCAs: s.config.ClientCAs,
		}
		paths := []string{s.config.TLSCert, s.config.TLSKey}
		if s.config.ClientCAs != "" {
			paths = append(paths, s.config.ClientCAs)
		}
		s.reloads = append(s.reloads, &reload{
			paths: paths, load: s.loadCertificates, stale: files.WithLabelValues("tls-cert-file"),
		})
		registerExpiry(s.metrics, s.certificates)
	}
	for _, r := range s.reloads {
		if _, err := r.ifChanged(); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) loadCallbackTokens() error {
	tokens, err := readTokens(s.config.CallbackTokens)
	if err == nil {
		err = s.authenticator.ReplaceTokens(tokens)
	}
	return wrap("--callback-token-file", err)
}

func (s *Server) loadCertificates() error {
	err := s.certificates.load()
	if err == nil {
		s.access.ReplaceAuthorities(s.certificates.current.Load().ClientCAs)
	}
	return err
}

func (s *Server) loadAccess() error {
	text, err := os.ReadFile(s.config.Access)
	if err != nil {
		return fmt.Errorf("--access-file: %w", err)
	}
	policy, err := access.Parse(text)
	if err != nil {
		return fmt.Errorf("--access-file %s: %w", s.config.Access, err)
	}
	s.access.ReplacePolicy(policy)
	return nil
}

func (s *Server) grpcCredentials() credentials.TransportCredentials {
	if s.certificates == nil {
		return insecure.NewCredentials()
	}
	return grpcCredentials{credentials.NewTLS(s.certificates.config("h2")), s.handshakes}
}

// reloadInterval is how soon a change on disk takes effect, and the end of a token.
const reloadInterval = time.Second

// keepReloading reads again what changes on disk, until ctx ends.
func (s *Server) keepReloading(ctx context.Context) error {
	ticker := time.NewTicker(reloadInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-ticker.C:
			s.reloadAll()
			s.access.Expire(now)
		}
	}
}

func (s *Server) reloadAll() {
	for _, r := range s.reloads {
		switch changed, err := r.ifChanged(); {
		case err != nil:
			s.logger.Error("a changed file can't be used; what was read before stays in force", "error", err)
		case changed:
			s.logger.Info("read again what has changed", "files", r.paths)
		}
	}
}

// reload is files that are read together.
type reload struct {
	paths []string
	load  func() error
	stale prometheus.Gauge // 1 while what is in force is not what the files hold
	seen  [sha256.Size]byte
}

// ifChanged loads the files when they are not what they were, and reports whether they were loaded. What fails to load
// is not tried again before it changes.
func (r *reload) ifChanged() (changed bool, err error) {
	now := fingerprint(r.paths)
	if now == r.seen {
		return false, nil
	}
	r.seen = now
	err = r.load()
	r.stale.Set(number(err != nil))
	return err == nil, err
}

// fingerprint is of the files' content, as a time of change may be too coarse, and a copy may keep it. A file that
// can't be read has one, too.
func fingerprint(paths []string) [sha256.Size]byte {
	hash := sha256.New()
	for _, path := range paths {
		text, err := os.ReadFile(path)
		fmt.Fprintf(hash, "%d %v\n", len(text), err)
		hash.Write(text)
	}
	return [sha256.Size]byte(hash.Sum(nil))
}
