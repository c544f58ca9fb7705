package rpc

import (
	"context"
	"strconv"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// Subscriptions serves SubscriptionService about the streams of a SessionEvents.
type Subscriptions struct {
	deskbridgev1.UnimplementedSubscriptionServiceServer
	events *SessionEvents
}

// NewSubscriptions returns the service.
func NewSubscriptions(events *SessionEvents) *Subscriptions { return &Subscriptions{events: events} }

// ListSubscriptions implements SubscriptionServiceServer. Its page token is the last number of the page.
func (s *Subscriptions) ListSubscriptions(
	ctx context.Context, req *deskbridgev1.ListSubscriptionsRequest,
) (*deskbridgev1.ListSubscriptionsResponse, error) {
	limit, after, err := numberedPage(req)
	if err != nil {
		return nil, err
	}
	response := &deskbridgev1.ListSubscriptionsResponse{}
	open := s.events.readers.list(after)
	if len(open) > limit {
		open = open[:limit]
		response.NextPageToken = strconv.FormatUint(open[limit-1].id, 10)
	}
	for _, p := range open {
		response.Subscriptions = append(response.Subscriptions, s.events.describe(ctx, p))
	}
	return response, nil
}

func (s *SessionEvents) describe(ctx context.Context, p *pump) *deskbridgev1.Subscription {
	at := p.place()
	return &deskbridgev1.Subscription{
		SubscriptionId: p.id,
		Name:           p.request.GetName(),
		Principal:      p.visitor.principal,
		PeerAddress:    p.visitor.address,
		Transport:      p.visitor.transport,
		Filter:         p.request.GetFilter(),
		ReadMask:       p.request.GetReadMask(),
		State:          p.state(),
		Position:       at.position,
		LagEvents:      at.lag(),
		LagDuration:    durationpb.New(s.lagTime(ctx, at)),
		OpenTime:       timestamppb.New(p.openTime),
	}
}

func (p *pump) state() deskbridgev1.SubscriptionState {
	if p.live.Load() {
		return deskbridgev1.SubscriptionState_SUBSCRIPTION_STATE_LIVE
	}
	return deskbridgev1.SubscriptionState_SUBSCRIPTION_STATE_CATCHING_UP
}
