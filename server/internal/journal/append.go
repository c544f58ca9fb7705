package journal

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Append stores the entry and returns when it is on disk (see Config.Sync), within Config.AckTimeout. After
// ErrUnavailable the entry may still come to be stored: appending it again with the same DedupeKey is the right answer,
// and makes it a duplicate. When one Append has returned before another starts, its entry has the lower position.
//
// Errors: ErrTooLarge, ErrFull, ErrUnavailable, ErrClosed, or the context's.
func (j *Journal) Append(ctx context.Context, entry Entry) (Receipt, error) {
	if len(entry.Data) > MaxRecordBytes {
		return Receipt{}, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(entry.Data), MaxRecordBytes)
	}
	if err := j.Ready(); err != nil {
		return Receipt{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, j.config.AckTimeout)
	defer cancel()
	ack, err := j.jetstream.PublishMsg(ctx, eventMessage(entry))
	if err != nil {
		return Receipt{}, fmt.Errorf("journal: append: %w", engineError(err))
	}
	j.durable.advance(ack.Sequence)
	return Receipt{Position: ack.Sequence, Duplicate: ack.Duplicate}, nil
}

func eventMessage(entry Entry) *nats.Msg {
	message := nats.NewMsg(eventSubject(entry.AppID, entry.SessionID))
	message.Data = frame(entry.Data)
	if entry.DedupeKey != "" {
		message.Header.Set(jetstream.MsgIDHeader, messageID(entry.DedupeKey))
	}
	return message
}
