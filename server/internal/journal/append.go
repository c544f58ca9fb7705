package journal

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// Append implements log.
func (l *local) Append(ctx context.Context, entry Entry) (Receipt, error) {
	if err := entry.checkSize(); err != nil {
		return Receipt{}, err
	}
	if err := l.disk.admit(int64(len(entry.Data) + entryOverhead)); err != nil {
		return Receipt{}, err
	}
	return l.committer.Load().append(ctx, newPending(entry, time.Now().Add(l.config.AckTimeout)))
}

func (e *Entry) checkSize() error {
	if len(e.Data) > MaxRecordBytes {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(e.Data), MaxRecordBytes)
	}
	return nil
}

// append returns when the entry is answered, or at its deadline.
func (c *committer) append(ctx context.Context, p *pending) (Receipt, error) {
	if err := c.enqueue(p); err != nil {
		return Receipt{}, err
	}
	return c.await(ctx, p)
}

func (c *committer) await(ctx context.Context, p *pending) (Receipt, error) {
	timer := time.NewTimer(time.Until(p.deadline))
	defer timer.Stop()
	select {
	case result := <-p.done:
		return result.receipt, result.err
	case <-c.stopped:
		return c.afterStop(p)
	case <-timer.C:
		return Receipt{}, fmt.Errorf("%w: not stored in time", ErrUnavailable)
	case <-ctx.Done():
		return Receipt{}, context.Cause(ctx)
	}
}

// pending is an entry on its way to disk.
type pending struct {
	message  *nats.Msg
	key      key // of its ID
	deadline time.Time
	copies   []*pending // entries with the same key in the same group
	result   result
	done     chan result
}

type result struct {
	receipt Receipt
	err     error
}

func newPending(entry Entry, deadline time.Time) *pending {
	id := uniqueID()
	if entry.DedupeKey != "" {
		id = messageID(entry.DedupeKey)
	}
	return newPendingMessage(eventSubject(entry.AppID, entry.SessionID), id, entry.Data, deadline)
}

// uniqueID is for a message without a key. Every message has an ID, so that any one can be published again to learn
// where it is.
func uniqueID() string { return "#" + nuid.Next() }

// newPendingMessage copies the data: its caller may return before the message is out.
func newPendingMessage(subject, id string, data []byte, deadline time.Time) *pending {
	return newPendingFrame(subject, id, frame(data), deadline)
}

// newPendingFrame is for data that was framed before, and belongs to the message from now on.
func newPendingFrame(subject, id string, framed []byte, deadline time.Time) *pending {
	message := nats.NewMsg(subject)
	message.Data = framed
	message.Header[jetstream.MsgIDHeader] = []string{id}
	return &pending{message: message, key: keyOf([]byte(id)), deadline: deadline, done: make(chan result, 1)}
}

// afterStop is for an entry that may have come too late for anybody to answer it.
func (c *committer) afterStop(p *pending) (Receipt, error) {
	select {
	case result := <-p.done:
		return result.receipt, result.err
	default:
		return Receipt{}, c.refusal()
	}
}

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
