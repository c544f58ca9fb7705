package rpc

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
	"github.com/deskbridge/deskbridge/server/internal/access"
)

// readers are the streams that are open, by number, and what those that have ended delivered. The zero value has none.
// All methods may be called concurrently. A stream is added and removed once; what it delivers it counts for itself.
type readers struct {
	mu   sync.Mutex
	last uint64
	open map[uint64]*pump

	endedEvents, endedBytes uint64
}

func (r *readers) add(p *pump) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open == nil {
		r.open = map[uint64]*pump{}
	}
	r.last++
	p.id = r.last
	r.open[p.id] = p
}

func (r *readers) remove(p *pump) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.open, p.id)
	r.endedEvents += p.events.Load()
	r.endedBytes += p.bytes.Load()
}

// list returns the streams with a number above after, by number.
func (r *readers) list(after uint64) []*pump {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]*pump, 0, len(r.open))
	for id, p := range r.open {
		if id > after {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b *pump) int { return cmp.Compare(a.id, b.id) })
	return all
}

// delivered is what all streams have been given so far.
func (r *readers) delivered() (events, bytes uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	events, bytes = r.endedEvents, r.endedBytes
	for _, p := range r.open {
		events, bytes = events+p.events.Load(), bytes+p.bytes.Load()
	}
	return events, bytes
}

// place is where a stream stands: everything up to position is delivered or does not match, and head is the newest
// event. An event that has just arrived may count as delivered a moment early.
type place struct{ position, head uint64 }

func (p place) lag() uint64 { return p.head - p.position }

// place of a stream that waits is the head: nothing that it wants lies before it, though its last response may be as
// old as a heartbeat.
func (p *pump) place() place {
	position := p.sent.Load()
	head := max(p.service.config.Hub.Head(), position)
	if !p.sending.Load() && p.subscription.Idle() {
		position = head
	}
	return place{position: position, head: head}
}

// lagTime is how long the first event behind a position has been stored; 0 when there is none. Far behind the head the
// journal is asked.
func (s *SessionEvents) lagTime(ctx context.Context, p place) time.Duration {
	if p.lag() == 0 {
		return 0
	}
	stored, known := s.config.Hub.StoreTimeAfter(p.position)
	if !known {
		record, err := s.config.Journal.Record(ctx, p.position+1)
		if err != nil { // trimmed, or out of reach: no time to tell
			return 0
		}
		stored = record.StoreTime
	}
	return max(time.Since(stored), 0)
}

// visitor is who opened a stream, and how.
type visitor struct {
	principal, address string
	transport          deskbridgev1.SubscriptionTransport
}

// visitorOf knows the HTTP edge by its way in. What the reader accepts says how the edge writes the stream.
func visitorOf(ctx context.Context) visitor {
	v := visitor{
		principal: access.PrincipalOf(ctx).Name,
		transport: deskbridgev1.SubscriptionTransport_SUBSCRIPTION_TRANSPORT_GRPC,
	}
	v.address, _ = ctx.Value(remoteKey{}).(string)
	if from, ok := peer.FromContext(ctx); ok && from.Addr.Network() == EdgeNetwork {
		v.transport = deskbridgev1.SubscriptionTransport_SUBSCRIPTION_TRANSPORT_JSON_LINES
		md, _ := metadata.FromIncomingContext(ctx)
		if strings.Contains(strings.Join(md.Get("grpcgateway-accept"), ","), "text/event-stream") {
			v.transport = deskbridgev1.SubscriptionTransport_SUBSCRIPTION_TRANSPORT_SERVER_SENT_EVENTS
		}
	}
	return v
}
