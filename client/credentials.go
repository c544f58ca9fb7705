package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// TokenFile returns a Config.Token that reads the file at each use, so that a token replaced on disk is taken up. Space
// around the token is ignored.
func TokenFile(path string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) {
		content, err := os.ReadFile(path)
		if err != nil {
			return "", fmt.Errorf("token file: %w", err)
		}
		token := string(bytes.TrimSpace(content))
		if token == "" {
			return "", errors.New("token file: " + path + " is empty")
		}
		return token, nil
	}
}

// bearer puts the token into each call's metadata.
type bearer struct {
	token  func(context.Context) (string, error)
	secure bool
}

// GetRequestMetadata fails with UNAVAILABLE where the token can't be had: gRPC would make it UNAUTHENTICATED, which
// ends a subscription, though the place the token comes from may only be down for a moment.
func (b bearer) GetRequestMetadata(ctx context.Context, _ ...string) (map[string]string, error) {
	token, err := b.token(ctx)
	if err != nil {
		return nil, status.Errorf(codes.Unavailable, "no token: %v", err)
	}
	return map[string]string{"authorization": "Bearer " + token}, nil
}

func (b bearer) RequireTransportSecurity() bool { return b.secure }

func transportCredentials(config Config) (transport credentials.TransportCredentials, secure bool) {
	switch {
	case config.TLS != nil:
		return credentials.NewTLS(config.TLS), true
	case config.Plaintext || isLocal(config.Address):
		return insecure.NewCredentials(), false
	default:
		return credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12}), true
	}
}

// isLocal says whether a gRPC target can only be on this machine. A name other than localhost never is: what it
// resolves to may change.
func isLocal(target string) bool {
	if strings.HasPrefix(target, "unix:") || strings.HasPrefix(target, "unix-abstract:") {
		return true
	}
	for _, scheme := range []string{"dns:", "passthrough:", "ipv4:", "ipv6:"} {
		target = strings.TrimPrefix(target, scheme)
	}
	host := strings.TrimLeft(target, "/")
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
