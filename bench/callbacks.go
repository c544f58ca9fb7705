package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	gatewayv1 "github.com/deskbridge/deskbridge/gen/gateway/deskbridge/v1"
	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
	"github.com/deskbridge/deskbridge/server"
)

const okBody = `{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}`

// benchCallbacks posts callbacks to the bridge, and to what it is compared with: in rounds, one behind the other. The
// figures are medians of the rounds'.
func benchCallbacks(ctx context.Context, o options, r *report) error {
	const rounds = 5
	r.table("Callbacks, answered after fsync", "connections", "deskbridge", "over a bare handler",
		"over a publish per request", "over a gateway that stores nothing", "p50", "p99")
	for _, connections := range []int{1, 16, 64, 256, 1024} {
		var figures []callbackRound
		for range rounds {
			figure, err := measureCallbacks(ctx, connections, o.Duration)
			if err != nil {
				return err
			}
			figures = append(figures, figure)
		}
		over := func(other string) ratio {
			return ratio(median(figures, func(f callbackRound) perSecond { return f["deskbridge"].rate / f[other].rate }))
		}
		r.row(connections, median(figures, func(f callbackRound) perSecond { return f["deskbridge"].rate }),
			over("bare"), over("publish"), over("gateway"),
			median(figures, func(f callbackRound) time.Duration { return f["deskbridge"].p50 }),
			median(figures, func(f callbackRound) time.Duration { return f["deskbridge"].p99 }))
	}
	return nil
}

// callbackRound is what each target, by its name, did for the same load.
type callbackRound map[string]load

func measureCallbacks(ctx context.Context, connections int, duration time.Duration) (callbackRound, error) {
	figures := callbackRound{}
	for _, target := range callbackTargets() {
		figure, err := measureTarget(ctx, target, connections, duration)
		if err != nil {
			return nil, fmt.Errorf("%s, %d connections: %w", target.name, connections, err)
		}
		figures[target.name] = figure
	}
	return figures, nil
}

// target is a server that takes callbacks.
type target struct {
	name  string
	start func(ctx context.Context, dir string) (addr string, stop func() error, err error)
	body  bodyFunc
}

func callbackTargets() []target {
	return []target{
		{"bare", startBare, vendorBody},
		{"gateway", startGateway, protojsonBody},
		{"publish", startPublish, vendorBody},
		{"deskbridge", startDeskbridge, vendorBody},
	}
}

func measureTarget(ctx context.Context, t target, connections int, duration time.Duration) (_ load, err error) {
	dir, err := os.MkdirTemp("", "deskbridge-bench-")
	if err != nil {
		return load{}, err
	}
	defer os.RemoveAll(dir)
	addr, stop, err := t.start(ctx, dir)
	if err != nil {
		return load{}, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	return measureLoad(ctx, addr, connections, duration, t.body)
}

// vendorBody is a message of some 500 bytes; a session has eight of them.
func vendorBody(n int64) []byte {
	return fmt.Appendf(nil, `{"CallbackCommand":"Desk.SessionEventNotify","SessionId":"2baf4d84-beb4-4607-a1ea-%012d",`+
		`"Event":"Human.UserSendMsg","EventTime":%d,"ChannelType":"SDK","ClientUserId":"buyer_%06d",`+
		`"CustomerServiceId":"@customer_service_account","AgentId":"agent@example.com","MsgKey":"152_1600012345_%d",`+
		`"MsgBody":[{"MsgType":"TIMTextElem","MsgContent":{"Text":"How do I request a refund for the order that came `+
		`yesterday? The box was open, and one of the two cups in it is broken."}}],`+
		`"CloudCustomData":"","IsContactUser":false}`,
		n/8, 1725540020017+n, n/8, n)
}

// protojsonBody is the same event in protobuf's JSON.
func protojsonBody(n int64) []byte {
	body, err := protojson.Marshal(&deskbridgev1.SessionEvent{
		Type:              deskbridgev1.SessionEventType_SESSION_EVENT_TYPE_HUMAN_USER_SEND_MSG,
		TypeName:          proto.String("Human.UserSendMsg"),
		SessionId:         proto.String(fmt.Sprintf("2baf4d84-beb4-4607-a1ea-%012d", n/8)),
		EventTime:         timestamppb.New(time.UnixMilli(1725540020017 + n)),
		Channel:           deskbridgev1.Channel_CHANNEL_SDK,
		ClientUserId:      proto.String(fmt.Sprintf("buyer_%06d", n/8)),
		CustomerServiceId: proto.String("@customer_service_account"),
		AgentId:           proto.String("agent@example.com"),
		Message: &deskbridgev1.Message{
			Key: proto.String(fmt.Sprintf("152_1600012345_%d", n)),
			Elements: []*deskbridgev1.MessageElement{{
				TypeName: proto.String("TIMTextElem"),
				Content: &deskbridgev1.MessageElement_Text{Text: &deskbridgev1.TextElement{
					Text: proto.String("How do I request a refund for the order that came yesterday? " +
						"The box was open, and one of the two cups in it is broken."),
				}},
			}},
		},
		CloudCustomData: proto.String(""),
		IsContactUser:   proto.Bool(false),
	})
	if err != nil {
		panic(err) // a fixed message
	}
	return body
}

// serveHTTP runs a handler on a free port of loopback.
func serveHTTP(ctx context.Context, handler http.Handler) (string, func() error, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	s := &http.Server{Handler: handler, ReadHeaderTimeout: time.Second}
	done := make(chan error, 1)
	go func() { done <- s.Serve(listener) }()
	return listener.Addr().String(), func() error {
		err := s.Close()
		if served := <-done; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
		return err
	}, nil
}

func writeOK(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, okBody)
}

// startBare is the raw limit: read the body, forget it, answer.
func startBare(ctx context.Context, _ string) (string, func() error, error) {
	return serveHTTP(ctx, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		writeOK(w)
	}))
}

// protojsonMarshaler decodes a whole event with protojson and forgets it.
type protojsonMarshaler struct{ *runtime.JSONPb }

func (m protojsonMarshaler) NewDecoder(r io.Reader) runtime.Decoder {
	return runtime.DecoderFunc(func(any) error { return m.JSONPb.NewDecoder(r).Decode(&deskbridgev1.SessionEvent{}) })
}

type idleCallbacks struct {
	deskbridgev1.UnimplementedCallbackServiceServer
}

func (idleCallbacks) NotifySessionEvent(
	context.Context, *deskbridgev1.NotifySessionEventRequest,
) (*deskbridgev1.NotifySessionEventResponse, error) {
	return &deskbridgev1.NotifySessionEventResponse{ActionStatus: "OK"}, nil
}

// startGateway is the generated handler with protojson and a method that does nothing.
func startGateway(ctx context.Context, _ string) (string, func() error, error) {
	mux := runtime.NewServeMux(runtime.WithMarshalerOption(runtime.MIMEWildcard, protojsonMarshaler{&runtime.JSONPb{}}))
	if err := gatewayv1.RegisterCallbackServiceHandlerServer(ctx, mux, idleCallbacks{}); err != nil {
		return "", nil, err
	}
	return serveHTTP(ctx, mux)
}

// startPublish is what people write today: a handler that publishes each body and waits for the acknowledgement.
func startPublish(ctx context.Context, dir string) (string, func() error, error) {
	engine, js, err := startJetStream(ctx, dir)
	if err != nil {
		return "", nil, err
	}
	addr, stop, err := serveHTTP(ctx, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			_, err = js.Publish(r.Context(), "event.all", body, jetstream.WithMsgID(r.URL.Query().Get("RequestID")))
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		writeOK(w)
	}))
	return addr, func() error {
		err := stop()
		js.Conn().Close()
		engine.Shutdown()
		engine.WaitForShutdown()
		return err
	}, err
}

// startJetStream is an embedded server as the bridge's own: sync always, no listener.
func startJetStream(ctx context.Context, dir string) (*natsserver.Server, jetstream.JetStream, error) {
	engine, err := natsserver.NewServer(&natsserver.Options{
		DontListen: true, JetStream: true, StoreDir: dir, SyncAlways: true, NoSigs: true, NoLog: true,
	})
	if err != nil {
		return nil, nil, err
	}
	engine.Start()
	if !engine.ReadyForConnections(10 * time.Second) {
		return nil, nil, errors.New("the embedded nats-server did not start")
	}
	conn, err := nats.Connect("", nats.InProcessServer(engine))
	if err != nil {
		return nil, nil, err
	}
	js, err := jetstream.New(conn)
	if err != nil {
		return nil, nil, err
	}
	_, err = js.CreateStream(ctx, jetstream.StreamConfig{
		Name: "events", Subjects: []string{"event.>"}, Storage: jetstream.FileStorage, Duplicates: 10 * time.Minute,
	})
	return engine, js, err
}

func startDeskbridge(ctx context.Context, dir string) (string, func() error, error) {
	bridge, err := startBridge(ctx, dir)
	if err != nil {
		return "", nil, err
	}
	return bridge.HTTPAddr(), bridge.stop, nil
}

// bridge is the whole server in this process.
type bridge struct {
	*server.Server
	stop func() error
}

func startBridge(ctx context.Context, dir string) (*bridge, error) {
	config := server.DefaultConfig()
	config.HTTPAddr, config.GRPCAddr, config.DataDir = "127.0.0.1:0", "127.0.0.1:0", dir
	s, err := server.New(ctx, config, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return &bridge{Server: s, stop: func() error {
		cancel()
		return <-done
	}}, nil
}
