package server_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// intruder makes one attempt. What it receives, errors included, is kept in received.
type intruder struct {
	*secured
	t        *testing.T
	ctx      context.Context
	received strings.Builder
}

// attempt is one to get in, or to get more than is allowed.
type attempt struct {
	name string
	try  func(*intruder) (outcome string)
	// want is the outcome: a gRPC code, an HTTP status, or "TLS" when there is no connection. OK means that nothing is
	// refused, and that the caller gets only what it may read.
	want string
	// mayRead our words: the caller is allowed to.
	mayRead bool
}

func bearer(token string) []string { return []string{"authorization", "Bearer " + token} }

func as(principal string) []string { return bearer(token(principal)) }

// take keeps what arrived, and turns an error into an outcome.
func (i *intruder) take(message proto.Message, err error) string {
	if err != nil && !errors.Is(err, io.EOF) {
		fmt.Fprint(&i.received, err, status.Convert(err).Details())
		if status.Code(err) == codes.Unavailable {
			return "TLS" // how it shows depends on how far the client got: with TLS 1.3 it is done first
		}
		return status.Code(err).String()
	}
	i.received.WriteString(protojson.Format(message))
	return codes.OK.String()
}

// over runs a call with headers over a connection.
func (i *intruder) over(config *tls.Config, headers []string, call func(context.Context, *grpc.ClientConn) string) string {
	return call(metadata.AppendToOutgoingContext(i.ctx, headers...), i.dial(i.t, config))
}

func (i *intruder) unary(headers []string, method string, request, response proto.Message) string {
	return i.over(i.clientTLS(nil), headers, func(ctx context.Context, conn *grpc.ClientConn) string {
		return i.take(response, conn.Invoke(ctx, method, request, response))
	})
}

// read reads a subscription to its end.
func (i *intruder) read(ctx context.Context, conn *grpc.ClientConn, request *deskbridgev1.SubscribeRequest) string {
	request.StopWhenCaughtUp = true
	if request.GetStart() == nil {
		request.Start = fromEarliest()
	}
	stream, err := deskbridgev1.NewSessionEventServiceClient(conn).Subscribe(ctx, request)
	if err != nil {
		return i.take(nil, err)
	}
	for {
		response, err := stream.Recv()
		if err != nil {
			return i.take(response, err)
		}
		i.take(response, nil)
	}
}

// http sends a request and returns the answer's status.
func (i *intruder) http(method, path string, headers []string, body string, config *tls.Config) string {
	request, err := http.NewRequestWithContext(i.ctx, method, "https://"+i.HTTPAddr()+path, strings.NewReader(body))
	if err != nil {
		i.t.Fatal(err)
	}
	if body == "" {
		request.Body = http.NoBody
	}
	for n := 0; n < len(headers); n += 2 {
		request.Header.Add(headers[n], headers[n+1])
	}
	response, err := i.httpClient(i.t, config).Do(request)
	if err != nil {
		i.received.WriteString(err.Error())
		return "TLS"
	}
	code, text := readAnswer(i.t, response)
	i.received.WriteString(text)
	challenge := response.Header.Get("WWW-Authenticate")
	if isEvents := !strings.HasPrefix(path, "/v1/callbacks/"); (challenge == "Bearer") != (isEvents && code == 401) {
		i.t.Errorf("%s %s: answered %d with the challenge %q", method, path, code, challenge)
	}
	return fmt.Sprint(code)
}

// The kinds of attempts.

func subscribeAs(headers []string, request *deskbridgev1.SubscribeRequest) func(*intruder) string {
	return func(i *intruder) string {
		return i.over(i.clientTLS(nil), headers, func(ctx context.Context, conn *grpc.ClientConn) string {
			return i.read(ctx, conn, proto.CloneOf(request))
		})
	}
}

func filtered(principal string, filter *deskbridgev1.EventFilter) func(*intruder) string {
	return subscribeAs(as(principal), &deskbridgev1.SubscribeRequest{Filter: filter})
}

func expression(principal, text string) func(*intruder) string {
	return filtered(principal, &deskbridgev1.EventFilter{Expression: text})
}

func readMasked(paths ...string) func(*intruder) string {
	return subscribeAs(as("masked"), &deskbridgev1.SubscribeRequest{ReadMask: &fieldmaskpb.FieldMask{Paths: paths}})
}

func list(headers []string, app, session string) func(*intruder) string {
	return func(i *intruder) string {
		return i.unary(headers, deskbridgev1.SessionEventService_ListSessionEvents_FullMethodName,
			&deskbridgev1.ListSessionEventsRequest{SdkAppId: app, SessionId: session, PageSize: 1000},
			&deskbridgev1.ListSessionEventsResponse{})
	}
}

func info(headers []string) func(*intruder) string {
	return func(i *intruder) string {
		return i.unary(headers, deskbridgev1.SessionEventService_GetJournalInfo_FullMethodName,
			&deskbridgev1.GetJournalInfoRequest{}, &deskbridgev1.GetJournalInfoResponse{})
	}
}

func call(headers []string, method string, request proto.Message) func(*intruder) string {
	return func(i *intruder) string {
		return i.unary(headers, method, request, &deskbridgev1.GetQuarantinedCallbackResponse{})
	}
}

func listQuarantine(principal string) func(*intruder) string {
	return func(i *intruder) string {
		return i.unary(as(principal), deskbridgev1.QuarantineService_ListQuarantinedCallbacks_FullMethodName,
			&deskbridgev1.ListQuarantinedCallbacksRequest{}, &deskbridgev1.ListQuarantinedCallbacksResponse{})
	}
}

func reflectAs(headers []string) func(*intruder) string {
	return func(i *intruder) string {
		return i.over(i.clientTLS(nil), headers, func(ctx context.Context, conn *grpc.ClientConn) string {
			stream, err := reflectionv1.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
			if err != nil {
				return i.take(nil, err)
			}
			_ = stream.Send(&reflectionv1.ServerReflectionRequest{
				MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{},
			})
			response, err := stream.Recv()
			return i.take(response, err)
		})
	}
}

const fromFirst = "/v1/events:subscribe?start_position=START_POSITION_EARLIEST&stop_when_caught_up=true"

func get(path string, headers ...string) func(*intruder) string {
	return func(i *intruder) string { return i.http(http.MethodGet, path, headers, "", i.clientTLS(nil)) }
}

func post(path string, headers ...string) func(*intruder) string {
	return func(i *intruder) string { return i.http(http.MethodPost, path, headers, "{}", i.clientTLS(nil)) }
}

// secureGRPC reads with another TLS configuration than a client should have.
func secureGRPC(change func(*intruder, *tls.Config)) func(*intruder) string {
	return func(i *intruder) string {
		config := i.clientTLS(nil)
		change(i, config)
		return i.over(config, nil, func(ctx context.Context, conn *grpc.ClientConn) string {
			return i.read(ctx, conn, &deskbridgev1.SubscribeRequest{})
		})
	}
}

func secureHTTP(change func(*intruder, *tls.Config)) func(*intruder) string {
	return func(i *intruder) string {
		config := i.clientTLS(nil)
		change(i, config)
		return i.http(http.MethodGet, fromFirst, nil, "", config)
	}
}

func withCertificate(issue func(*intruder) *tls.Certificate) func(*intruder, *tls.Config) {
	return func(i *intruder, config *tls.Config) {
		certificate := issue(i)
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate, nil }
	}
}

const dashboard = "spiffe://corp/dashboard"

func forged(i *intruder) *tls.Certificate { return newAuthority(i.t).client(dashboard) }

func outdated(i *intruder) *tls.Certificate {
	return i.ca.client(dashboard, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
}

func serverOnly(i *intruder) *tls.Certificate {
	return i.ca.client(dashboard, func(c *x509.Certificate) {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	})
}

func stranger(i *intruder) *tls.Certificate { return i.ca.client("spiffe://corp/dashboard2") }

func oldTLS(version uint16) func(*intruder, *tls.Config) {
	return func(_ *intruder, config *tls.Config) { config.MinVersion, config.MaxVersion = version, version }
}

func webhook(id string, sign func() string, app string, headers ...string) func(*intruder) string {
	return func(i *intruder) string {
		header := http.Header{}
		for n := 0; n < len(headers); n += 2 {
			header.Add(headers[n], headers[n+1])
		}
		code, text := i.callback(i.t, app, id, eventBody("forged", "@shop", "Human.UserSendMsg", "words"), sign(), header)
		i.received.WriteString(text)
		return fmt.Sprint(code)
	}
}

func attempts() []attempt {
	ok, unknown, denied, limit := "OK", codes.Unauthenticated.String(), codes.PermissionDenied.String(),
		codes.ResourceExhausted.String()
	everything := &deskbridgev1.SubscribeRequest{}
	presented := func(headers ...string) func(*intruder) string { return subscribeAs(headers, everything) }
	expressions := func(text string) string { return fromFirst + "&filter.expression=" + url.QueryEscape(text) }
	mine := as("masked")
	const quarantine = "/deskbridge.v1.QuarantineService/"
	one := &deskbridgev1.GetQuarantinedCallbackRequest{QuarantineId: 1}
	nothing := &deskbridgev1.ListSubscriptionsRequest{}
	now := func() string { return signature(testToken, time.Now()) }

	return []attempt{
		// Without being known.
		{"no token", presented(), unknown, false},
		{"wrong token", presented(bearer("dsk_wrong")...), unknown, false},
		{"expired token", presented(as("former")...), unknown, false},
		{"scheme Basic", presented("authorization", "Basic "+token("crm")), unknown, false},
		{"scheme Token", presented("authorization", "Token "+token("crm")), unknown, false},
		{"no scheme", presented("authorization", token("crm")), unknown, false},
		{"empty token", presented("authorization", "Bearer "), unknown, false},
		{"two tokens", presented(append(as("crm"), as("masked")...)...), unknown, false},
		{"token and more", presented(bearer(token("crm") + " " + token("oncall"))...), unknown, false},
		{"token, longer by a byte", presented(bearer(token("crm") + "x")...), unknown, false},
		{"token, shorter by a byte", presented(bearer(token("crm")[:20])...), unknown, false},
		{"token in capitals", presented(bearer(strings.ToUpper(token("crm")))...), unknown, false},
		{"the hash for a token", presented(bearer(tokenHash("crm"))...), unknown, false},
		{"huge token", presented(bearer(strings.Repeat("x", 4000))...), unknown, false},
		{"token in another header", presented("x-token", token("crm")), unknown, false},
		{"the name for a token", presented(bearer("crm")...), unknown, false},
		{"forged certificate header", func(i *intruder) string {
			raw := string(i.ca.client(dashboard).Certificate[0])
			return presented("deskbridge-certificate-bin", raw, "deskbridge-remote", "127.0.0.1:1")(i)
		}, unknown, false},
		{"certificate in place of a wrong token", func(i *intruder) string {
			return i.over(i.clientTLS(i.ca.client(dashboard)), bearer("dsk_wrong"),
				func(ctx context.Context, conn *grpc.ClientConn) string {
					return i.read(ctx, conn, &deskbridgev1.SubscribeRequest{})
				})
		}, unknown, false},
		{"journal info, no token", info(nil), unknown, false},
		{"journal info, expired token", info(as("former")), unknown, false},
		{"timeline, no token", list(nil, "", "ours"), unknown, false},
		{"timeline, wrong token", list(bearer("x"), ourApp, "ours"), unknown, false},
		{"reflection, no token", reflectAs(nil), unknown, false},
		{"reflection, wrong token", reflectAs(bearer("x")), unknown, false},
		{"unknown method, no token", call(nil, "/deskbridge.v1.Nothing/Do", one), unknown, false},

		// Administration, by those who are no administrators, and from this machine too.
		{"list quarantine, no token", call(nil, quarantine+"ListQuarantinedCallbacks", one), unknown, false},
		{"get quarantined, no token", call(nil, quarantine+"GetQuarantinedCallback", one), unknown, false},
		{"redrive, no token", call(nil, quarantine+"RedriveQuarantinedCallback", one), unknown, false},
		{"drop, no token", call(nil, quarantine+"DropQuarantinedCallback", one), unknown, false},
		{"list quarantine as reader", call(as("crm"), quarantine+"ListQuarantinedCallbacks", one), denied, false},
		{"get quarantined as reader", call(as("crm"), quarantine+"GetQuarantinedCallback", one), denied, false},
		{"redrive as reader", call(as("crm"), quarantine+"RedriveQuarantinedCallback", one), denied, false},
		{"drop as reader", call(as("crm"), quarantine+"DropQuarantinedCallback", one), denied, false},
		{"list subscriptions, no token", call(nil, deskbridgev1.SubscriptionService_ListSubscriptions_FullMethodName, nothing), unknown, false},
		{"list subscriptions as reader", call(as("crm"), deskbridgev1.SubscriptionService_ListSubscriptions_FullMethodName, nothing), denied, false},
		{"list subscriptions as admin", call(as("oncall"), deskbridgev1.SubscriptionService_ListSubscriptions_FullMethodName, nothing), ok, false},
		{"list quarantine as admin", listQuarantine("oncall"), ok, false},
		{"list quarantine as admin who reads some content", listQuarantine("partial"), ok, false},
		{"list quarantine as admin with content", listQuarantine("auditor"), ok, true},
		{"get quarantined as admin", call(as("oncall"), quarantine+"GetQuarantinedCallback", one), denied, false},
		{"get quarantined as admin who reads some content", call(as("partial"), quarantine+"GetQuarantinedCallback", one), denied, false},
		{"get quarantined as admin with content", call(as("auditor"), quarantine+"GetQuarantinedCallback", one), ok, true},
		{"redrive as admin", func(i *intruder) string {
			return i.unary(as("oncall"), quarantine+"RedriveQuarantinedCallback", one, &deskbridgev1.RedriveQuarantinedCallbackResponse{})
		}, ok, false},
		{"callback over gRPC, no token", call(nil, deskbridgev1.CallbackService_NotifySessionEvent_FullMethodName, one), unknown, false},
		{"callback over gRPC as reader", call(as("crm"), deskbridgev1.CallbackService_NotifySessionEvent_FullMethodName, one), denied, false},
		{"callback over gRPC as admin", call(as("oncall"), deskbridgev1.CallbackService_NotifySessionEvent_FullMethodName, one), codes.Unimplemented.String(), false},
		{"unknown method as reader", call(as("crm"), "/deskbridge.v1.Nothing/Do", one), denied, false},
		{"events as admin", presented(as("oncall")...), denied, false},
		{"timeline as admin", list(as("oncall"), ourApp, "ours"), denied, false},

		// Other events than one's own.
		{"everything", filtered("crm", nil), ok, true},
		{"other app", filtered("crm", &deskbridgev1.EventFilter{SdkAppIds: []string{otherApp}}), denied, false},
		{"own app and other", filtered("crm", &deskbridgev1.EventFilter{SdkAppIds: []string{ourApp, otherApp}}), denied, false},
		{"other account", filtered("crm", &deskbridgev1.EventFilter{CustomerServiceIds: []string{"@elsewhere"}}), denied, false},
		{"other type", filtered("crm", &deskbridgev1.EventFilter{Types: []deskbridgev1.SessionEventType{2}}), denied, false},
		{"other type by name", filtered("crm", &deskbridgev1.EventFilter{TypeNames: []string{"ChatBot.UserSendMsg"}}), denied, false},
		{"other types by prefix", filtered("crm", &deskbridgev1.EventFilter{TypeNames: []string{"ChatBot.*"}}), denied, false},
		{"all types by prefix", filtered("crm", &deskbridgev1.EventFilter{TypeNames: []string{"*"}}), ok, true},
		{"session of the other app", filtered("crm", &deskbridgev1.EventFilter{SessionIds: []string{"theirs"}}), ok, false},
		{"other app by expression", expression("crm", `event.sdk_app_id == "`+otherApp+`"`), ok, false},
		{"anything by expression", expression("crm", `true || event.sdk_app_id != ""`), ok, true},
		{"other account by expression", expression("crm", `event.customer_service_id == "@elsewhere"`), ok, false},
		{"filter and expression", filtered("masked", &deskbridgev1.EventFilter{SessionIds: []string{"ours", "theirs"}, Expression: "true"}), ok, false},
		{"timeline of the other app", list(as("crm"), otherApp, "theirs"), denied, false},
		{"timeline without an app", list(as("crm"), "", "theirs"), ok, false},
		{"timeline with others' events", list(as("crm"), ourApp, "ours"), ok, true},
		{"behind a cursor", func(i *intruder) string {
			return subscribeAs(as("crm"), &deskbridgev1.SubscribeRequest{
				Start: &deskbridgev1.SubscribeRequest_AfterCursor{AfterCursor: i.epoch() + ":3"},
			})(i)
		}, ok, true},

		// Content without a right to it.
		{"content by subscribing", presented(mine...), ok, false},
		{"content by timeline", list(mine, ourApp, "ours"), ok, false},
		{"content by certificate", func(i *intruder) string {
			return i.over(i.clientTLS(i.ca.client(dashboard)), nil,
				func(ctx context.Context, conn *grpc.ClientConn) string {
					return i.read(ctx, conn, &deskbridgev1.SubscribeRequest{})
				})
		}, ok, false},
		{"CEL: contains", expression("masked", `event.cloud_custom_data.contains("SECRET")`), denied, false},
		{"CEL: starts with", expression("masked", `event.session_id == "ours" && event.extra_json.startsWith("{")`), denied, false},
		{"CEL: elements", expression("masked", `event.message.elements.exists(e, e.text.text.contains("SECRET"))`), denied, false},
		{"CEL: has", expression("masked", `has(event.cloud_custom_data)`), denied, false},
		{"CEL: size", expression("masked", `size(event.message.elements) > 0`), denied, false},
		{"CEL: dynamic", expression("masked", `dyn(event).cloud_custom_data == "`+ourWords+`"`), denied, false},
		{"CEL: in a list", expression("masked", `[event].exists(e, e.callback.client_ip != "")`), denied, false},
		{"CEL: ternary", expression("masked", `event.extra_json == "" ? false : true`), denied, false},
		{"CEL: error as oracle", expression("masked", `1 / size(event.cloud_custom_data) > 0`), denied, false},
		{"CEL: whole message", expression("masked", `event.message != Message{key: event.message.key}`), codes.InvalidArgument.String(), false},
		{"CEL: whole callback", expression("masked", `event.callback == CallbackMetadata{client_ip: "`+ourWords+`"}`), codes.InvalidArgument.String(), false},
		{"CEL: id", func(i *intruder) string {
			for _, id := range i.ids { // who guesses the text of a message guesses this
				if outcome := expression("masked", `event.id == "`+id+`"`)(i); outcome != ok {
					return outcome
				}
			}
			if strings.Contains(i.received.String(), `"events"`) {
				return "it tells a right guess"
			}
			return ok
		}, ok, false},
		{"CEL: own id", func(i *intruder) string {
			outcome := expression("masked", `event.id.startsWith("1-")`)(i)
			if !strings.Contains(i.received.String(), `"events"`) {
				return "it matches nothing"
			}
			return outcome
		}, ok, false},
		{"read mask: content", readMasked("cloud_custom_data"), denied, false},
		{"read mask: id", readMasked("id", "session_id"), ok, false},
		{"read mask: elements", readMasked("message.elements"), denied, false},
		{"read mask: extra", readMasked("id", "extra_json"), denied, false},
		{"read mask: address", readMasked("callback.client_ip"), denied, false},
		{"read mask: message", readMasked("message", "callback"), ok, false},

		// Over HTTP.
		{"HTTP lines, no token", get(fromFirst), "401", false},
		{"HTTP lines, wrong token", get(fromFirst, bearer("x")...), "401", false},
		{"HTTP lines, Basic", get(fromFirst, "authorization", "Basic "+token("crm")), "401", false},
		{"HTTP lines, two tokens", get(fromFirst, append(as("crm"), as("crm")...)...), "401", false},
		{"HTTP events, no token", get(fromFirst, "Accept", "text/event-stream"), "401", false},
		{"HTTP events, Last-Event-ID, no token", get(fromFirst, "Accept", "text/event-stream", "Last-Event-ID", "x:0"), "401", false},
		{"HTTP events, Last-Event-ID", func(i *intruder) string {
			return get(fromFirst, append(mine, "Accept", "text/event-stream", "Last-Event-ID", i.epoch()+":0")...)(i)
		}, "200", false},
		{"HTTP lines, content", get(fromFirst, mine...), "200", false},
		{"HTTP: token in the query", get(fromFirst + "&access_token=" + token("crm")), "400", false},
		{"HTTP: token in a cookie", get(fromFirst, "Cookie", "token="+token("crm")), "401", false},
		{"HTTP: metadata header", get(fromFirst, "Grpc-Metadata-Authorization", "Bearer "+token("crm")), "401", false},
		{"HTTP: forged certificate header", func(i *intruder) string {
			return get(fromFirst, "Grpc-Metadata-Deskbridge-Certificate-Bin", string(i.ca.pem()[:20]),
				"Deskbridge-Certificate-Bin", "x", "X-Forwarded-For", "127.0.0.1")(i)
		}, "401", false},
		{"HTTP: timeline, no token", get("/v1/sessions/ours/events"), "401", false},
		{"HTTP: timeline, other app", get("/v1/sessions/theirs/events?sdk_app_id="+otherApp, mine...), "403", false},
		{"HTTP: timeline, content", get("/v1/sessions/ours/events", mine...), "200", false},
		{"HTTP: journal, no token", get("/v1/journal"), "401", false},
		{"HTTP: other app", get(fromFirst+"&filter.sdk_app_ids="+otherApp, mine...), "403", false},
		{"HTTP: CEL", get(expressions(`event.extra_json.contains("S")`), mine...), "403", false},
		{"HTTP: CEL, other app", get(expressions(`event.sdk_app_id == "`+otherApp+`"`), mine...), "200", false},
		{"HTTP: read mask", get(fromFirst+"&read_mask=message.elements", mine...), "403", false},
		{"HTTP: quarantine by its method", post("/deskbridge.v1.QuarantineService/ListQuarantinedCallbacks", as("oncall")...), "404", false},
		{"HTTP: quarantine by a path", get("/v1/quarantine", as("oncall")...), "404", false},
		{"HTTP: another method", post("/v1/journal", append(as("crm"), "X-HTTP-Method-Override", "GET")...), "501", false},

		// Transport.
		{"gRPC: plain text", func(i *intruder) string {
			conn, err := grpc.NewClient(i.GRPCAddr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
			if err != nil {
				i.t.Fatal(err)
			}
			defer conn.Close()
			return i.read(metadata.AppendToOutgoingContext(i.ctx, as("crm")...), conn, &deskbridgev1.SubscribeRequest{})
		}, "TLS", false},
		{"gRPC: TLS 1.0", secureGRPC(oldTLS(tls.VersionTLS10)), "TLS", false},
		{"gRPC: TLS 1.1", secureGRPC(oldTLS(tls.VersionTLS11)), "TLS", false},
		{"gRPC: certificate of another authority", secureGRPC(withCertificate(forged)), "TLS", false},
		{"gRPC: expired certificate", secureGRPC(withCertificate(outdated)), "TLS", false},
		{"gRPC: certificate for servers", secureGRPC(withCertificate(serverOnly)), "TLS", false},
		{"gRPC: unknown certificate", secureGRPC(withCertificate(stranger)), unknown, false},
		{"HTTP: TLS 1.0", secureHTTP(oldTLS(tls.VersionTLS10)), "TLS", false},
		{"HTTP: certificate of another authority", secureHTTP(withCertificate(forged)), "TLS", false},
		{"HTTP: expired certificate", secureHTTP(withCertificate(outdated)), "TLS", false},
		{"HTTP: unknown certificate", secureHTTP(withCertificate(stranger)), "401", false},
		{"HTTP: content by certificate", secureHTTP(withCertificate(func(i *intruder) *tls.Certificate { return i.ca.client(dashboard) })), "200", false},
		{"HTTP: plain text", func(i *intruder) string {
			response, err := http.Get("http://" + i.HTTPAddr() + fromFirst)
			if err != nil {
				i.t.Fatal(err)
			}
			code, text := readAnswer(i.t, response)
			i.received.WriteString(text)
			return fmt.Sprint(code)
		}, "400", false},

		// The webhook.
		{"callback: unsigned", webhook("f-1", func() string { return "" }, ourApp), "401", false},
		{"callback: bearer token for a signature", webhook("f-2", func() string { return "" }, ourApp, as("oncall")...), "401", false},
		{"callback: wrongly signed", webhook("f-3", func() string { return signature("guess", time.Now()) }, ourApp), "401", false},
		{"callback: signed long ago", webhook("f-4", func() string { return signature(testToken, time.Now().Add(-time.Hour)) }, ourApp), "401", false},
		{"callback: foreign app", webhook("f-5", now, "1600000003"), "403", false},

		// Limits.
		{"streams", func(i *intruder) string {
			conn := i.dial(i.t, i.clientTLS(nil))
			ctx := metadata.AppendToOutgoingContext(i.ctx, as("limited")...)
			first, err := deskbridgev1.NewSessionEventServiceClient(conn).Subscribe(ctx, &deskbridgev1.SubscribeRequest{})
			if err == nil {
				_, err = first.Recv()
			}
			if err != nil {
				i.t.Fatal(err)
			}
			return i.read(ctx, conn, &deskbridgev1.SubscribeRequest{})
		}, limit, false},
		{"rate", func(i *intruder) (outcome string) {
			conn := i.dial(i.t, i.clientTLS(nil))
			ctx := metadata.AppendToOutgoingContext(i.ctx, as("frequent")...)
			for range 100_000 {
				_, err := deskbridgev1.NewSessionEventServiceClient(conn).GetJournalInfo(ctx, &deskbridgev1.GetJournalInfoRequest{})
				if outcome = i.take(nil, err); outcome != ok {
					break
				}
			}
			return outcome
		}, limit, false},
		{"large filters", func(i *intruder) string {
			conn := i.dial(i.t, i.clientTLS(nil))
			ctx := metadata.AppendToOutgoingContext(i.ctx, as("crm")...)
			pattern := strings.TrimSuffix(strings.Repeat("event.id.matches('a{900}')||", 140), "||")
			for range 20 {
				stream, err := deskbridgev1.NewSessionEventServiceClient(conn).Subscribe(ctx,
					&deskbridgev1.SubscribeRequest{Filter: &deskbridgev1.EventFilter{Expression: pattern}})
				if err == nil {
					_, err = stream.Recv()
				}
				if err != nil {
					return i.take(nil, err)
				}
			}
			return ok
		}, limit, false},
		{"large filter", filtered("crm", &deskbridgev1.EventFilter{SessionIds: manyValues()}), codes.InvalidArgument.String(), false},
		{"large request", filtered("crm", &deskbridgev1.EventFilter{Expression: strings.Repeat("x", 2<<20)}), limit, false},
	}
}

func manyValues() []string {
	values := make([]string, 1000)
	for i := range values {
		values[i] = fmt.Sprintf("%0300d", i)
	}
	return values
}

// epoch is the journal's, which the operator knows.
func (s *secured) epoch() string {
	conn := s.dial(s.t, s.clientTLS(nil))
	ctx, cancel := context.WithTimeout(s.t.Context(), testDeadline)
	defer cancel()
	info, err := deskbridgev1.NewSessionEventServiceClient(conn).GetJournalInfo(
		metadata.AppendToOutgoingContext(ctx, as("oncall")...), &deskbridgev1.GetJournalInfoRequest{})
	if err != nil {
		s.t.Fatal(err)
	}
	return info.GetEpoch()
}

// readIDs are those of the events that crm may read, as it sees them.
func (s *secured) readIDs() (ids []string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), testDeadline)
	defer cancel()
	timeline, err := deskbridgev1.NewSessionEventServiceClient(s.dial(s.t, s.clientTLS(nil))).ListSessionEvents(
		metadata.AppendToOutgoingContext(ctx, as("crm")...), &deskbridgev1.ListSessionEventsRequest{SessionId: "ours"})
	if err != nil || len(timeline.GetEvents()) != 2 {
		s.t.Fatalf("%v, %v", timeline, err)
	}
	for _, event := range timeline.GetEvents() {
		ids = append(ids, event.GetId())
	}
	return ids
}

// TestPagesTellNothingOfWhatIsHidden: a page is the last one when only events follow that its reader may not read.
func TestPagesTellNothingOfWhatIsHidden(t *testing.T) {
	t.Parallel()
	s := startSecured(t, principals())
	for i, service := range []string{"@shop", "@shop", "@elsewhere"} {
		body := eventBody("short", service, "Human.UserSendMsg", ourWords)
		status, answer := s.callback(t, ourApp, fmt.Sprint("short-", i), body, signature(testToken, time.Now()), nil)
		if status != http.StatusOK {
			t.Fatal(status, answer)
		}
	}
	client := deskbridgev1.NewSessionEventServiceClient(s.dial(t, s.clientTLS(nil)))
	ctx := metadata.AppendToOutgoingContext(t.Context(), as("crm")...)
	for size, more := range map[int32]bool{1: true, 2: false, 3: false} {
		page, err := client.ListSessionEvents(ctx, &deskbridgev1.ListSessionEventsRequest{SessionId: "short", PageSize: size})
		if err != nil || len(page.GetEvents()) != min(int(size), 2) || (page.GetNextPageToken() != "") != more {
			t.Errorf("a page of %d: %d events, token %q, %v", size, len(page.GetEvents()), page.GetNextPageToken(), err)
		}
	}
}

// refuses tells whether an outcome is a refusal for which the bridge's own counters and log must have an entry.
func refuses(outcome string) bool {
	switch outcome {
	case "OK", "200", "404", "501", codes.Unimplemented.String(), codes.InvalidArgument.String():
		return false
	default:
		return true
	}
}

func TestNobodyGetsMoreThanAllowed(t *testing.T) {
	t.Parallel()
	s := startSecured(t, principals())
	s.fill()
	s.ids = s.readIDs()
	// The callback in quarantine that some try to read: its URL has our words, too.
	status, answer := s.callback(t, otherApp, "q-1", `{"SessionId":"`+ourWords+`"`, signature(testToken, time.Now()), nil)
	if status != http.StatusOK {
		t.Fatal(status, answer)
	}
	all := attempts()
	if len(all) < 100 {
		t.Fatalf("%d attempts only", len(all))
	}
	for _, a := range all { // one after the other, so that what is counted is its own
		t.Run(a.name, func(t *testing.T) { s.suffer(t, a) })
	}
	_, metrics := s.refusals(t)
	for _, secret := range secrets() {
		if strings.Contains(s.log.String(), secret) {
			t.Errorf("the log holds %q", secret)
		}
		if strings.Contains(metrics, secret) {
			t.Errorf("the metrics hold %q", secret)
		}
	}
}

// suffer makes an attempt, and checks what came of it.
func (s *secured) suffer(t *testing.T, a attempt) {
	ctx, cancel := context.WithTimeout(t.Context(), testDeadline)
	defer cancel()
	i := &intruder{secured: s, t: t, ctx: ctx}
	before, _ := s.refusals(t)
	logged := s.logged()
	if outcome := a.try(i); outcome != a.want {
		t.Errorf("got %s, want %s: %s", outcome, a.want, i.received.String())
	}
	received := i.received.String()
	if strings.Contains(received, otherWords) || !a.mayRead && strings.Contains(received, ourWords) {
		t.Errorf("it leaks: %s", received)
	}
	if !a.mayRead && slices.ContainsFunc(s.ids, func(id string) bool { return strings.Contains(received, id) }) {
		t.Errorf("it tells the hash of what was written: %s", received)
	}
	if a.mayRead && !strings.Contains(received, ourWords) {
		t.Errorf("what may be read is not there: %s", received)
	}
	if !refuses(a.want) || a.name == "HTTP: token in the query" { // a query that can't be read is refused as such
		return
	}
	for deadline := time.Now().Add(testDeadline); ; time.Sleep(5 * time.Millisecond) {
		after, _ := s.refusals(t)
		if after > before && s.logged() > logged {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("refusals counted: %d, then %d; logged: %d, then %d", before, after, logged, s.logged())
		}
	}
}

// secrets must be nowhere but in what a principal gets that may read them.
func secrets() []string {
	all := []string{ourWords, otherWords, testToken}
	for _, name := range []string{"crm", "masked", "limited", "frequent", "oncall", "former"} {
		all = append(all, token(name), tokenHash(name))
	}
	return all
}

func TestHealthNeedsNoToken(t *testing.T) {
	t.Parallel()
	s := startSecured(t, principals())
	conn := s.dial(t, s.clientTLS(nil))
	for deadline := time.Now().Add(testDeadline); ; time.Sleep(5 * time.Millisecond) {
		response, err := healthv1.NewHealthClient(conn).Check(t.Context(), &healthv1.HealthCheckRequest{}, grpc.WaitForReady(true))
		if err == nil && response.GetStatus() == healthv1.HealthCheckResponse_SERVING {
			return
		}
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("%v, %v", response, err)
		}
	}
}

// TestReplayedCallbackIsNoEvent: who has seen a callback can post it again, but to no effect.
func TestReplayedCallbackIsNoEvent(t *testing.T) {
	t.Parallel()
	s := startSecured(t, principals())
	sign := signature(testToken, time.Now())
	for range 3 {
		status, answer := s.callback(t, ourApp, "r-1", eventBody("ours", "@shop", "SessionEnd", "words"), sign, nil)
		if status != http.StatusOK || answer != okAnswer {
			t.Fatalf("%d %s", status, answer)
		}
	}
	ctx := metadata.AppendToOutgoingContext(t.Context(), as("oncall")...)
	info, err := deskbridgev1.NewSessionEventServiceClient(s.dial(t, s.clientTLS(nil))).
		GetJournalInfo(ctx, &deskbridgev1.GetJournalInfoRequest{})
	if err != nil || info.GetEventCount() != 1 {
		t.Errorf("%v, %v", info, err)
	}
}
