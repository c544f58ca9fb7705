package journal

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
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
	if err := j.disk.err(); err != nil {
		return Receipt{}, err
	}
	timer := time.NewTimer(j.config.AckTimeout)
	defer timer.Stop()
	p := newPending(entry, time.Now().Add(j.config.AckTimeout))
	if err := j.committer.enqueue(p); err != nil {
		return Receipt{}, err
	}
	select {
	case result := <-p.done:
		return result.receipt, result.err
	case <-j.committer.stopped:
		return p.afterStop()
	case <-timer.C:
		return Receipt{}, fmt.Errorf("%w: not on disk after %s", ErrUnavailable, j.config.AckTimeout)
	case <-ctx.Done():
		return Receipt{}, context.Cause(ctx)
	}
}

// pending is an entry on its way to disk.
type pending struct {
	message  *nats.Msg
	deadline time.Time
	copies   []*pending // entries with the same key in the same group
	result   result
	done     chan result
}

type result struct {
	receipt Receipt
	err     error
}

// newPending copies the entry's data: Append may return before the message is out.
func newPending(entry Entry, deadline time.Time) *pending {
	message := nats.NewMsg(eventSubject(entry.AppID, entry.SessionID))
	message.Data = frame(entry.Data)
	// Every message has an ID, so that any one can be published again to learn where it is.
	id := "#" + nuid.Next()
	if entry.DedupeKey != "" {
		id = messageID(entry.DedupeKey)
	}
	message.Header[jetstream.MsgIDHeader] = []string{id}
	return &pending{message: message, deadline: deadline, done: make(chan result, 1)}
}

// afterStop is for an entry that may have come too late for anybody to answer it.
func (p *pending) afterStop() (Receipt, error) {
	select {
	case result := <-p.done:
		return result.receipt, result.err
	default:
		return Receipt{}, ErrClosed
	}
}

func (p *pending) id() string { return p.message.Header[jetstream.MsgIDHeader][0] }

func (p *pending) finish() {
	p.done <- p.result
	for _, c := range p.copies {
		c.result = p.result
		c.result.receipt.Duplicate = p.result.err == nil
		c.finish()
	}
}

func fail(group []*pending, err error) {
	for _, p := range group {
		p.result = result{err: err}
	}
}
