package journal_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/deskbridge/deskbridge/server/internal/journal"
	"github.com/deskbridge/deskbridge/server/internal/journal/journaltest"
)

// TestClusterWithTLS has a server that asks for a client certificate.
func TestClusterWithTLS(t *testing.T) {
	t.Parallel()
	certFile, keyFile := selfSigned(t)
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	authorities := x509.NewCertPool()
	authorities.AddCert(pair.Leaf)
	servers := journaltest.StartCluster(t, 1, func(options *server.Options) {
		options.TLSVerify = true
		options.TLSConfig = &tls.Config{
			MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair},
			ClientCAs: authorities, ClientAuth: tls.RequireAndVerifyClientCert,
		}
	})
	settings := journal.Cluster{Replicas: 1, CAFile: certFile, CertFile: certFile, KeyFile: keyFile}
	j := openOn(t, servers.URLs(), journal.Config{Cluster: settings})
	if receipt := appendEntry(t, j, entry(1)); receipt.Spooled || receipt.Position != 1 {
		t.Errorf("got %+v, want position 1", receipt)
	}
}

// selfSigned makes a certificate that is its own authority, good for servers on loopback and for clients.
func selfSigned(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return writePEM(t, "CERTIFICATE", certificate), writePEM(t, "PRIVATE KEY", private)
}

func writePEM(t *testing.T, kind string, content []byte) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "file.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestClusterWithoutItsFiles(t *testing.T) {
	t.Parallel()
	for name, settings := range map[string]journal.Cluster{
		"credentials": {CredentialsFile: "missing"},
		"CA":          {CAFile: "missing"},
		"certificate": {CertFile: "missing", KeyFile: "missing"},
	} {
		settings.URLs = "nats://127.0.0.1:1"
		if _, err := journal.Open(t.Context(), journal.Config{Dir: t.TempDir(), Cluster: settings}); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
}

func TestClusterWithSmallPayloads(t *testing.T) {
	t.Parallel()
	servers := journaltest.StartCluster(t, 1, func(options *server.Options) { options.MaxPayload = 64 << 10 })
	_, err := journal.Open(t.Context(), journal.Config{
		Dir: t.TempDir(), Cluster: journal.Cluster{URLs: servers.URLs(), Replicas: 1},
	})
	if err == nil {
		t.Error("opened")
	}
}
