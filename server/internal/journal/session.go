package journal

import (
	"context"
	"fmt"

	"github.com/synadia-io/orbit.go/jetstreamext"
)

// Session returns the retained records of one session behind the position after, oldest first and at most limit of
// them. With appID "" it is the session of that id in any app. The records come together with ErrDamaged when others,
// perhaps of this session, can't be read.
func (j *Journal) Session(ctx context.Context, appID, sessionID string, after uint64, limit int) ([]Record, error) {
	if j.isClosed() {
		return nil, ErrClosed
	}
	after = max(after, j.checkpoint.load().Floor)
	durable, _ := j.durable.load()
	records, complete, err := j.fetchSession(ctx, sessionFilter(appID, sessionID), after, limit)
	if err == nil && !complete {
		err = &DamageError{after + 1, durable}
	}
	if err == nil {
		err = j.missing(ctx, after)
	}
	if err != nil {
		err = fmt.Errorf("journal: session: %w", err)
	}
	return upTo(records, durable), err
}

// fetchSession returns complete false when the engine passed over something.
func (j *Journal) fetchSession(
	ctx context.Context, filter string, after uint64, limit int,
) (records []Record, complete bool, err error) {
	messages, err := j.directGet(ctx, eventsStream, limit,
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
