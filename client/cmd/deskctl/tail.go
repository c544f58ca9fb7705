package main

import (
	"context"
	"fmt"
	"regexp"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/deskbridge/deskbridge/client"
	"github.com/deskbridge/deskbridge/client/cmd/deskctl/internal/render"
	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

type tailCommand struct {
	connectionFlags
	Type    []string `help:"Only this type, or types by a prefix: 'Human.*'. Repeatable." sep:"none" placeholder:"TYPE"`
	Session []string `help:"Only this session. Repeatable." sep:"none" placeholder:"ID"`
	User    []string `help:"Only this user. Repeatable." sep:"none" placeholder:"ID"`
	Agent   []string `help:"Only this agent. Repeatable." sep:"none" placeholder:"ID"`
	Filter  string   `help:"Only events for which this CEL expression over event holds." placeholder:"EXPR"`

	From          string `help:"latest, earliest, a cursor, an RFC 3339 time or date, or an age." default:"latest"`
	UntilCaughtUp bool   `help:"End after the last event that there is."`
	Output        string `short:"o" help:"pretty, json, or go-template=TEMPLATE." default:"pretty"`
}

// Help is shown above the flags.
func (c *tailCommand) Help() string {
	return `An event has to pass every kind of selection that is given, and one of its values.
Notes about the connection go to standard error. A cut connection is mended; no line is lost or repeated.

  --filter 'event.satisfaction_rating > 0 && event.satisfaction_rating <= 2'
  --from 2025-01-02T15:04:05Z
  --from 2025-01-02          the beginning of that day, here
  --from 90m                 as long ago
  --output json              a line of JSON for each event
  --output 'go-template={{.Position}} {{.GetSessionId}} {{content .}}'
                             a Go template over the Go type SessionEvent, with
                             the functions content, escape and json`
}

// Run ends without an error when it is interrupted.
func (c *tailCommand) Run(ctx context.Context, console *console) error {
	format, err := render.ParseFormat(c.Output, console.colour)
	if err != nil {
		return usagef("--output: %w", err)
	}
	request, err := c.request()
	if err != nil {
		return err
	}
	bridge, err := c.dial()
	if err != nil {
		return err
	}
	defer func() { _ = bridge.Close() }()
	err = c.print(ctx, console, format, bridge, request)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (c *tailCommand) print(
	ctx context.Context, console *console, format render.Format, bridge *client.Client,
	request *deskbridgev1.SubscribeRequest,
) error {
	var cursors client.MemoryCursorStore
	events := bridge.Subscribe(ctx, request, client.WithHooks(stateNotes(console)), client.WithCursorStore(&cursors))
	var err error
	for event, failure := range events {
		if err = failure; err != nil {
			break
		}
		var line []byte
		if line, err = format(event); err != nil {
			break
		}
		if _, err = console.out.Write(line); err != nil {
			break
		}
	}
	if cursor, _ := cursors.Load(ctx); cursor != "" && !c.UntilCaughtUp {
		console.notef("go on with --from %s", cursor)
	}
	return err
}

func (c *tailCommand) request() (*deskbridgev1.SubscribeRequest, error) {
	request := &deskbridgev1.SubscribeRequest{
		Filter: &deskbridgev1.EventFilter{
			TypeNames:     c.Type,
			SessionIds:    c.Session,
			ClientUserIds: c.User,
			AgentIds:      c.Agent,
			Expression:    c.Filter,
		},
		StopWhenCaughtUp: c.UntilCaughtUp,
		Name:             "deskctl-tail",
	}
	return request, setStart(request, c.From, time.Now())
}

// cursorForm is <epoch>:<position>. No time, date or duration has it.
var cursorForm = regexp.MustCompile(`^[a-z0-9]+:[0-9]+$`)

// setStart reads --from. What it takes is told apart by its form.
func setStart(request *deskbridgev1.SubscribeRequest, from string, now time.Time) error {
	switch from {
	case "latest":
		request.Start = &deskbridgev1.SubscribeRequest_StartPosition{
			StartPosition: deskbridgev1.StartPosition_START_POSITION_LATEST,
		}
		return nil
	case "earliest":
		request.Start = &deskbridgev1.SubscribeRequest_StartPosition{
			StartPosition: deskbridgev1.StartPosition_START_POSITION_EARLIEST,
		}
		return nil
	}
	if at, ok := parseTime(from, now); ok {
		request.Start = &deskbridgev1.SubscribeRequest_AtTime{AtTime: timestamppb.New(at)}
		return nil
	}
	if !cursorForm.MatchString(from) {
		return usagef("--from: %q is none of latest, earliest, a cursor, a time as in 2025-01-02T15:04:05Z, "+
			"a date as in 2025-01-02, and a duration as in 10m", from)
	}
	request.Start = &deskbridgev1.SubscribeRequest_AfterCursor{AfterCursor: from}
	return nil
}

// parseTime takes a time, the beginning of a day here, or how long ago.
func parseTime(text string, now time.Time) (at time.Time, ok bool) {
	if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return at, true
	}
	if at, err := time.ParseInLocation(time.DateOnly, text, now.Location()); err == nil {
		return at, true
	}
	ago, err := time.ParseDuration(text)
	return now.Add(-ago), err == nil && ago >= 0
}

// stateNotes tells what happens around the events.
func stateNotes(console *console) client.Hooks {
	connected := false
	return client.Hooks{
		Connected: func(opened *deskbridgev1.SubscriptionOpened) {
			switch {
			case connected:
				console.notef("connected again")
			case console.interactive:
				console.notef("connected, position %d of %d", opened.GetStartPosition(), opened.GetHeadPosition())
			}
			if opened.GetExpired() {
				console.notef("gap: events before position %d are no longer retained", opened.GetStartPosition())
			}
			connected = true
		},
		FellBehind: func(behind *deskbridgev1.FellBehind) {
			console.notef("fell behind by %d events, catching up from the journal", behind.GetLag())
		},
		Heartbeat: func(heartbeat *deskbridgev1.Heartbeat, lag uint64) {
			if heartbeat.GetJournalUnreachable() {
				console.notef("the bridge can't reach its journal; new events may be late")
			} else if lag > 0 {
				console.notef("%d events behind the head", lag)
			}
		},
		Draining: func(*deskbridgev1.Draining) { console.notef("the bridge asks to reconnect") },
		Reconnecting: func(cause error, delay time.Duration) {
			console.notef("reconnecting in %v: %s", delay.Round(time.Millisecond), render.Escape(fmt.Sprint(cause)))
		},
	}
}
