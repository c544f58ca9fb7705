package client_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/deskbridge/deskbridge/client"
)

func tlsConfig(roots *x509.CertPool) *tls.Config {
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
}

// selfSigned returns a certificate for 127.0.0.1, and a pool that trusts it.
func selfSigned(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotAfter:     time.Now().Add(time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

func TestTokenIsSentOverTLS(t *testing.T) {
	t.Parallel()
	certificate, roots := selfSigned(t)
	listener := listen(t, "127.0.0.1:0")
	bridge := &scriptedBridge{scripts: []script{plays(nil, opened(0, 0), caughtUp(0))}}
	serve(t, bridge, listener, grpc.Creds(credentials.NewServerTLSFromCert(&certificate)))
	path := filepath.Join(t.TempDir(), "token")
	c := newClient(t, client.Config{
		Address: listener.Addr().String(), TLS: tlsConfig(roots), Token: client.TokenFile(path),
	})
	for i, token := range []string{"first", "second"} {
		if err := os.WriteFile(path, []byte(token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := collect(t, c, batchRequest()); err != nil {
			t.Fatal(err)
		}
		if got := bridge.metadata[i].Get("authorization"); len(got) != 1 || got[0] != "Bearer "+token {
			t.Errorf("authorization of call %d is %q", i, got)
		}
	}
}

func TestTokenIsSentInPlainTextOnThisMachine(t *testing.T) {
	t.Parallel()
	listener := listen(t, "127.0.0.1:0")
	bridge := &scriptedBridge{scripts: []script{plays(nil, opened(0, 0), caughtUp(0))}}
	serve(t, bridge, listener)
	token := func(context.Context) (string, error) { return "secret", nil }
	c := newClient(t, client.Config{Address: listener.Addr().String(), Token: token})
	if _, err := collect(t, c, batchRequest()); err != nil {
		t.Fatal(err)
	}
	if got := bridge.metadata[0].Get("authorization"); len(got) != 1 || got[0] != "Bearer secret" {
		t.Errorf("authorization is %q", got)
	}
}

func TestTokenThatCannotBeHadIsAskedForAgain(t *testing.T) {
	t.Parallel()
	listener := listen(t, "127.0.0.1:0")
	bridge := &scriptedBridge{scripts: []script{plays(nil, opened(0, 0), caughtUp(0))}}
	serve(t, bridge, listener)
	asked := 0
	token := func(context.Context) (string, error) {
		if asked++; asked == 1 {
			return "", errors.New("issuer is down")
		}
		return "secret", nil
	}
	c := newClient(t, client.Config{Address: listener.Addr().String(), Token: token})
	var reconnected reconnects
	if _, err := collect(t, c, batchRequest(), client.WithHooks(reconnected.hooks())); err != nil {
		t.Fatal(err)
	}
	if len(reconnected.causes) != 1 || status.Code(reconnected.causes[0]) != codes.Unavailable {
		t.Errorf("reconnected because of %v", reconnected.causes)
	}
}

func TestTokenFileFailures(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "token")
	if _, err := client.TokenFile(path)(t.Context()); err == nil {
		t.Error("a file that doesn't exist has a token")
	}
	if err := os.WriteFile(path, []byte(" \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := client.TokenFile(path)(t.Context()); err == nil {
		t.Error("an empty file has a token")
	}
}
