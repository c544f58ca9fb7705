package journal

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
)

// fetch gets the event at a position, or else the first behind it that the engine can read. There is none behind the
// durable mark.
func (l *local) fetch(ctx context.Context, position uint64) ([]Record, error) {
	durable, _ := l.durable.load()
	messages, err := l.directGet(ctx, eventsStream, 1, jetstreamext.GetBatchSeq(position))
	switch {
	case err != nil:
		return nil, err
	case len(messages) == 0 && position <= durable:
		return l.readFile(position, durable)
	}
	return unframeAll(messages)
}

// readFile reads the record at a position from the engine's files: they tell what is damaged from what can't be read
// just now.
func (l *local) readFile(position, durable uint64) ([]Record, error) {
	blocks := blockReader{directory: l.directory.blocks(eventsStream)}
	records, err := blocks.read(position-1, durable)
	if err != nil {
		return nil, fileError(err)
	}
	return records[:1], blocks.close()
}

// fileError is for what reading a file gave.
func fileError(err error) error {
	if errors.Is(err, ErrDamaged) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
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

// directGet fetches up to limit messages in one request. None is not an error; but the engine also says that there is
// none when it can't read its files.
func directGet(
	ctx context.Context, js jetstream.JetStream, stream string, limit int, options ...jetstreamext.GetBatchOpt,
) ([]*jetstream.RawStreamMsg, error) {
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	answers, err := jetstreamext.GetBatch(ctx, js, stream, limit, options...)
	if err != nil {
		return nil, engineError(err)
	}
	return gather(ctx, answers)
}

// gather takes all answers to a request. At the end of ctx they just end.
func gather(
	ctx context.Context, answers iter.Seq2[*jetstream.RawStreamMsg, error],
) (messages []*jetstream.RawStreamMsg, err error) {
	for message, err := range answers {
		switch {
		case errors.Is(err, jetstreamext.ErrNoMessages):
			return nil, nil
		case err != nil:
			return nil, engineError(err)
		}
		messages = append(messages, message)
	}
	if err := ctx.Err(); err != nil {
		return nil, engineError(err)
	}
	if len(messages) == 0 {
		return nil, errUnread
	}
	return messages, nil
}

// errUnread says that the engine has messages, but can't read them.
var errUnread = fmt.Errorf("%w: the log engine can't read its files", ErrUnavailable)

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
