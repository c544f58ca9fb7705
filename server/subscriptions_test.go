package server_test

import (
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

func (b *bridge) subscriptions(request *deskbridgev1.ListSubscriptionsRequest) *deskbridgev1.ListSubscriptionsResponse {
	b.t.Helper()
	page, err := deskbridgev1.NewSubscriptionServiceClient(b.conn).ListSubscriptions(b.t.Context(), request)
	if err != nil {
		b.t.Fatal(err)
	}
	return page
}

// awaitCaughtUp reads on until the stream is live.
func (s *stream) awaitCaughtUp() {
	s.t.Helper()
	for live := false; !live; {
		live = s.next().GetCaughtUp() != nil
	}
}

// openHTTP opens a stream over HTTP until the test ends.
func (b *bridge) openHTTP(query, accept string) {
	b.t.Helper()
	request, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, b.url("/v1/events:subscribe?"+query), nil)
	if err != nil {
		b.t.Fatal(err)
	}
	request.Header.Set("Accept", accept)
	request.Header.Set("X-Forwarded-For", "192.0.2.7")
	response, err := b.http.Do(request)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = response.Body.Close() })
}

func TestListSubscriptions(t *testing.T) {
	t.Parallel()
	b := startBridge(t, testConfig(t))
	b.mustPost(documentQuery, `{"SessionId":"a","Event":"SessionBegin"}`)
	request := &deskbridgev1.SubscribeRequest{
		Name:     "crm-sync",
		Filter:   &deskbridgev1.EventFilter{SessionIds: []string{"another"}},
		ReadMask: &fieldmaskpb.FieldMask{Paths: []string{"session_id"}},
	}
	reader := b.subscribe(request)
	reader.awaitCaughtUp()
	b.openHTTP("name=lines", "application/json")
	b.openHTTP("name=browser", "text/event-stream")
	b.mustPost(documentQuery, `{"SessionId":"a","Event":"SessionEnd"}`)

	var all []*deskbridgev1.Subscription
	b.eventually("three streams that are live and up to date", func() bool {
		all = b.subscriptions(&deskbridgev1.ListSubscriptionsRequest{}).GetSubscriptions()
		ready := 0
		for _, s := range all {
			if s.GetState() == deskbridgev1.SubscriptionState_SUBSCRIPTION_STATE_LIVE && s.GetPosition() == 2 {
				ready++
			}
		}
		return ready == 3
	})
	for i, want := range []struct {
		name, peer string
		transport  deskbridgev1.SubscriptionTransport
	}{
		{"crm-sync", "127.0.0.1:", deskbridgev1.SubscriptionTransport_SUBSCRIPTION_TRANSPORT_GRPC},
		{"lines", "127.0.0.1", deskbridgev1.SubscriptionTransport_SUBSCRIPTION_TRANSPORT_JSON_LINES},
		{"browser", "127.0.0.1", deskbridgev1.SubscriptionTransport_SUBSCRIPTION_TRANSPORT_SERVER_SENT_EVENTS},
	} {
		got := all[i]
		if got.GetName() != want.name || got.GetTransport() != want.transport ||
			!strings.HasPrefix(got.GetPeerAddress(), want.peer) || got.GetLagEvents() != 0 ||
			got.GetLagDuration().AsDuration() != 0 || got.GetOpenTime().AsTime().Unix() == 0 {
			t.Errorf("got %v, want %+v", got, want)
		}
	}
	if !proto.Equal(all[0].GetFilter(), request.GetFilter()) || !proto.Equal(all[0].GetReadMask(), request.GetReadMask()) {
		t.Errorf("filter %v and mask %v, want those of %v", all[0].GetFilter(), all[0].GetReadMask(), request)
	}
	first := b.subscriptions(&deskbridgev1.ListSubscriptionsRequest{PageSize: 2})
	rest := b.subscriptions(&deskbridgev1.ListSubscriptionsRequest{PageSize: 2, PageToken: first.GetNextPageToken()})
	if len(first.GetSubscriptions()) != 2 || len(rest.GetSubscriptions()) != 1 || rest.GetNextPageToken() != "" ||
		rest.GetSubscriptions()[0].GetName() != "browser" {
		t.Errorf("pages %v and %v", first, rest)
	}
	reader.cancel()
	b.eventually("the stream is gone", func() bool {
		return len(b.subscriptions(&deskbridgev1.ListSubscriptionsRequest{}).GetSubscriptions()) == 2
	})
}

// TestListSubscriptionsShowsLag has a reader that takes nothing.
func TestListSubscriptionsShowsLag(t *testing.T) {
	t.Parallel()
	config := testConfig(t)
	config.MetricsAddr = "127.0.0.1:0"
	b := startBridge(t, config)
	b.subscribe(&deskbridgev1.SubscribeRequest{Name: "stuck"})
	body := `{"SessionId":"a","Event":"SessionBegin","CloudCustomData":"` + strings.Repeat("x", 100<<10) + `"`
	for i := range 20 { // more than the flow control of HTTP/2 lets through
		b.mustPost(documentQuery, body+strings.Repeat(" ", i)+`,"Number":`+strings.Repeat("1", i+1)+`}`)
	}
	b.eventually("it is behind", func() bool {
		all := b.subscriptions(&deskbridgev1.ListSubscriptionsRequest{}).GetSubscriptions()
		return len(all) == 1 && all[0].GetLagEvents() > 0 && all[0].GetLagDuration().AsDuration() > 0 &&
			b.value("deskbridge_subscription_lag_seconds", "name=stuck") > 0
	})
}

func TestListSubscriptionsRefusesStrangeTokens(t *testing.T) {
	t.Parallel()
	b := startBridge(t, testConfig(t))
	for _, request := range []*deskbridgev1.ListSubscriptionsRequest{{PageToken: "x"}, {PageSize: -1}, {PageSize: 1001}} {
		_, err := deskbridgev1.NewSubscriptionServiceClient(b.conn).ListSubscriptions(t.Context(), request)
		if status.Code(err) != codes.InvalidArgument {
			t.Errorf("%v: %v", request, err)
		}
	}
}

// TestStreamsKeepNothingUnknown: of a request only what the contract knows is kept while the stream is open.
func TestStreamsKeepNothingUnknown(t *testing.T) {
	t.Parallel()
	b := startBridge(t, testConfig(t))
	filter := &deskbridgev1.EventFilter{SessionIds: []string{"a"}}
	filter.ProtoReflect().SetUnknown(protowire.AppendBytes(protowire.AppendTag(nil, 9999, protowire.BytesType), make([]byte, 1000)))
	b.subscribe(&deskbridgev1.SubscribeRequest{Filter: filter}).awaitCaughtUp()
	for _, s := range b.subscriptions(&deskbridgev1.ListSubscriptionsRequest{}).GetSubscriptions() {
		if kept := s.GetFilter().ProtoReflect().GetUnknown(); len(kept) > 0 || len(s.GetFilter().GetSessionIds()) != 1 {
			t.Errorf("%d unknown bytes are kept of %v", len(kept), s.GetFilter().GetSessionIds())
		}
	}
}
