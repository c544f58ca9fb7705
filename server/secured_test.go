package server_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/deskbridge/deskbridge/server"
)

// authority signs certificates.
type authority struct {
	t           *testing.T
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{t: t, certificate: certificate, key: key}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// issue returns the PEM texts of a certificate for an hour, and of its key.
func (a *authority) issue(change func(*x509.Certificate)) (certificate, key []byte) {
	a.t.Helper()
	own := newKey(a.t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	change(template)
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, own.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		a.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
}

// client is a client's certificate with a URI for its name.
func (a *authority) client(uri string, changes ...func(*x509.Certificate)) *tls.Certificate {
	a.t.Helper()
	certificate, key := a.issue(func(c *x509.Certificate) {
		name, err := url.Parse(uri)
		if err != nil {
			a.t.Fatal(err)
		}
		c.URIs = []*url.URL{name}
		for _, change := range changes {
			change(c)
		}
	})
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		a.t.Fatal(err)
	}
	return &pair
}

// writeServer writes a server's certificate for 127.0.0.1.
func (a *authority) writeServer(certFile, keyFile string, changes ...func(*x509.Certificate)) {
	a.t.Helper()
	certificate, key := a.issue(func(c *x509.Certificate) {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
		for _, change := range changes {
			change(c)
		}
	})
	writeFile(a.t, certFile, certificate)
	writeFile(a.t, keyFile, key)
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return pool
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw})
}

// writeFile replaces a file as an operator should: at one stroke.
func writeFile(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// logText is a log that can be read while it is written.
type logText struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logText) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// The apps of these tests, and what was written in them. A reader may not see the words of an app that is not its own;
// and a reader without content, none at all.
const (
	ourApp, otherApp     = "1600000001", "1600000002"
	ourWords, otherWords = "OUR-SECRET-WORDS", "OTHER-SECRET-WORDS"
)

func token(principal string) string {
	return "dsk_" + principal + "_0123456789abcdefghijklmnopqrstuvwxyz"
}

func tokenHash(principal string) string {
	sum := sha256.Sum256([]byte(token(principal)))
	return hex.EncodeToString(sum[:])
}

// principals is the access file of these tests. Each is known by token(name).
func principals() string {
	entry := func(name, rest string) string {
		return "  " + name + ":\n    tokens: [{sha256: " + tokenHash(name) + "}]\n" + rest
	}
	const reads = `    apps: ["` + ourApp + `"]
    types: ["Human.*", SessionEnd]
    customer_services: ["@shop"]
`
	return "principals:\n" +
		entry("crm", reads+"    content: true\n") +
		entry("masked", reads) +
		entry("limited", reads+"    max_streams: 1\n") +
		entry("frequent", reads) +
		entry("oncall", "    admin: true\n") +
		entry("partial", reads+"    content: true\n    admin: true\n") +
		entry("auditor", "    content: true\n    admin: true\n") +
		"  dashboard:\n    certificates: [\"spiffe://corp/dashboard\"]\n" + reads +
		"  former:\n    tokens: [{sha256: " + tokenHash("former") + ", expires: 2020-01-01}]\n" + reads
}

// secured is a bridge as it should face a network, and what its operator sees.
type secured struct {
	*server.Server
	t      *testing.T
	config server.Config
	ca     *authority
	log    *logText
	ids    []string // of events whose content is ourWords
}

// startSecured runs a bridge with TLS, access control and signed callbacks until the test ends.
func startSecured(t *testing.T, access string) *secured {
	t.Helper()
	s := &secured{t: t, config: signedConfig(t), ca: newAuthority(t), log: &logText{}}
	dir := t.TempDir()
	s.config.TLSCert, s.config.TLSKey = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	s.config.ClientCAs, s.config.Access = filepath.Join(dir, "clients.crt"), filepath.Join(dir, "access.yaml")
	s.config.SDKAppIDs, s.config.MetricsAddr = []string{ourApp, otherApp}, "127.0.0.1:0"
	s.config.CallRate = 50
	s.ca.writeServer(s.config.TLSCert, s.config.TLSKey)
	writeFile(t, s.config.ClientCAs, s.ca.pem())
	writeFile(t, s.config.Access, []byte(access))
	logger := slog.New(slog.NewTextHandler(io.MultiWriter(s.log, t.Output()), &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	if s.Server, err = server.New(t.Context(), s.config, logger); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the bridge did not end cleanly: %v", err)
		}
	})
	return s
}

// clientTLS is how a client reaches the bridge, with a certificate or without.
func (s *secured) clientTLS(certificate *tls.Certificate) *tls.Config {
	config := &tls.Config{RootCAs: s.ca.pool()}
	if certificate != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate, nil }
	}
	return config
}

func (s *secured) dial(t *testing.T, config *tls.Config) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(s.GRPCAddr(), grpc.WithTransportCredentials(credentials.NewTLS(config)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func (s *secured) httpClient(t *testing.T, config *tls.Config) *http.Client {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: testDeadline}
}

// callback posts one, and returns the answer's status and body. sign is the part of the query that proves the token.
func (s *secured) callback(t *testing.T, app, id, body, sign string, header http.Header) (int, string) {
	t.Helper()
	target := "https://" + s.HTTPAddr() + "/v1/callbacks/desk?SdkAppid=" + app + "&ClientIP=" + ourWords + "&RequestID=" + id
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, target+sign, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header = header
	response, err := s.httpClient(t, s.clientTLS(nil)).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	return readAnswer(t, response)
}

func eventBody(session, service, kind, words string) string {
	return fmt.Sprintf(`{"SessionId":%q,"CustomerServiceId":%q,"Event":%q,"EventTime":1735689600000,"CloudCustomData":%q,`+
		`"Unknown":%q,"MsgKey":"k","MsgBody":[{"MsgType":"TIMTextElem","MsgContent":{"Text":%q}}]}`,
		session, service, kind, words, words, words)
}

// fill posts events of both apps, and one of our app for each thing that a principal may not read.
func (s *secured) fill() {
	s.t.Helper()
	for i, event := range []struct{ app, body string }{
		{ourApp, eventBody("ours", "@shop", "Human.UserSendMsg", ourWords)},
		{ourApp, eventBody("ours", "@shop", "ChatBot.UserSendMsg", otherWords)},
		{ourApp, eventBody("ours", "@elsewhere", "Human.UserSendMsg", otherWords)},
		{otherApp, eventBody("theirs", "@shop", "Human.UserSendMsg", otherWords)},
		{ourApp, eventBody("ours", "@shop", "SessionEnd", ourWords)},
	} {
		status, answer := s.callback(s.t, event.app, "fill-"+strconv.Itoa(i), event.body, signature(testToken, time.Now()), nil)
		if status != http.StatusOK || answer != okAnswer {
			s.t.Fatalf("callback %d: %d %s", i, status, answer)
		}
	}
}

var sample = regexp.MustCompile(`(?m)^(deskbridge_\w*(?:refused|failed)_total)(?:\{[^}]*\})? (\d+)`)

// refusals adds up what the metrics count of refusals. It returns all of their text, too.
func (s *secured) refusals(t *testing.T) (total int, text string) {
	t.Helper()
	response, err := http.Get("http://" + s.MetricsAddr() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	_, text = readAnswer(t, response)
	for _, match := range sample.FindAllStringSubmatch(text, -1) {
		count, err := strconv.Atoi(match[2])
		if err != nil {
			t.Fatal(err)
		}
		total += count
	}
	return total, text
}

// logged counts the log's lines about refusals.
func (s *secured) logged() int {
	text := s.log.String()
	return strings.Count(text, "call refused") + strings.Count(text, "TLS handshake failed") +
		strings.Count(text, "callback refused")
}
