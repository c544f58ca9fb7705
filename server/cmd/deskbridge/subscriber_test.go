package main_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/deskbridge/deskbridge/client"
	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// event is what is compared of a SessionEvent.
type event struct {
	Position  uint64
	ID        string
	RequestID string
	Session   string
	Type      string
}

func eventOf(e *deskbridgev1.SessionEvent) event {
	return event{
		Position: e.GetPosition(), ID: e.GetId(), RequestID: e.GetCallback().GetRequestId(), Session: e.GetSessionId(),
		Type: e.GetTypeName(),
	}
}

// subscriber remembers every event that it was given, over all its subscriptions.
type subscriber struct {
	name    string
	matches func(event) bool
	run     func(ctx context.Context, s *subscriber) error

	mu     sync.Mutex
	seen   []event
	epochs map[string]bool
	err    error
	done   chan struct{}
}

func (s *subscriber) see(e event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, e)
}

func (s *subscriber) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.seen)
}

func (s *subscriber) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// last is the position of the last event seen, 0 when there is none.
func (s *subscriber) last() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.seen) == 0 {
		return 0
	}
	return s.seen[len(s.seen)-1].Position
}

func (s *subscriber) hooks() client.Hooks {
	return client.Hooks{Connected: func(opened *deskbridgev1.SubscriptionOpened) { s.meet(opened.GetEpoch()) }}
}

func (s *subscriber) meet(epoch string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epochs[epoch] = true
}

// subscribers run until stop.
type subscribers struct {
	all    []*subscriber
	cancel context.CancelFunc
}

func startSubscribers(t *testing.T, all ...*subscriber) *subscribers {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	group := &subscribers{all: all, cancel: cancel}
	for _, s := range all {
		s.epochs, s.done = map[string]bool{}, make(chan struct{})
		go func() {
			defer close(s.done)
			err := s.run(ctx, s)
			s.mu.Lock()
			defer s.mu.Unlock()
			if !errors.Is(err, context.Canceled) {
				s.err = fmt.Errorf("subscriber %s ended: %w", s.name, err)
			}
		}()
	}
	t.Cleanup(group.stop)
	return group
}

func (g *subscribers) stop() {
	g.cancel()
	for _, s := range g.all {
		<-s.done
	}
}

// failed returns the error of the first that ended by itself.
func (g *subscribers) failed() error {
	for _, s := range g.all {
		if err := s.failure(); err != nil {
			return err
		}
	}
	return nil
}

// following keeps one subscription through everything.
func following(name, address string, filter *deskbridgev1.EventFilter, matches func(event) bool) *subscriber {
	return &subscriber{name: name, matches: matches, run: func(ctx context.Context, s *subscriber) error {
		_, err := s.read(ctx, address, filter, &client.MemoryCursorStore{}, -1)
		return err
	}}
}

// returning leaves its subscription now and then, as a program that is restarted: all that it keeps is a file.
func returning(
	name, address, directory string, random *rand.Rand, filter *deskbridgev1.EventFilter, matches func(event) bool,
) *subscriber {
	return &subscriber{name: name, matches: matches, run: func(ctx context.Context, s *subscriber) error {
		store := client.NewFileCursorStore(filepath.Join(directory, name+".cursor"))
		for {
			if left, err := s.read(ctx, address, filter, store, 1+random.IntN(400)); !left {
				return err
			}
		}
	}}
}

// read subscribes from the start, or behind the cursor in the store. With the event after limit ones it leaves the loop:
// that one counts as not consumed.
func (s *subscriber) read(
	ctx context.Context, address string, filter *deskbridgev1.EventFilter, store client.CursorStore, limit int,
) (left bool, err error) {
	bridge, err := client.New(client.Config{Address: address})
	if err != nil {
		return false, err
	}
	defer bridge.Close()
	request := &deskbridgev1.SubscribeRequest{Filter: filter, Start: fromEarliest()}
	for e, err := range bridge.Subscribe(ctx, request, client.WithCursorStore(store), client.WithHooks(s.hooks())) {
		if err != nil {
			return false, err
		}
		if limit == 0 {
			return true, nil
		}
		limit--
		s.see(eventOf(e))
	}
	return false, errors.New("the subscription ended without an error")
}

func fromEarliest() *deskbridgev1.SubscribeRequest_StartPosition {
	return &deskbridgev1.SubscribeRequest_StartPosition{
		StartPosition: deskbridgev1.StartPosition_START_POSITION_EARLIEST,
	}
}

// tailing is deskctl tail in one process after the other. One that is interrupted names the cursor to go on with; one
// that is killed leaves its last whole line.
func tailing(
	name, address, directory string, random *rand.Rand, pattern string, matches func(event) bool,
) *subscriber {
	return &subscriber{name: name, matches: matches, run: func(ctx context.Context, s *subscriber) error {
		log, err := os.Create(filepath.Join(directory, name+".log"))
		if err != nil {
			return err
		}
		defer log.Close()
		epoch, err := awaitEpoch(ctx, address)
		if err != nil {
			return err
		}
		from := "earliest"
		for ctx.Err() == nil {
			command := exec.Command(program("deskctl"), "tail", "--addr", address, "--output", "json",
				"--from", from, "--type", pattern)
			signal := []syscall.Signal{syscall.SIGKILL, syscall.SIGINT}[random.IntN(2)]
			next, err := s.tail(ctx, newProcess(log, nil, command), 1+random.IntN(300), signal)
			if err != nil {
				return err
			}
			if next == "" && s.last() > 0 {
				next = client.FormatCursor(epoch, s.last())
			}
			if next != "" {
				from = next
			}
		}
		return ctx.Err()
	}}
}

// tail reads lines up to the limit, ends the process and reads what it has still written. It returns the cursor that
// the process has named.
func (s *subscriber) tail(ctx context.Context, p *process, limit int, signal syscall.Signal) (string, error) {
	out, writer, err := os.Pipe()
	if err != nil {
		return "", err
	}
	defer out.Close()
	p.command.Stdout = writer
	err = errors.Join(p.start(), writer.Close())
	if err != nil {
		return "", err
	}
	stop := context.AfterFunc(ctx, func() { _ = p.command.Process.Signal(signal) })
	defer stop()
	lines := bufio.NewReader(out)
	for ; ; limit-- {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			break // the end of the output, maybe within a line
		}
		var e deskbridgev1.SessionEvent
		if err := protojson.Unmarshal(line, &e); err != nil {
			return "", err
		}
		s.see(eventOf(&e))
		if limit == 0 {
			_ = p.command.Process.Signal(signal)
		}
	}
	if code := p.wait(); code > 0 {
		return "", fmt.Errorf("deskctl tail ended with %d: %s", code, p.watch)
	}
	return namedCursor(p.watch.String()), nil
}

func namedCursor(notes string) string {
	_, rest, _ := strings.Cut(notes, "go on with --from ")
	cursor, _, _ := strings.Cut(rest, "\n")
	return cursor
}

func awaitEpoch(ctx context.Context, address string) (epoch string, err error) {
	waitErr := eventually(ctx, "the journal's epoch", func() bool {
		var info *deskbridgev1.GetJournalInfoResponse
		info, err = journalInfo(ctx, address)
		epoch = info.GetEpoch()
		return err == nil
	})
	return epoch, errors.Join(waitErr, err)
}

func journalInfo(ctx context.Context, address string) (*deskbridgev1.GetJournalInfoResponse, error) {
	bridge, err := client.New(client.Config{Address: address})
	if err != nil {
		return nil, err
	}
	defer bridge.Close()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return deskbridgev1.NewSessionEventServiceClient(bridge).GetJournalInfo(ctx, &deskbridgev1.GetJournalInfoRequest{})
}
