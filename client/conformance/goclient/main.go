// Command goclient is the Go client's program for the conformance suite: see package conformance.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/deskbridge/deskbridge/client"
	"github.com/deskbridge/deskbridge/client/conformance"
	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

func main() {
	input := bufio.NewReader(os.Stdin)
	line, err := input.ReadBytes('\n')
	if err != nil {
		log.Fatal("no command: ", err)
	}
	p := &program{out: json.NewEncoder(os.Stdout)}
	if err := json.Unmarshal(line, &p.command); err != nil {
		log.Fatal("command: ", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = input.ReadByte() // anything more, or the end
		cancel()
	}()
	if err := p.run(ctx); err != nil {
		log.Fatal(err)
	}
}

type program struct {
	command conformance.Command
	out     *json.Encoder
	failed  error // of the output
	events  int
}

// run returns what has nothing to do with the subscription.
func (p *program) run(ctx context.Context) error {
	request := &deskbridgev1.SubscribeRequest{}
	if err := protojson.Unmarshal(p.command.Request, request); err != nil {
		return err
	}
	config := client.Config{Address: p.command.Address}
	if p.command.Token != "" {
		config.Token = func(context.Context) (string, error) { return p.command.Token, nil }
	}
	bridge, err := client.New(config)
	if err != nil {
		return err
	}
	end, err := p.consumeBeside(ctx, bridge, request)
	if err != nil {
		return err
	}
	p.print(conformance.Line{End: &end})
	return errors.Join(bridge.Close(), p.failed)
}

// consumeBeside runs the second subscription, if there is to be one, for as long as the first lasts.
func (p *program) consumeBeside(
	ctx context.Context, bridge *client.Client, request *deskbridgev1.SubscribeRequest,
) (conformance.End, error) {
	var beside sync.WaitGroup
	defer beside.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if p.command.Beside != nil {
		second := &deskbridgev1.SubscribeRequest{}
		if err := protojson.Unmarshal(p.command.Beside, second); err != nil {
			return conformance.End{}, err
		}
		beside.Go(func() {
			for _, err := range bridge.Subscribe(ctx, second) {
				if err != nil {
					return
				}
			}
		})
	}
	return p.consume(ctx, bridge, request), nil
}

func (p *program) consume(
	ctx context.Context, bridge *client.Client, request *deskbridgev1.SubscribeRequest,
) conformance.End {
	options := []client.SubscribeOption{client.WithHooks(p.hooks())}
	if p.command.CursorFile != "" {
		options = append(options, client.WithCursorStore(client.NewFileCursorStore(p.command.CursorFile)))
	}
	for event, err := range bridge.Subscribe(ctx, request, options...) {
		if err != nil {
			return endOf(err)
		}
		p.printEvent(event)
		time.Sleep(time.Duration(p.command.DelayMS) * time.Millisecond)
		if p.events++; p.events == p.command.Limit {
			return conformance.End{Cause: conformance.CauseLeft}
		}
	}
	return conformance.End{Cause: conformance.CauseFinished}
}

func endOf(err error) conformance.End {
	if errors.Is(err, context.Canceled) {
		return conformance.End{Cause: conformance.CauseCancelled}
	}
	end := conformance.End{Cause: conformance.CauseError, Message: err.Error()}
	if e, ok := errors.AsType[*client.Error](err); ok {
		end.Reason, end.Field, end.Code = reasonName(e.Reason), e.Field, codeName(e)
		end.EarliestCursor, end.LatestCursor = e.EarliestCursor, e.LatestCursor
	}
	return end
}

func reasonName(reason deskbridgev1.ErrorReason) string {
	return strings.TrimPrefix(reason.String(), "ERROR_REASON_")
}

// codeName spells a code as gRPC's specification does, "OUT_OF_RANGE" for OutOfRange.
func codeName(err error) string {
	var name strings.Builder
	for i, letter := range status.Code(err).String() {
		if i > 0 && letter >= 'A' && letter <= 'Z' {
			name.WriteByte('_')
		}
		name.WriteRune(letter)
	}
	return strings.ToUpper(name.String())
}

func (p *program) printEvent(event *deskbridgev1.SessionEvent) {
	if p.command.Print == conformance.PrintPositions {
		p.print(conformance.Line{At: &[2]string{strconv.FormatUint(event.GetPosition(), 10), event.GetId()}})
		return
	}
	text, err := protojson.Marshal(event)
	if err != nil {
		p.failed = fmt.Errorf("event %d: %w", event.GetPosition(), err)
		return
	}
	p.print(conformance.Line{Event: text})
}

// print needs no flush: standard output is not buffered.
func (p *program) print(line conformance.Line) {
	if err := p.out.Encode(line); err != nil && !errors.Is(err, io.ErrClosedPipe) {
		p.failed = err
	}
}

func (p *program) hooks() client.Hooks {
	return client.Hooks{
		Connected: func(o *deskbridgev1.SubscriptionOpened) {
			p.print(conformance.Line{
				State: conformance.StateConnected,
				Epoch: o.GetEpoch(), Start: o.GetStartPosition(), Head: o.GetHeadPosition(),
			})
		},
		CaughtUp: func(c *deskbridgev1.CaughtUp) {
			p.print(conformance.Line{State: conformance.StateCaughtUp, Head: c.GetHeadPosition()})
		},
		FellBehind: func(f *deskbridgev1.FellBehind) {
			p.print(conformance.Line{State: conformance.StateFellBehind, Head: f.GetHeadPosition(), Lag: f.GetLag()})
		},
		Heartbeat: func(_ *deskbridgev1.Heartbeat, lag uint64) {
			p.print(conformance.Line{State: conformance.StateHeartbeat, Lag: lag})
		},
		Draining: func(d *deskbridgev1.Draining) {
			p.print(conformance.Line{
				State: conformance.StateDraining, DelayMS: d.GetReconnectDelay().AsDuration().Milliseconds(),
			})
		},
		Reconnecting: func(cause error, delay time.Duration) {
			line := conformance.Line{State: conformance.StateReconnecting, DelayMS: delay.Milliseconds()}
			if e, ok := errors.AsType[*client.Error](cause); ok && e.Reason != 0 {
				line.Reason = reasonName(e.Reason)
			}
			p.print(line)
		},
	}
}
