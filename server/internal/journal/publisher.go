package journal

import (
	"context"
	"fmt"
	"math"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// publisher hands groups of messages to the log engine and learns their positions. It is for one goroutine.
type publisher struct {
	connection *nats.Conn
	jetstream  jetstream.JetStream
	// alone: nobody else writes to the stream.
	alone bool
	// options of messages that are acknowledged one by one.
	options []jetstream.PublishOpt
	// head is the stream's last position; unknown when others write too, or when a message was left unanswered.
	head uint64
	// highest is the last position that was ever acknowledged.
	highest uint64
	// rewound: the engine lost records at its end and has begun to give their positions again.
	rewound bool
}

const unknown = math.MaxUint64

var errRewound = fmt.Errorf("%w: the log engine lost records at its end", ErrDamaged)

// publish sets the result of every entry. Its error is final.
func (p *publisher) publish(ctx context.Context, group []*pending) error {
	ctx, cancel := context.WithDeadline(ctx, group[len(group)-1].deadline)
	defer cancel()
	switch {
	case len(group) == 1 || p.head == unknown:
		p.publishEach(ctx, group, unknown)
	default:
		p.publishTogether(ctx, group)
	}
	p.checkRewound(group)
	for _, e := range group {
		if e.result.err != nil {
			e.result.err = fmt.Errorf("journal: append: %w", engineError(e.result.err))
		}
	}
	if p.rewound {
		return errRewound
	}
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
// as far behind the head as the group is long, all are stored, in order. Otherwise one was a duplicate or was refused,
// and publishing all again, each with an acknowledgement, tells which: those that were stored are duplicates now.
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
		p.head = unknown
		fail(group, err)
	default:
		p.publishEach(ctx, group, before)
	}
}

func (p *publisher) publishLastAcknowledged(ctx context.Context, group []*pending) (*jetstream.PubAck, error) {
	last := len(group) - 1
	for _, e := range group[:last] {
		if err := p.connection.PublishMsg(e.message); err != nil {
			return nil, err
		}
	}
	return p.jetstream.PublishMsg(ctx, group[last].message)
}

// publishEach asks for every acknowledgement. What is stored behind the position before is no duplicate, whatever the
// engine says.
func (p *publisher) publishEach(ctx context.Context, group []*pending, before uint64) {
	futures := make([]jetstream.PubAckFuture, len(group))
	for i, e := range group {
		futures[i], e.result.err = p.jetstream.PublishMsgAsync(e.message, p.options...)
	}
	for i, e := range group {
		if e.result.err == nil {
			e.result = await(ctx, futures[i], before)
		}
	}
	p.learnHead(group)
}

func await(ctx context.Context, future jetstream.PubAckFuture, before uint64) result {
	select {
	case ack := <-future.Ok():
		return result{receipt: Receipt{Position: ack.Sequence, Duplicate: ack.Duplicate && ack.Sequence <= before}}
	case err := <-future.Err():
		return result{err: err}
	case <-ctx.Done():
		return result{err: ctx.Err()}
	}
}

// learnHead: the engine takes messages in order, so once a new one is acknowledged nothing before it is open, and the
// last of them is the head. A duplicate's position says nothing about the head.
func (p *publisher) learnHead(group []*pending) {
	for _, e := range group {
		switch {
		case e.result.err != nil || !p.alone:
			p.head = unknown
		case !e.result.receipt.Duplicate:
			p.head = e.result.receipt.Position
		}
	}
}
