package journal

import (
	"context"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
)

// Session implements log.
func (l *local) Session(
	ctx context.Context, appID, sessionID string, after uint64, limit int,
) (records []Record, more bool, err error) {
	if l.isClosed() {
		return nil, false, ErrClosed
	}
	after = max(after, l.checkpoint.load().Floor)
	durable, _ := l.durable.load()
	records, more, err = l.fetchSession(ctx, sessionFilter(appID, sessionID), after, durable, limit)
	if err == nil {
		err = l.missing(ctx, after)
	}
	if err != nil {
		err = fmt.Errorf("journal: session: %w", err)
	}
	return records, more, err
}

func (l *local) fetchSession(
	ctx context.Context, filter string, after, durable uint64, limit int,
) (records []Record, more bool, err error) {
	messages, err := l.directGet(ctx, eventsStream, limit,
		jetstreamext.GetBatchSubject(filter), jetstreamext.GetBatchSeq(after+1), pageBound(limit))
	if err == nil && len(messages) == 0 {
		err = l.confirmNone(ctx, filter, after, durable)
	}
	if err != nil {
		return nil, false, err
	}
	more, complete := judgePage(messages, limit)
	records, err = unframeAll(messages)
	if err == nil && !complete {
		err = &DamageError{after + 1, durable}
	}
	for len(records) > 0 && records[len(records)-1].Position > durable {
		records, more = records[:len(records)-1], false // they will be there in a moment
	}
	return records, more, err
}

// confirmNone makes sure that a session has no records behind a position, as the engine says.
func (l *local) confirmNone(ctx context.Context, filter string, after, durable uint64) error {
	info, err := l.events.Info(ctx, jetstream.WithSubjectFilter(filter))
	if err != nil || len(info.State.Subjects) == 0 {
		return engineError(err)
	}
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	answers, err := jetstreamext.GetLastMsgsFor(ctx, l.reader, eventsStream, []string{filter})
	if err != nil {
		return engineError(err)
	}
	last, err := gather(ctx, answers)
	if err != nil {
		return err
	}
	unread := func(m *jetstream.RawStreamMsg) bool { return m.Sequence > after && m.Sequence <= durable }
	if len(last) == 0 || slices.ContainsFunc(last, unread) {
		return errUnread
	}
	return nil
}
