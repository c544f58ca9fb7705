package journal

import (
	"context"
	"fmt"

	"github.com/synadia-io/orbit.go/jetstreamext"
)

// Session returns the retained records of one session behind the position after, oldest first and at most limit of
// them. With appID "" it is the session of that id in any app.
func (j *Journal) Session(ctx context.Context, appID, sessionID string, after uint64, limit int) ([]Record, error) {
	if j.isClosed() {
		return nil, ErrClosed
	}
	records, err := j.fetch(ctx, limit,
		jetstreamext.GetBatchSubject(sessionFilter(appID, sessionID)), jetstreamext.GetBatchSeq(after+1))
	if err != nil {
		return nil, fmt.Errorf("journal: session: %w", err)
	}
	durable, _ := j.durable.load()
	for i, record := range records {
		if record.Position > durable {
			return records[:i], nil
		}
	}
	return records, nil
}
