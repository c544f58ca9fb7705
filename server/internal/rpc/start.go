package rpc

import (
	"context"
	"time"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
	"github.com/deskbridge/deskbridge/server/internal/journal"
)

// origin is where a subscription starts: behind a position of the journal as it stood when the request came.
type origin struct {
	after   uint64
	expired bool // on_expired moved it
	bounds  journal.Bounds
}

// opened is the first response of a stream that starts here.
func (o origin) opened() *deskbridgev1.SubscribeResponse {
	return &deskbridgev1.SubscribeResponse{
		Cursor: journal.Cursor{Epoch: o.bounds.Epoch, Position: o.after}.String(),
		Kind: &deskbridgev1.SubscribeResponse_Opened{Opened: &deskbridgev1.SubscriptionOpened{
			Epoch: o.bounds.Epoch, StartPosition: o.after, HeadPosition: o.bounds.Latest, Expired: o.expired,
		}},
	}
}

// resolveStart turns the request's start into a position that the journal can serve.
func (s *SessionEvents) resolveStart(ctx context.Context, req *deskbridgev1.SubscribeRequest) (origin, error) {
	if _, known := deskbridgev1.OnExpired_name[int32(req.GetOnExpired())]; !known {
		return origin{}, invalid("on_expired", "%d is not a value of OnExpired", req.GetOnExpired())
	}
	bounds, err := s.config.Journal.Bounds(ctx)
	if err != nil {
		return origin{}, err
	}
	switch start := req.GetStart().(type) {
	case *deskbridgev1.SubscribeRequest_AfterCursor:
		return startAfter(start.AfterCursor, req.GetOnExpired(), bounds)
	case *deskbridgev1.SubscribeRequest_AtTime:
		return s.startAt(ctx, start, bounds)
	default:
		return startFrom(req.GetStartPosition(), bounds)
	}
}

func startFrom(position deskbridgev1.StartPosition, bounds journal.Bounds) (origin, error) {
	switch position {
	case deskbridgev1.StartPosition_START_POSITION_EARLIEST:
		return origin{after: beforeEarliest(bounds), bounds: bounds}, nil
	case deskbridgev1.StartPosition_START_POSITION_LATEST, deskbridgev1.StartPosition_START_POSITION_UNSPECIFIED:
		return origin{after: bounds.Latest, bounds: bounds}, nil
	default:
		return origin{}, invalid("start_position", "%d is not a value of StartPosition", position)
	}
}

func startAfter(text string, onExpired deskbridgev1.OnExpired, bounds journal.Bounds) (origin, error) {
	cursor, err := journal.ParseCursor(text)
	if err != nil {
		e := newError(deskbridgev1.ErrorReason_ERROR_REASON_CURSOR_MALFORMED, "after_cursor: %v", err)
		e.detail.Field = "after_cursor"
		return origin{}, e
	}
	end, known := bounds.End(cursor.Epoch)
	switch {
	case !known:
		return origin{}, cursorError(deskbridgev1.ErrorReason_ERROR_REASON_CURSOR_FOREIGN_EPOCH, bounds,
			"after_cursor: epoch %s is not this journal's, %s", cursor.Epoch, bounds.Epoch)
	case cursor.Position > end:
		return origin{}, cursorError(deskbridgev1.ErrorReason_ERROR_REASON_CURSOR_IN_FUTURE, bounds,
			"after_cursor: position %d lies behind the end of epoch %s, %d", cursor.Position, cursor.Epoch, end)
	case cursor.Position < beforeEarliest(bounds):
		return startExpired(cursor, onExpired, bounds)
	default:
		return origin{after: cursor.Position, bounds: bounds}, nil
	}
}

func startExpired(cursor journal.Cursor, onExpired deskbridgev1.OnExpired, bounds journal.Bounds) (origin, error) {
	switch onExpired {
	case deskbridgev1.OnExpired_ON_EXPIRED_EARLIEST:
		return origin{after: beforeEarliest(bounds), expired: true, bounds: bounds}, nil
	case deskbridgev1.OnExpired_ON_EXPIRED_LATEST:
		return origin{after: bounds.Latest, expired: true, bounds: bounds}, nil
	default:
		return origin{}, cursorError(deskbridgev1.ErrorReason_ERROR_REASON_CURSOR_EXPIRED, bounds,
			"after_cursor: events behind position %d are no longer retained; the oldest is %d",
			cursor.Position, bounds.Earliest)
	}
}

func (s *SessionEvents) startAt(
	ctx context.Context, start *deskbridgev1.SubscribeRequest_AtTime, bounds journal.Bounds,
) (origin, error) {
	if err := start.AtTime.CheckValid(); err != nil {
		return origin{}, invalid("at_time", "not a valid time")
	}
	at := start.AtTime.AsTime()
	if at.After(time.Now()) {
		return origin{after: bounds.Latest, bounds: bounds}, nil
	}
	after, err := s.config.Journal.PositionAt(ctx, at)
	if err != nil {
		return origin{}, err
	}
	return origin{after: max(after, beforeEarliest(bounds)), bounds: bounds}, nil
}
