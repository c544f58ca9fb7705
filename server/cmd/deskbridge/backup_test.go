package main_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/deskbridge/deskbridge/client"
	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// TestBackupAndRestore runs the commands of docs/operations.md on a bridge under load, and starts another one from the
// backup. The lost bridge went on after it.
func TestBackupAndRestore(t *testing.T) {
	t.Parallel()
	d := startDaemon(t)
	epoch, err := awaitEpoch(t.Context(), d.grpcAddr)
	if err != nil {
		t.Fatal(err)
	}
	d.playMany(t, 0, 50)
	poster := newHTTPClient(t)
	stop, stopped := make(chan struct{}), make(chan error)
	go func() { stopped <- d.keepPlaying(poster, stop) }()
	runDocumented(t, "backup", d.dataDir)
	close(stop)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	d.playMany(t, 1000, 50)
	before := d.readBehind(t, epoch+":0")
	lost := len(before)
	d.end(syscall.SIGKILL)
	if err := os.Rename(d.dataDir, d.dataDir+"-lost"); err != nil {
		t.Fatal(err)
	}
	runDocumented(t, "restore", d.dataDir)
	d.restart(t)

	after := d.readBehind(t, epoch+":20")
	kept := 20 + len(after)
	if kept < 50 || kept >= lost {
		t.Fatalf("the backup holds %d events, want at least 50 of %d", kept, lost)
	}
	for i, e := range after {
		if e != before[20+i] {
			t.Errorf("event %d: got %+v, want %+v", 20+i, e, before[20+i])
		}
	}
	d.wantInFuture(t, client.FormatCursor(epoch, uint64(lost)))
	d.playMany(t, 2000, lost) // the head passes the place that the reader had come to
	d.wantInFuture(t, client.FormatCursor(epoch, uint64(lost)))
	if now, err := awaitEpoch(t.Context(), d.grpcAddr); err != nil || now == epoch {
		t.Errorf("the epoch is still %s, %v", now, err)
	}
	if got := d.readBehind(t, client.FormatCursor(epoch, uint64(kept))); len(got) != lost {
		t.Errorf("behind the backup: got %d events, want %d", len(got), lost)
	}
}

// runDocumented runs the block of docs/operations.md with that name on a data directory, next to which the backup is.
func runDocumented(t *testing.T, name, dataDir string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "<!-- run: "+name+" -->\n```shell\n")
	block, _, closed := strings.Cut(rest, "```")
	if !found || !closed {
		t.Fatalf("operations.md has no block %q", name)
	}
	shell := exec.Command("bash", "-euc", strings.ReplaceAll(block, "/var/lib/deskbridge", dataDir))
	shell.Dir = filepath.Dir(dataDir)
	if output, err := shell.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, output)
	}
}

func (d *daemon) playMany(t *testing.T, first, count int) {
	t.Helper()
	poster := newHTTPClient(t)
	for n := first; n < first+count; n++ {
		if err := d.post(poster, numbered(n)); err != nil {
			t.Fatal(err)
		}
	}
}

func numbered(n int) callback {
	return callback{body: fmt.Sprintf(`{"SessionId":"s%d","Event":"Human.UserSendMsg"}`, n)}
}

func (d *daemon) keepPlaying(client *http.Client, stop <-chan struct{}) error {
	for n := 100; ; n++ {
		select {
		case <-stop:
			return nil
		default:
		}
		if err := d.post(client, numbered(n)); err != nil {
			return err
		}
	}
}

// readBehind returns everything behind a cursor, up to the head.
func (d *daemon) readBehind(t *testing.T, cursor string) []event {
	t.Helper()
	events, err := d.tryBehind(t.Context(), cursor)
	if err != nil {
		t.Fatalf("behind %s: %v", cursor, err)
	}
	return events
}

func (d *daemon) tryBehind(ctx context.Context, cursor string) (events []event, err error) {
	bridge, err := client.New(client.Config{Address: d.grpcAddr})
	if err != nil {
		return nil, err
	}
	defer bridge.Close()
	request := &deskbridgev1.SubscribeRequest{
		Start: &deskbridgev1.SubscribeRequest_AfterCursor{AfterCursor: cursor}, StopWhenCaughtUp: true,
	}
	for e, err := range bridge.Subscribe(ctx, request) {
		if err != nil {
			return nil, err
		}
		events = append(events, eventOf(e))
	}
	return events, nil
}

func (d *daemon) wantInFuture(t *testing.T, cursor string) {
	t.Helper()
	_, err := d.tryBehind(t.Context(), cursor)
	e, ok := errors.AsType[*client.Error](err)
	if !ok || e.Reason != deskbridgev1.ErrorReason_ERROR_REASON_CURSOR_IN_FUTURE {
		t.Errorf("behind %s: got %v, want CURSOR_IN_FUTURE", cursor, err)
	}
}
