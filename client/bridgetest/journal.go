package bridgetest

import (
	"context"

	"github.com/deskbridge/deskbridge/client"
	"github.com/deskbridge/deskbridge/client/internal/player"
	"github.com/deskbridge/deskbridge/client/internal/webhook"
	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// AppID is the app that callbacks are posted for.
const AppID = "1600012345"

func (b *Bridge) connectPoster() {
	b.t.Helper()
	var err error
	b.poster, err = webhook.New(webhook.Config{
		URL: b.URL() + "/v1/callbacks/desk", SdkAppID: AppID, Connections: concurrency,
	})
	b.check(err)
	b.t.Cleanup(b.poster.Close)
}

// Post sends a callback to the webhook, such as
//
//	{"Event": "SessionBegin", "SessionId": "s1", "EventTime": 1725540020017, "ClientUserId": "buyer_1"}
//
// When it returns, the event is in the journal. A body that was posted before is the vendor's repeat, and gives no
// second event: let EventTime differ.
func (b *Bridge) Post(body string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	answer, err := b.poster.Post(ctx, webhook.Callback{
		Command: webhook.SessionEventCommand, ClientIP: "127.0.0.1", Platform: "Web", Body: []byte(body),
	})
	b.check(err)
	if !answer.Acknowledged() {
		b.t.Fatalf("bridgetest: the webhook answered %d %s", answer.HTTPStatus, answer.Text)
	}
}

// concurrency is how many sessions are played at once.
const concurrency = 256

// Play posts whole made-up sessions to the webhook, many at once, some fifteen events each: chatbots, queues, agents,
// ratings and every type of message. When it returns, all events are in the journal. The sessions of each call are new,
// and the same in each run of the test.
func (b *Bridge) Play(sessions int) {
	b.t.Helper()
	b.played++
	summary, err := player.New(player.Config{
		Poster: b.poster, Seed: b.played, Sessions: uint64(sessions), Concurrency: concurrency,
		Timeout: patience, RetryFor: patience, // a post whose answer was lost is posted again, and stored once
	}).Run(context.Background())
	b.check(err)
	if summary.Unacknowledged > 0 {
		b.t.Fatalf("bridgetest: the webhook did not take %d callbacks: %v", summary.Unacknowledged, summary.Failures)
	}
}

// Events returns all events in the journal, in order: what a consumer of everything must have seen.
func (b *Bridge) Events() []*deskbridgev1.SessionEvent {
	b.t.Helper()
	var events []*deskbridgev1.SessionEvent
	b.direct(func(ctx context.Context, c *client.Client) error {
		for event, err := range c.Subscribe(ctx, &deskbridgev1.SubscribeRequest{
			Start: &deskbridgev1.SubscribeRequest_StartPosition{
				StartPosition: deskbridgev1.StartPosition_START_POSITION_EARLIEST,
			},
			StopWhenCaughtUp: true,
		}) {
			if err != nil {
				return err
			}
			events = append(events, event)
		}
		return nil
	})
	return events
}

// Journal says where the journal begins and ends: its epoch and its cursors.
func (b *Bridge) Journal() *deskbridgev1.GetJournalInfoResponse {
	b.t.Helper()
	var info *deskbridgev1.GetJournalInfoResponse
	b.direct(func(ctx context.Context, c *client.Client) (err error) {
		service := deskbridgev1.NewSessionEventServiceClient(c)
		info, err = service.GetJournalInfo(ctx, &deskbridgev1.GetJournalInfoRequest{})
		return err
	})
	return info
}

// direct calls the bridge past the proxy.
func (b *Bridge) direct(call func(context.Context, *client.Client) error) {
	b.t.Helper()
	config := b.caller
	config.Address = b.address(&b.grpcAddr)()
	c, err := client.New(config)
	b.check(err)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err = call(ctx, c)
	_ = c.Close()
	b.check(err)
}
