package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
)

// lagPause is between two questions to replicas that are behind.
const lagPause = 20 * time.Millisecond

// Bounds implements log.
func (c *cluster) Bounds(ctx context.Context) (Bounds, error) {
	info, err := c.info(ctx)
	if err != nil {
		return Bounds{}, fmt.Errorf("journal: bounds: %w", err)
	}
	seen, _ := c.seen.load()
	state, epochs := info.State, epochsOf(info.Config.Metadata)
	b := Bounds{
		Epoch: epochs.current, Former: epochs.former,
		Earliest: state.FirstSeq, Latest: state.LastSeq, Count: state.Msgs,
	}
	if b.Epoch == c.Epoch() && b.Count > 0 {
		b.Latest = max(b.Latest, seen)
	}
	if b.Count > 0 {
		b.Bytes, b.EarliestTime, b.LatestTime = state.Bytes, state.FirstTime, state.LastTime
	}
	return b, nil
}

// PositionAt implements log.
func (c *cluster) PositionAt(ctx context.Context, t time.Time) (uint64, error) {
	position, err := c.positionAt(ctx, t)
	if err != nil {
		return 0, fmt.Errorf("journal: position at %s: %w", t.Format(time.RFC3339), err)
	}
	return position, nil
}

func (c *cluster) positionAt(ctx context.Context, t time.Time) (uint64, error) {
	info, err := c.info(ctx)
	if err != nil {
		return 0, err
	}
	state := info.State
	if state.Msgs == 0 || t.After(state.LastTime) {
		return state.LastSeq, nil
	}
	ctx, cancel := context.WithTimeout(ctx, clusterTimeout)
	defer cancel()
	for {
		found, err := c.directGet(ctx, 1, jetstreamext.GetBatchStartTime(t))
		if err != nil {
			return 0, err
		}
		if len(found) > 0 {
			return max(found[0].Sequence, state.FirstSeq) - 1, nil
		}
		// The leader has such a record: this replica is behind.
		if !sleep(ctx, lagPause) {
			return 0, fmt.Errorf("%w: the replicas are behind", ErrUnavailable)
		}
	}
}

// Session implements log.
func (c *cluster) Session(
	ctx context.Context, appID, sessionID string, after uint64, limit int,
) (records []Record, more bool, err error) {
	records, more, err = c.session(ctx, sessionFilter(appID, sessionID), after, limit)
	if err != nil {
		err = fmt.Errorf("journal: session: %w", err)
	}
	return records, more, err
}

// session takes what a replica has in one go, and asks the leader whether there is more.
func (c *cluster) session(
	ctx context.Context, filter string, after uint64, limit int,
) (records []Record, more bool, err error) {
	for {
		page, more, err := c.sessionPage(ctx, filter, after, limit-len(records))
		records = append(records, page...)
		if err != nil || more || len(records) == limit {
			return records, more, err
		}
		if len(page) > 0 {
			after = page[len(page)-1].Position
		}
		next, err := c.ask(ctx, leaderRequest{Seq: after + 1, NextFor: filter})
		if errors.Is(err, ErrNotFound) {
			return records, false, nil
		}
		if err != nil {
			return records, false, err
		}
		records, after = append(records, next), next.Position
		if len(records) == limit {
			return records, true, nil // perhaps
		}
	}
}

// sessionPage is what a replica has; none when it has damage: the leader helps over it.
func (c *cluster) sessionPage(
	ctx context.Context, filter string, after uint64, limit int,
) (page []Record, more bool, err error) {
	messages, err := c.directGet(ctx, limit,
		jetstreamext.GetBatchSubject(filter), jetstreamext.GetBatchSeq(after+1), pageBound(limit))
	if err != nil {
		return nil, false, err
	}
	more, complete := judgePage(messages, limit)
	if !complete {
		return nil, false, nil
	}
	page, err = unframeAll(messages)
	return page, more, err
}

// Record implements log.
func (c *cluster) Record(ctx context.Context, position uint64) (Record, error) {
	if position == 0 {
		return Record{}, fmt.Errorf("record 0: %w", ErrNotFound)
	}
	return c.ask(ctx, leaderRequest{Seq: position})
}

// directGet asks any replica, which may be behind.
func (c *cluster) directGet(
	ctx context.Context, limit int, options ...jetstreamext.GetBatchOpt,
) ([]*jetstream.RawStreamMsg, error) {
	if _, err := c.attachment(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, clusterTimeout)
	defer cancel()
	messages, err := directGet(ctx, c.reader, eventsStream, limit, options...)
	if err != nil {
		return nil, c.failure(err)
	}
	return messages, nil
}

// leaderRequest is for one message: that at Seq, or the first of a subject from there on.
type leaderRequest struct {
	Seq     uint64 `json:"seq"`
	NextFor string `json:"next_by_subj,omitempty"`
}

type leaderAnswer struct {
	Error   *jetstream.APIError `json:"error"`
	Message struct {
		Sequence uint64    `json:"seq"`
		Data     []byte    `json:"data"`
		Time     time.Time `json:"time"`
	} `json:"message"`
}

// ask gets a record from the stream's leader, or ErrNotFound. The client's own call would ask any replica.
func (c *cluster) ask(ctx context.Context, request leaderRequest) (Record, error) {
	if _, err := c.attachment(); err != nil {
		return Record{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, clusterTimeout)
	defer cancel()
	question, err := json.Marshal(request)
	if err != nil {
		return Record{}, err
	}
	reply, err := c.reading.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+eventsStream, question)
	if err != nil {
		return Record{}, c.failure(err)
	}
	var answer leaderAnswer
	if err := json.Unmarshal(reply.Data, &answer); err != nil {
		return Record{}, fmt.Errorf("%w: the cluster's answer: %w", ErrUnavailable, err)
	}
	return c.record(request, answer)
}

func (c *cluster) record(request leaderRequest, answer leaderAnswer) (Record, error) {
	switch {
	case answer.Error != nil && answer.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return Record{}, fmt.Errorf("record %d: %w", request.Seq, ErrNotFound)
	case answer.Error != nil:
		return Record{}, c.failure(answer.Error)
	}
	data, err := unframe(answer.Message.Data)
	if err != nil {
		return Record{}, &DamageError{answer.Message.Sequence, answer.Message.Sequence}
	}
	return Record{Position: answer.Message.Sequence, StoreTime: answer.Message.Time, Data: data}, nil
}
