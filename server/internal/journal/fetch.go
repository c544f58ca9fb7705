package journal

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
)

// fetch gets the event at a position, or else the first behind it that the engine can read; none is not an error.
func (l *local) fetch(ctx context.Context, position uint64) ([]Record, error) {
	messages, err := l.directGet(ctx, eventsStream, 1, jetstreamext.GetBatchSeq(position))
	if err != nil {
		return nil, err
	}
	return unframeAll(messages)
}

func unframeAll(messages []*jetstream.RawStreamMsg) ([]Record, error) {
	records := make([]Record, len(messages))
	for i, message := range messages {
		data, err := unframe(message.Data)
		if err != nil {
			return nil, &DamageError{message.Sequence, message.Sequence}
		}
		records[i] = Record{Position: message.Sequence, StoreTime: message.Time, Data: data}
	}
	return records, nil
}

func (l *local) directGet(
	ctx context.Context, stream string, limit int, options ...jetstreamext.GetBatchOpt,
) ([]*jetstream.RawStreamMsg, error) {
	return directGet(ctx, l.reader, stream, limit, options...)
}

// directGet fetches up to limit messages in one request; none is not an error.
func directGet(
	ctx context.Context, js jetstream.JetStream, stream string, limit int, options ...jetstreamext.GetBatchOpt,
) ([]*jetstream.RawStreamMsg, error) {
	answers, err := jetstreamext.GetBatch(ctx, js, stream, limit, options...)
	if err != nil {
		return nil, engineError(err)
	}
	var messages []*jetstream.RawStreamMsg
	for message, err := range answers {
		switch {
		case errors.Is(err, jetstreamext.ErrNoMessages):
			return nil, nil
		case err != nil:
			return nil, engineError(err)
		}
		messages = append(messages, message)
	}
	return messages, nil
}

// pageBytes is where a page of records ends that could have more of them: it is in memory as a whole.
const pageBytes = 8 << 20

// pageBound has the engine end a page. It counts subjects and headers as well, so it gets more room: then it is
// pageBytes of data that tell why a page has ended.
func pageBound(limit int) jetstreamext.GetBatchOpt {
	return jetstreamext.GetBatchMaxBytes(pageBytes + limit*headerRoom)
}

// judgePage tells of what the engine delivered within pageBound whether its index has more behind it, and whether it is
// complete: when neither bound ended the page, the engine has passed over what it can't read.
func judgePage(messages []*jetstream.RawStreamMsg, limit int) (more, complete bool) {
	if len(messages) == 0 || messages[len(messages)-1].Header.Get("Nats-Num-Pending") == "0" {
		return false, true
	}
	bytes := 0
	for _, message := range messages {
		bytes += len(message.Data)
	}
	return true, len(messages) == limit || bytes >= pageBytes
}

// Record implements log.
func (l *local) Record(ctx context.Context, position uint64) (Record, error) {
	switch {
	case l.isClosed():
		return Record{}, ErrClosed
	case position == 0:
		return Record{}, fmt.Errorf("record 0: %w", ErrNotFound)
	}
	records, err := l.fetch(ctx, position)
	switch {
	case err != nil:
		return Record{}, err
	case len(records) == 0 || records[0].Position != position:
		return Record{}, fmt.Errorf("record %d: %w", position, ErrNotFound)
	}
	return records[0], nil
}
