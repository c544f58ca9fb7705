package rpc

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"google.golang.org/protobuf/proto"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
	"github.com/deskbridge/deskbridge/server/internal/access"
	"github.com/deskbridge/deskbridge/server/internal/fields"
	"github.com/deskbridge/deskbridge/server/internal/filter"
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

// numberedPage returns what a request asks for of a list whose page tokens are the number of the page's last entry.
func numberedPage(req interface {
	GetPageSize() int32
	GetPageToken() string
},
) (limit int, after uint64, err error) {
	if limit, err = pageSize(req.GetPageSize()); err != nil || req.GetPageToken() == "" {
		return limit, 0, err
	}
	if after, err = strconv.ParseUint(req.GetPageToken(), 10, 64); err != nil {
		return 0, 0, invalid("page_token", "not a token of this method")
	}
	return limit, after, nil
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
	caller := access.PrincipalOf(ctx)
	visible, err := visibleIn(req.GetSdkAppId(), caller)
	if err != nil {
		return nil, classify(err)
	}
	page := page{epoch: s.config.Journal.Epoch(), limit: limit, filter: visible, content: caller.Content}
	err = s.fill(ctx, &page, req, after)
	return &page.response, classify(err)
}

// visibleIn selects the events of an app, any when it is empty, that a caller may read.
func visibleIn(app string, caller *access.Principal) (*filter.Filter, error) {
	asked := &deskbridgev1.EventFilter{}
	if app != "" {
		asked.SdkAppIds = []string{app}
	}
	visible, err := filter.CompileWithin(asked, caller.Scope())
	var bad *filter.Error
	if errors.As(err, &bad) {
		bad.Field = "sdk_app_id"
	}
	return visible, err
}

// fill reads records until there is one that the page has no room for, or the session has no more. One reading is not
// always enough: a caller may be allowed to read only some of a session's events, and must not learn of the others, not
// even that there are any.
func (s *SessionEvents) fill(
	ctx context.Context, p *page, req *deskbridgev1.ListSessionEventsRequest, after uint64,
) error {
	for limit := min(p.limit+1, maxPageSize); ; limit = maxPageSize {
		records, more, err := s.config.Journal.Session(ctx, req.GetSdkAppId(), req.GetSessionId(), after, limit)
		if err != nil {
			return err
		}
		for _, record := range records {
			if full, err := p.add(record); full || err != nil {
				return err
			}
		}
		if !more || len(records) == 0 {
			return nil
		}
		after = records[len(records)-1].Position
	}
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

// page is an answer in the making.
type page struct {
	epoch    string
	limit    int
	filter   *filter.Filter // selects what the caller may read
	content  bool           // may be read
	response deskbridgev1.ListSessionEventsResponse
	bytes    int
}

// end says that there are events behind this page.
func (p *page) end() {
	last := p.response.GetEvents()[len(p.response.GetEvents())-1]
	p.response.NextPageToken = journal.Cursor{Epoch: p.epoch, Position: last.GetPosition()}.String()
}

// add adds a record if the caller may read it, and reports whether the page was full without it.
func (p *page) add(record journal.Record) (full bool, err error) {
	var view filter.Event
	if err := view.Read(record.Position, record.Data); err != nil {
		return false, fmt.Errorf("%w: %w", journal.ErrDamaged, err)
	}
	if !p.filter.MatchFields(&view) {
		return false, nil
	}
	count := len(p.response.GetEvents())
	p.bytes += len(record.Data)
	if count == p.limit || (count > 0 && p.bytes > maxPageBytes) {
		p.end()
		return true, nil
	}
	if !p.content {
		if record.Data, err = fields.Open().Append(nil, record.Data, record.Position); err != nil {
			return false, fmt.Errorf("%w: position %d: %w", journal.ErrDamaged, record.Position, err)
		}
	}
	event, err := decodeRecord(record)
	if err != nil {
		return false, err
	}
	p.response.Events = append(p.response.Events, event)
	return false, nil
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
