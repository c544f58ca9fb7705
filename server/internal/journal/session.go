package journal

import (
	"context"
	"fmt"

	"github.com/synadia-io/orbit.go/jetstreamext"
)

// Session implements log.
func (l *local) Session(ctx context.Context, appID, sessionID string, after uint64, limit int) ([]Record, error) {
	if l.isClosed() {
		return nil, ErrClosed
	}
	after = max(after, l.checkpoint.load().Floor)
	durable, _ := l.durable.load()
	records, complete, err := l.fetchSession(ctx, sessionFilter(appID, sessionID), after, limit)
	if err == nil && !complete {
		err = &DamageError{after + 1, durable}
	}
	if err == nil {
		err = l.missing(ctx, after)
	}
	if err != nil {
		err = fmt.Errorf("journal: session: %w", err)
	}
	return upTo(records, durable), err
}

// fetchSession returns complete false when the engine passed over something.
func (l *local) fetchSession(
	ctx context.Context, filter string, after uint64, limit int,
) (records []Record, complete bool, err error) {
	messages, err := l.directGet(ctx, eventsStream, limit,
		jetstreamext.GetBatchSubject(filter), jetstreamext.GetBatchSeq(after+1))
	if err != nil {
		return nil, false, err
	}
	records, err = unframeAll(messages)
	return records, isComplete(messages, limit), err
}

func upTo(records []Record, position uint64) []Record {
	for i, record := range records {
		if record.Position > position {
			return records[:i]
		}
	}
	return records
}
