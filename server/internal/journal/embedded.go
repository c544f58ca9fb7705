package journal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

const (
	// headerRoom is for the headers of a message and the checksum behind it.
	headerRoom = 4 << 10
	// maxStore is no bound: the journal watches the disk itself. The server would take its limit from the room there is
	// at the start.
	maxStore = 1 << 60
	// requestLimit bounds requests of callers who set no deadline.
	requestLimit = 30 * time.Second
)

// startEmbedded runs a nats-server inside this process. It listens nowhere and takes no signals.
//
// Its SyncAlways stays off: it would sync every message for itself. The server has a message written to its block file
// when it acknowledges it, and the journal syncs that file for many messages at once. BenchmarkAppend compares: against
// one synced publish per request this is level for one caller, 5 times the rate at 16 callers and 10 to 16 times from
// 64 on. The server's atomic batches, which are synced once each, reach a tenth of this rate at 16 callers, a fifth at
// 64, less than half at 256, and come near at a thousand: each is staged in a file store of its own, and is refused
// whole for one duplicate. Its fast batches sync every message. Neither syncs the name of a new block file.
func startEmbedded(ctx context.Context, storeDir string, logger *slog.Logger) (*server.Server, error) {
	embedded, err := server.NewServer(&server.Options{
		ServerName:        "deskbridge",
		DontListen:        true,
		JetStream:         true,
		StoreDir:          storeDir,
		JetStreamMaxStore: maxStore,
		MaxPayload:        MaxQuarantineBytes + headerRoom,
		// All readers share a connection, and each may have some megabytes on the way.
		MaxPending: 1 << 30,
		NoSigs:     true,
	})
	if err != nil {
		return nil, fmt.Errorf("embedded server: %w", err)
	}
	embedded.SetLoggerV2(serverLog{logger}, logger.Enabled(ctx, slog.LevelDebug), false, false)
	embedded.Start()
	if err := awaitReady(ctx, embedded); err != nil {
		stopEmbedded(embedded)
		return nil, err
	}
	return embedded, nil
}

// engineHealth is not nil when the server must be started anew.
func engineHealth(embedded *server.Server) error {
	health := embedded.Healthz(nil)
	switch health.StatusCode {
	case http.StatusOK:
		return nil
	case http.StatusInternalServerError:
		// It finds the server not ready when its goroutine has to wait for a processor. awaitReady has seen it ready.
		if embedded.Running() {
			return nil
		}
	}
	return fmt.Errorf("%w: %s", ErrUnavailable, health.Error)
}

// awaitReady has no bound but the context: after a crash the server reads every stored block again, which takes about
// a second for each gigabyte. To give up would only mean to begin anew.
func awaitReady(ctx context.Context, embedded *server.Server) error {
	for !embedded.ReadyForConnections(50 * time.Millisecond) {
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("embedded server: %w", context.Cause(ctx))
		case !embedded.Running():
			return errors.New("the embedded server stopped while it started; its log says why")
		}
	}
	if !embedded.JetStreamEnabled() {
		return errors.New("the embedded server could not open its store; its log says why")
	}
	return nil
}

func stopEmbedded(embedded *server.Server) {
	embedded.Shutdown()
	embedded.WaitForShutdown()
}

func connectEmbedded(embedded *server.Server, name string, logger *slog.Logger) (*nats.Conn, error) {
	connection, err := nats.Connect("", nats.InProcessServer(embedded), nats.Name(name), nats.Timeout(requestLimit),
		nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond),
		nats.ReconnectBufSize(-1), // what can't be sent now fails now
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			logger.Warn("log engine client", "error", err)
		}))
	if err != nil {
		return nil, fmt.Errorf("connect to the embedded server: %w", err)
	}
	return connection, nil
}

// serverLog hands the server's messages to slog. Its notices are of no interest to who runs the bridge.
type serverLog struct{ logger *slog.Logger }

func (l serverLog) log(level slog.Level, format string, args []any) {
	if l.logger.Enabled(context.Background(), level) {
		l.logger.Log(context.Background(), level, "log engine", "message", fmt.Sprintf(format, args...))
	}
}

func (l serverLog) Noticef(format string, args ...any) { l.log(slog.LevelDebug, format, args) }
func (l serverLog) Warnf(format string, args ...any)   { l.log(slog.LevelWarn, format, args) }
func (l serverLog) Errorf(format string, args ...any)  { l.log(slog.LevelError, format, args) }
func (l serverLog) Fatalf(format string, args ...any)  { l.log(slog.LevelError, format, args) }
func (l serverLog) Debugf(format string, args ...any)  { l.log(slog.LevelDebug, format, args) }
func (l serverLog) Tracef(format string, args ...any)  { l.log(slog.LevelDebug, format, args) }
