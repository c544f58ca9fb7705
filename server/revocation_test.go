package server_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// watch opens a stream over gRPC that has caught up.
func (s *secured) watch(t *testing.T, principal string) *stream {
	t.Helper()
	return watchOver(t, s.dial(t, s.clientTLS(nil)), as(principal)...)
}

func watchOver(t *testing.T, conn *grpc.ClientConn, headers ...string) *stream {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testDeadline)
	t.Cleanup(cancel)
	events, err := deskbridgev1.NewSessionEventServiceClient(conn).
		Subscribe(metadata.AppendToOutgoingContext(ctx, headers...), &deskbridgev1.SubscribeRequest{})
	if err != nil {
		t.Fatal(err)
	}
	opened := &stream{t: t, ServerStreamingClient: events, cancel: cancel}
	for {
		if opened.next().GetCaughtUp() != nil {
			return opened
		}
	}
}

// end reads to the end of a stream.
func (s *stream) end() error {
	for {
		if _, err := s.Recv(); err != nil {
			return err
		}
	}
}

// awaitEvents reads up to the next events.
func (s *stream) awaitEvents() {
	s.t.Helper()
	for s.next().GetEvents() == nil {
		continue
	}
}

// TestChangesReachLiveStreams changes the access file under open streams.
func TestChangesReachLiveStreams(t *testing.T) {
	t.Parallel()
	soon := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	for name, tt := range map[string]struct {
		change func(file string) string
		code   codes.Code
		reason deskbridgev1.ErrorReason
	}{
		"token revoked": {
			func(file string) string { return strings.ReplaceAll(file, tokenHash("crm"), tokenHash("another")) },
			codes.Unauthenticated, deskbridgev1.ErrorReason_ERROR_REASON_UNAUTHENTICATED,
		},
		"token expires": {
			func(file string) string {
				return strings.Replace(file, tokenHash("crm")+"}", tokenHash("crm")+", expires: "+
					time.Now().Add(time.Second).UTC().Format(time.RFC3339Nano)+"}", 1)
			},
			codes.Unauthenticated, deskbridgev1.ErrorReason_ERROR_REASON_UNAUTHENTICATED,
		},
		"no events any more": {
			func(string) string {
				return "principals: {crm: {tokens: [{sha256: " + tokenHash("crm") + ", expires: " + soon + "}], admin: true}}"
			},
			codes.PermissionDenied, deskbridgev1.ErrorReason_ERROR_REASON_PERMISSION_DENIED,
		},
		"no content any more": {
			func(file string) string { return strings.Replace(file, "content: true", "content: false", 1) },
			codes.Unavailable, deskbridgev1.ErrorReason_ERROR_REASON_DRAINING,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startSecured(t, principals())
			affected := s.watch(t, "crm")
			overHTTP := s.watchHTTP(t, s.httpClient(t, s.clientTLS(nil)), as("crm")...)
			changed := tt.change(principals())
			writeFile(t, s.config.Access, []byte(changed))

			err := affected.end()
			if detail := detailOf(t, err); status.Code(err) != tt.code || detail.GetReason() != tt.reason ||
				detail.GetResumeCursor() == "" {
				t.Errorf("got %v, %v", err, detail)
			}
			if text := <-overHTTP; !strings.Contains(text, tt.reason.String()) {
				t.Errorf("over HTTP: %s", text)
			}
		})
	}
}

// watchHTTP opens a stream of lines, and gives its last line when it ends.
func (s *secured) watchHTTP(t *testing.T, client *http.Client, headers ...string) <-chan string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testDeadline)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+s.HTTPAddr()+"/v1/events:subscribe", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n < len(headers); n += 2 {
		request.Header.Set(headers[n], headers[n+1])
	}
	response, err := client.Do(request) //nolint:bodyclose // closed below, where it is read
	if err != nil {
		t.Fatal(err)
	}
	last := make(chan string, 1)
	go func() {
		defer cancel()
		defer response.Body.Close()
		line := ""
		for lines := bufio.NewScanner(response.Body); lines.Scan(); {
			line = lines.Text()
		}
		last <- line
	}()
	return last
}

// TestUselessFileChangesNothing: what can't be used leaves what was in force, and streams that are not concerned live on.
func TestUselessFileChangesNothing(t *testing.T) {
	t.Parallel()
	s := startSecured(t, principals())
	unaffected := s.watch(t, "masked")
	s.awaitStale(t, 0)
	writeFile(t, s.config.Access, []byte("principals: [nonsense"))
	s.awaitLog(t, "stays in force")
	s.awaitStale(t, 1)
	writeFile(t, s.config.Access, []byte(strings.Replace(principals(), "content: true", "content: false", 1)))
	s.awaitLog(t, "read again what has changed")
	s.awaitStale(t, 0)

	s.fill()
	unaffected.awaitEvents()
}

func (s *secured) awaitLog(t *testing.T, text string) {
	t.Helper()
	for deadline := time.Now().Add(testDeadline); !strings.Contains(s.log.String(), text); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%q is not logged", text)
		}
	}
}

// awaitStale waits until the metrics say so of the access file, and of no other.
func (s *secured) awaitStale(t *testing.T, want float64) {
	t.Helper()
	wanted := map[string]float64{"setting=access-file": want, "setting=callback-token-file": 0, "setting=tls-cert-file": 0}
	eventually(t, fmt.Sprintf("deskbridge_file_stale has %v", wanted), testDeadline, func() bool {
		got := map[string]float64{}
		for _, metric := range s.scrape(t)["deskbridge_file_stale"].GetMetric() {
			got[labelsOf(metric)[0]] = metric.GetGauge().GetValue()
		}
		return maps.Equal(got, wanted)
	})
}

// TestCertificateIsReloaded replaces the certificate, and the authority of the clients.
func TestCertificateIsReloaded(t *testing.T) {
	t.Parallel()
	s := startSecured(t, principals())
	old, renewed := s.ca, newAuthority(t)
	writeFile(t, s.config.ClientCAs, renewed.pem())
	expires := time.Now().Add(2 * time.Hour)
	renewed.writeServer(s.config.TLSCert, s.config.TLSKey, func(c *x509.Certificate) { c.NotAfter = expires })
	s.ca = renewed
	for deadline := time.Now().Add(testDeadline); ; time.Sleep(50 * time.Millisecond) {
		i := &intruder{secured: s, t: t, ctx: t.Context()}
		outcome := i.over(i.clientTLS(renewed.client(dashboard)), nil, func(ctx context.Context, conn *grpc.ClientConn) string {
			return i.read(ctx, conn, &deskbridgev1.SubscribeRequest{})
		})
		if outcome == "OK" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the new certificate is not served: %s", i.received.String())
		}
	}
	i := &intruder{secured: s, t: t, ctx: t.Context()}
	if outcome := secureGRPC(withCertificate(func(*intruder) *tls.Certificate { return old.client(dashboard) }))(i); outcome != "TLS" {
		t.Errorf("a client of the old authority: %s", outcome)
	}
	if got := s.expiry(t); got != float64(expires.Unix()) {
		t.Errorf("the metrics have an expiry of %.0f, want %d", got, expires.Unix())
	}
}

// expiry is that of the certificate in force, as the metrics have it.
func (s *secured) expiry(t *testing.T) float64 {
	t.Helper()
	return s.scrape(t)["deskbridge_tls_certificate_expiry_timestamp_seconds"].GetMetric()[0].GetGauge().GetValue()
}

// TestAuthorityIsRevokedUnderOpenConnections: a certificate was verified when its connection began. When another
// authority takes the place of its own, it is good for neither a stream nor another call.
func TestAuthorityIsRevokedUnderOpenConnections(t *testing.T) {
	t.Parallel()
	s := startSecured(t, principals())
	certificate := s.clientTLS(s.ca.client(dashboard))
	conn := s.dial(t, certificate)
	live := watchOver(t, conn)
	overHTTP := s.watchHTTP(t, s.httpClient(t, certificate))
	withToken := s.watch(t, "masked")

	writeFile(t, s.config.ClientCAs, append(newAuthority(t).pem(), s.ca.pem()...)) // another one beside it changes nothing
	s.awaitLog(t, "read again what has changed")
	s.fill()
	live.awaitEvents()
	writeFile(t, s.config.ClientCAs, newAuthority(t).pem())

	err := live.end()
	if detail := detailOf(t, err); detail.GetReason() != deskbridgev1.ErrorReason_ERROR_REASON_UNAUTHENTICATED ||
		detail.GetResumeCursor() == "" {
		t.Errorf("the stream: %v, %v", err, detail)
	}
	if text := <-overHTTP; !strings.Contains(text, "ERROR_REASON_UNAUTHENTICATED") {
		t.Errorf("the stream over HTTP: %s", text)
	}
	_, err = deskbridgev1.NewSessionEventServiceClient(conn).GetJournalInfo(t.Context(), &deskbridgev1.GetJournalInfoRequest{})
	if status.Code(err) != codes.Unauthenticated {
		t.Errorf("a call on the connection: %v", err)
	}
	withToken.awaitEvents() // it needs no authority
}

// TestCallbackTokenIsReloaded replaces the webhook's token.
func TestCallbackTokenIsReloaded(t *testing.T) {
	t.Parallel()
	config := signedConfig(t)
	b := startBridge(t, config)
	post := func(token string) int {
		now := time.Now()
		status, _ := b.post(documentQuery+signature(token, now), sessionBody("s", 1))
		return status
	}
	if status := post(testToken); status != http.StatusOK {
		t.Fatalf("before: status %d", status)
	}
	writeFile(t, config.CallbackTokens, []byte("renewed\n"))
	b.eventually("the new token is in force", func() bool { return post("renewed") == http.StatusOK })
	if status := post(testToken); status != http.StatusUnauthorized {
		t.Errorf("the old token: status %d", status)
	}
}
