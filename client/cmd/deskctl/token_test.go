package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

func TestTokenNew(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	console := &console{out: &out, err: &errs}
	path := filepath.Join(t.TempDir(), "crm.token")
	if code := run(t.Context(), []string{"token", "new", "--out", path, "--expires", "1h"}, console); code != exitOK {
		t.Fatal(errs.String())
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	token := strings.TrimSpace(string(content))
	sum := sha256.Sum256([]byte(token))
	if want := "- {sha256: " + hex.EncodeToString(sum[:]) + ", expires: 20"; !strings.HasPrefix(out.String(), want) {
		t.Errorf("the line is %q, want %q…", out.String(), want)
	}
	if strings.Contains(out.String(), token) || len(token) != len(tokenPrefix)+43 {
		t.Errorf("token %q, printed %q", token, out.String())
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if code := run(t.Context(), []string{"token", "new", "--out", path}, console); code != exitFailed {
		t.Error("a token was overwritten")
	}
	out.Reset()
	if code := run(t.Context(), []string{"token", "new"}, console); code != exitOK {
		t.Fatal(errs.String())
	}
	if lines := strings.Fields(out.String()); len(lines) != 4 || !strings.HasPrefix(lines[0], tokenPrefix) || lines[0] == token {
		t.Errorf("printed %q", out.String())
	}
}

// guardedBridge answers clients with a certificate and a token.
type guardedBridge struct {
	deskbridgev1.UnimplementedSessionEventServiceServer

	authorization chan string
}

func (b *guardedBridge) GetJournalInfo(
	ctx context.Context, _ *deskbridgev1.GetJournalInfoRequest,
) (*deskbridgev1.GetJournalInfoResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	b.authorization <- strings.Join(md["authorization"], ",")
	return &deskbridgev1.GetJournalInfoResponse{Epoch: epoch}, nil
}

// TestInfoPresentsCertificateAndToken over mutual TLS, with one certificate for both sides.
func TestInfoPresentsCertificateAndToken(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certificate, key, tokenFile := filepath.Join(dir, "crt"), filepath.Join(dir, "key"), filepath.Join(dir, "token")
	pair := writePair(t, certificate, key)
	if err := os.WriteFile(tokenFile, []byte("dsk_x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	clients := x509.NewCertPool()
	clients.AddCert(pair.Leaf)
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{pair}, ClientCAs: clients, ClientAuth: tls.RequireAndVerifyClientCert,
	})))
	bridge := &guardedBridge{authorization: make(chan string, 1)}
	deskbridgev1.RegisterSessionEventServiceServer(server, bridge)
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})

	var out, errs bytes.Buffer
	code := run(t.Context(), []string{
		"info", "--addr", listener.Addr().String(), "--tls-ca", certificate, "--tls-cert", certificate, "--tls-key", key,
		"--token-file", tokenFile,
	}, &console{out: &out, err: &errs})
	if code != exitOK || !strings.Contains(out.String(), epoch) {
		t.Fatalf("exit code %d: %s%s", code, out.String(), errs.String())
	}
	if got := <-bridge.authorization; got != "Bearer dsk_x" {
		t.Errorf("authorization: %q", got)
	}
}

// writePair writes a certificate that vouches for itself, and its key.
func writePair(t *testing.T, certFile, keyFile string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: keyDER},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}
