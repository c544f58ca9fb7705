package server_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// The ways to read a stream.
const (
	overGRPC  = "gRPC"
	overLines = "lines of JSON"
	overSSE   = "Server-Sent Events"
)

// responses is a stream, whichever way it is read.
type responses interface {
	Recv() (*deskbridgev1.SubscribeResponse, error)
}

// openStream opens a stream on a connection of its own. Call the function to close it.
func openStream(
	ctx context.Context, way, addr string, request *deskbridgev1.SubscribeRequest,
) (responses, func(), error) {
	if way == overGRPC {
		return openGRPC(ctx, addr, request)
	}
	return openHTTP(ctx, way, addr, request, "")
}

func openGRPC(
	ctx context.Context, addr string, request *deskbridgev1.SubscribeRequest, options ...grpc.DialOption,
) (responses, func(), error) {
	conn, err := grpc.NewClient(addr, append(options, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		return nil, nil, err
	}
	s, err := deskbridgev1.NewSessionEventServiceClient(conn).Subscribe(ctx, request)
	if err != nil {
		_ = conn.Close()
		return nil, nil, err
	}
	return s, func() { _ = conn.Close() }, nil
}

// openHTTP resumes behind lastID when there is one.
func openHTTP(
	ctx context.Context, way, addr string, request *deskbridgev1.SubscribeRequest, lastID string,
) (responses, func(), error) {
	ctx, cancel := context.WithCancel(ctx)
	transport := &http.Transport{}
	closeAll := func() { cancel(); transport.CloseIdleConnections() }
	get, err := http.NewRequestWithContext(ctx, http.MethodGet,
		"http://"+addr+"/v1/events:subscribe?"+queryOf(request).Encode(), nil)
	if err != nil {
		closeAll()
		return nil, nil, err
	}
	if lastID != "" {
		get.Header.Set("Last-Event-ID", lastID)
	}
	if way == overSSE {
		get.Header.Set("Accept", "text/event-stream")
	}
	response, err := transport.RoundTrip(get) //nolint:bodyclose // the function that is returned closes it
	if err != nil {
		closeAll()
		return nil, nil, err
	}
	if response.StatusCode != http.StatusOK {
		defer closeAll()
		defer response.Body.Close()
		return nil, nil, errorOfBody(response)
	}
	lines := bufio.NewReaderSize(response.Body, 64<<10)
	closeBody := func() { _ = response.Body.Close(); closeAll() }
	if way == overSSE {
		return &sseStream{lines: lines}, closeBody, nil
	}
	return &lineStream{lines: lines}, closeBody, nil
}

func errorOfBody(response *http.Response) error {
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode == http.StatusNoContent {
		return errNoContent
	}
	s := &spb.Status{}
	if err := protojson.Unmarshal(body, s); err != nil {
		return fmt.Errorf("HTTP %d %s: %w", response.StatusCode, body, err)
	}
	return status.ErrorProto(s)
}

var errNoContent = errors.New("HTTP 204")

// queryOf spells a request as a URL's query.
func queryOf(r *deskbridgev1.SubscribeRequest) url.Values {
	query := url.Values{}
	f := r.GetFilter()
	for _, t := range f.GetTypes() {
		query.Add("filter.types", t.String())
	}
	for _, c := range f.GetChannels() {
		query.Add("filter.channels", c.String())
	}
	for name, values := range map[string][]string{
		"type_names": f.GetTypeNames(), "session_ids": f.GetSessionIds(), "client_user_ids": f.GetClientUserIds(),
		"agent_ids": f.GetAgentIds(), "customer_service_ids": f.GetCustomerServiceIds(), "sdk_app_ids": f.GetSdkAppIds(),
	} {
		if len(values) > 0 {
			query["filter."+name] = values
		}
	}
	set := func(name, value string, when bool) {
		if when {
			query.Set(name, value)
		}
	}
	set("filter.expression", f.GetExpression(), f.GetExpression() != "")
	set("start_position", r.GetStartPosition().String(), r.GetStartPosition() != 0)
	set("after_cursor", r.GetAfterCursor(), r.GetAfterCursor() != "")
	set("at_time", r.GetAtTime().AsTime().Format(time.RFC3339Nano), r.GetAtTime() != nil)
	set("on_expired", r.GetOnExpired().String(), r.GetOnExpired() != 0)
	set("stop_when_caught_up", "true", r.GetStopWhenCaughtUp())
	set("heartbeat_interval", r.GetHeartbeatInterval().AsDuration().String(), r.GetHeartbeatInterval() != nil)
	set("read_mask", strings.Join(r.GetReadMask().GetPaths(), ","), r.GetReadMask() != nil)
	return query
}

// lineStream reads {"result": …} and {"error": …}.
type lineStream struct{ lines *bufio.Reader }

func (s *lineStream) Recv() (*deskbridgev1.SubscribeResponse, error) {
	line, err := s.lines.ReadBytes('\n')
	if err != nil {
		return nil, err
	}
	const result, failure = `{"result":`, `{"error":`
	switch text := strings.TrimSuffix(string(line), "}\n"); {
	case strings.HasPrefix(text, result):
		response := &deskbridgev1.SubscribeResponse{}
		return response, protojson.Unmarshal([]byte(text[len(result):]), response)
	case strings.HasPrefix(text, failure):
		return nil, errorOfJSON(text[len(failure):])
	default:
		return nil, fmt.Errorf("neither a result nor an error: %s", text)
	}
}

func errorOfJSON(text string) error {
	s := &spb.Status{}
	if err := protojson.Unmarshal([]byte(text), s); err != nil {
		return fmt.Errorf("%s: %w", text, err)
	}
	return status.ErrorProto(s)
}

// sseMessage is a block of a text/event-stream.
type sseMessage struct {
	name, data, id, comment string
}

// sseStream reads Server-Sent Events by the rules of the standard.
type sseStream struct {
	lines  *bufio.Reader
	lastID string
	retry  string
}

// message returns the next block; one without data is not dispatched, but its id counts.
func (s *sseStream) message() (sseMessage, error) {
	m := sseMessage{id: s.lastID}
	for {
		line, err := s.lines.ReadString('\n')
		if err != nil {
			return m, err
		}
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			s.lastID = m.id
			return m, nil
		}
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "":
			m.comment = value
		case "event":
			m.name = value
		case "data":
			m.data += value
		case "id":
			m.id = value
		case "retry":
			s.retry = value
		default:
			return m, fmt.Errorf("unknown field in %q", line)
		}
	}
}

// Recv makes responses of messages: events come one by one, and a heartbeat without a head.
func (s *sseStream) Recv() (*deskbridgev1.SubscribeResponse, error) {
	m, err := s.message()
	if err != nil {
		return nil, err
	}
	r := &deskbridgev1.SubscribeResponse{Cursor: m.id}
	switch {
	case m.name == "error":
		return nil, errorOfJSON(m.data)
	case m.data == "" && m.id == "end":
		return nil, io.EOF
	case m.data == "" && m.comment == "heartbeat":
		r.Kind = &deskbridgev1.SubscribeResponse_Heartbeat{Heartbeat: &deskbridgev1.Heartbeat{}}
		return r, nil
	case m.name == "":
		event := &deskbridgev1.SessionEvent{}
		r.Kind = &deskbridgev1.SubscribeResponse_Events{
			Events: &deskbridgev1.EventBatch{Events: []*deskbridgev1.SessionEvent{event}},
		}
		return r, protojson.Unmarshal([]byte(m.data), event)
	}
	// A name is that of the response's field.
	return r, protojson.Unmarshal(fmt.Appendf(nil, "{%q:%q,%q:%s}", "cursor", m.id, m.name, m.data), r)
}

// isStuck says whether the only stream is behind and gets nowhere.
func (b *bridge) isStuck() bool {
	b.t.Helper()
	position, lag := b.onlyStream()
	if lag == 0 {
		return false
	}
	time.Sleep(200 * time.Millisecond)
	later, _ := b.onlyStream()
	return later == position
}

func (b *bridge) onlyStream() (position, lag uint64) {
	b.t.Helper()
	list, err := deskbridgev1.NewSubscriptionServiceClient(b.conn).ListSubscriptions(b.t.Context(),
		&deskbridgev1.ListSubscriptionsRequest{})
	if err != nil {
		b.t.Fatal(err)
	}
	if len(list.GetSubscriptions()) != 1 {
		return 0, 0
	}
	return list.GetSubscriptions()[0].GetPosition(), list.GetSubscriptions()[0].GetLagEvents()
}
