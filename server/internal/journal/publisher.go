package journal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// publisher hands groups of messages to an embedded log engine, to which nobody else writes, and learns their
// positions. It is for one goroutine.
type publisher struct {
	connection *nats.Conn
	jetstream  jetstream.JetStream
	stream     jetstream.Stream
	recent     *recent
	// head is the stream's last position, but for messages that were left unanswered: unsure says that there may be some.
	head   uint64
	unsure bool
	// highest is the last position that was ever acknowledged.
	highest uint64
	// rewound: the engine lost records at its end and has begun to give their positions again.
	rewound bool
}

var (
	errRewound   = fmt.Errorf("%w: the log engine lost records at its end", ErrDamaged)
	errUnrefused = fmt.Errorf("%w: the log engine took what it had to refuse", ErrDamaged)
)

// publish sets the result of every entry. Its error is final.
func (p *publisher) publish(ctx context.Context, group []*pending) error {
	ctx, cancel := context.WithDeadline(ctx, group[len(group)-1].deadline)
	defer cancel()
	if p.unsure {
		if err := p.learnHead(ctx, group[0].message.Subject); err != nil {
			fail(group, fmt.Errorf("journal: append: %w", engineError(err)))
			return p.failure()
		}
	}
	group = p.recent.settle(group)
	switch len(group) {
	case 0:
	case 1:
		p.publishSingly(ctx, group)
	default:
		p.publishTogether(ctx, group)
	}
	p.checkRewound(group)
	for _, e := range group {
		if e.result.err != nil {
			e.result.err = fmt.Errorf("journal: append: %w", engineError(e.result.err))
		}
	}
	p.recent.remember(group)
	return p.failure()
}

func (p *publisher) failure() error {
	if p.rewound {
		return errRewound
	}
	return nil
}

// learnHead finds out what became of messages that were left unanswered: the engine refuses another one only when it
// has dealt with those.
func (p *publisher) learnHead(ctx context.Context, subject string) error {
	_, err := p.jetstream.Publish(ctx, subject, nil, jetstream.WithExpectLastSequence(math.MaxInt64))
	api, ok := errors.AsType[*jetstream.APIError](err)
	if !ok || api.ErrorCode != jetstream.JSErrCodeStreamWrongLastSequence {
		return cmp.Or(err, errUnrefused)
	}
	info, err := p.stream.Info(ctx)
	if err != nil {
		return err
	}
	last := info.State.LastSeq
	if p.rewound = last < p.highest; p.rewound {
		return errRewound
	}
	if last > p.head {
		if err := p.recent.catchUp(p.head); err != nil {
			return err
		}
	}
	p.head, p.highest, p.unsure = last, last, false
	return nil
}

// checkRewound: a new record never has a position that was given before.
func (p *publisher) checkRewound(group []*pending) {
	highest := p.highest
	for _, e := range group {
		if r := e.result; r.err == nil && !r.receipt.Duplicate {
			p.rewound = p.rewound || r.receipt.Position <= highest
			p.highest = max(p.highest, r.receipt.Position)
		}
	}
	if p.rewound {
		fail(group, errRewound)
	}
}

// publishTogether asks for an acknowledgement of the last message only: half the work of asking for each. When it is
// as far behind the head as the group is long, all are stored, in order. Otherwise one was refused, and publishing all
// again, each with an acknowledgement, tells which: those that were stored are duplicates now.
func (p *publisher) publishTogether(ctx context.Context, group []*pending) {
	before := p.head
	ack, err := p.publishLastAcknowledged(ctx, group)
	switch {
	case err == nil && !ack.Duplicate && ack.Sequence <= before:
		p.rewound = true
	case err == nil && !ack.Duplicate && ack.Sequence == before+uint64(len(group)):
		p.head = ack.Sequence
		for i, e := range group {
			e.result.receipt.Position = before + uint64(i) + 1
		}
	case err != nil && isTransient(err):
		p.unsure = true
		fail(group, err)
	default:
		p.publishSingly(ctx, group)
	}
}

func (p *publisher) publishLastAcknowledged(ctx context.Context, group []*pending) (*jetstream.PubAck, error) {
	last := len(group) - 1
	for _, e := range group[:last] {
		if err := p.connection.PublishMsg(e.message); err != nil {
			return nil, err
		}
	}
	return p.jetstream.PublishMsg(ctx, group[last].message, noRetry)
}

// publishSingly asks for every acknowledgement. What is stored behind the head is no duplicate, whatever the engine
// says.
func (p *publisher) publishSingly(ctx context.Context, group []*pending) {
	publishEach(ctx, p.jetstream, group, noRetry)
	head := p.head
	for _, e := range group {
		p.unsure = p.unsure || e.result.err != nil
		if r := &e.result.receipt; r.Position > p.head {
			r.Duplicate = false
			head = max(head, r.Position)
		}
	}
	if !p.unsure {
		p.head = head
	}
}

// noRetry: a retry would overtake, or be stored when nobody waits for it any more.
var noRetry = jetstream.WithRetryAttempts(0)

// publishEach asks for every acknowledgement, and sets the results.
func publishEach(
	ctx context.Context, js jetstream.JetStream, group []*pending, options ...jetstream.PublishOpt,
) {
	futures := make([]jetstream.PubAckFuture, len(group))
	for i, e := range group {
		futures[i], e.result.err = js.PublishMsgAsync(e.message, options...)
	}
	for i, e := range group {
		if e.result.err == nil {
			e.result = await(ctx, futures[i])
		}
	}
}

func await(ctx context.Context, future jetstream.PubAckFuture) result {
	select {
	case ack := <-future.Ok():
		return result{receipt: Receipt{Position: ack.Sequence, Duplicate: ack.Duplicate}}
	case err := <-future.Err():
		return result{err: err}
	case <-ctx.Done():
		return result{err: ctx.Err()}
	}
}
