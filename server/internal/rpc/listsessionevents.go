package rpc

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
	"github.com/deskbridge/deskbridge/server/internal/journal"
)

// Bounds of a page: of its number of entries, and of its bytes, so that it fits what every gRPC client accepts.
const (
	defaultPageSize = 100
	maxPageSize     = 1000
	maxPageBytes    = 1 << 20
)

// pageSize returns the size of a page that a request asks for.
func pageSize(requested int32) (int, error) {
	switch {
	case requested == 0:
		return defaultPageSize, nil
	case requested < 0 || requested > maxPageSize:
		return 0, invalid("page_size", "%d is outside 0 to %d", requested, maxPageSize)
	default:
		return int(requested), nil
	}
}

// ListSessionEvents implements SessionEventServiceServer. Its page token is the cursor of the last event of the page.
func (s *SessionEvents) ListSessionEvents(
	ctx context.Context, req *deskbridgev1.ListSessionEventsRequest,
) (*deskbridgev1.ListSessionEventsResponse, error) {
	if req.GetSessionId() == "" {
		return nil, invalid("session_id", "required")
	}
	limit, err := pageSize(req.GetPageSize())
	if err != nil {
		return nil, err
	}
	after, err := s.pageStart(req.GetPageToken())
	if err != nil {
		return nil, err
	}
	records, more, err := s.config.Journal.Session(ctx, req.GetSdkAppId(), req.GetSessionId(), after, limit)
	if err != nil {
		return nil, classify(err)
	}
	page, err := s.page(records, more)
	return page, classify(err)
}

// pageStart reads a page token. A page behind events that were trimmed meanwhile simply has fewer events.
func (s *SessionEvents) pageStart(token string) (uint64, error) {
	if token == "" {
		return 0, nil
	}
	cursor, err := journal.ParseCursor(token)
	if err != nil {
		return 0, invalid("page_token", "not a token of this method")
	}
	if cursor.Epoch != s.config.Journal.Epoch() {
		return 0, invalid("page_token", "of another journal")
	}
	return cursor.Position, nil
}

// page makes the answer of as many records as fit into one. more says that there are others behind them.
func (s *SessionEvents) page(records []journal.Record, more bool) (*deskbridgev1.ListSessionEventsResponse, error) {
	response := &deskbridgev1.ListSessionEventsResponse{}
	size := 0
	for i, record := range records {
		size += len(record.Data)
		if i > 0 && size > maxPageBytes {
			more = true
			break
		}
		event, err := decodeRecord(record)
		if err != nil {
			return nil, err
		}
		response.Events = append(response.Events, event)
	}
	if last := len(response.GetEvents()) - 1; more && last >= 0 {
		response.NextPageToken = journal.Cursor{
			Epoch: s.config.Journal.Epoch(), Position: response.GetEvents()[last].GetPosition(),
		}.String()
	}
	return response, nil
}

// decodeRecord is a stored event with its position.
func decodeRecord(record journal.Record) (*deskbridgev1.SessionEvent, error) {
	event := &deskbridgev1.SessionEvent{}
	if err := proto.Unmarshal(record.Data, event); err != nil {
		return nil, fmt.Errorf("%w: position %d: %w", journal.ErrDamaged, record.Position, err)
	}
	event.Position = record.Position
	return event, nil
}
