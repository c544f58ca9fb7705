package server_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

var streamSeed = flag.Uint64("stream.seed", 0, "seed of the drawn stream tests; 0 draws one and prints it")

// drawnSeed is printed with every failure: go test -stream.seed repeats what was drawn.
func drawnSeed(t *testing.T) uint64 {
	t.Helper()
	seed := *streamSeed
	if seed == 0 {
		seed = rand.Uint64() | 1
	}
	t.Logf("repeat with -stream.seed=%d", seed)
	return seed
}

// What drawn callbacks and drawn filters have in common.
var (
	trafficTypes = []string{
		"SessionBegin", "ChatBot.UserSendMsg", "ChatBot.RobotSendMsg", "Human.UserSendMsg", "Human.AgentSendMsg",
		"SatisfactionSelected", "SessionEnd", "Brand.NewEvent",
	}
	trafficChannels = []string{"SDK", "Web (H5)", "Pigeon"}
)

const (
	trafficSessions = 20
	trafficUsers    = 10
	trafficAgents   = 5
)

func pick[T any](rng *rand.Rand, all []T) T { return all[rng.IntN(len(all))] }

// drawCallback is a callback whose MsgKey is the given one.
func drawCallback(rng *rand.Rand, session, key string) string {
	body, err := json.Marshal(map[string]any{
		"CallbackCommand":      "Desk.SessionEventNotify",
		"SessionId":            session,
		"Event":                pick(rng, trafficTypes),
		"EventTime":            time.Now().UnixMilli(),
		"ChannelType":          pick(rng, trafficChannels),
		"ClientUserId":         fmt.Sprintf("u%d", rng.IntN(trafficUsers)),
		"AgentId":              fmt.Sprintf("a%d", rng.IntN(trafficAgents)),
		"CustomerServiceId":    fmt.Sprintf("@c%d", rng.IntN(3)),
		"SatisfactionSelected": rng.IntN(6),
		"MsgKey":               key,
		"MsgBody": []any{map[string]any{
			"MsgType":    "TIMTextElem",
			"MsgContent": map[string]any{"Text": strings.Repeat("line\n", rng.IntN(40))},
		}},
	})
	if err != nil {
		panic(err)
	}
	return string(body)
}

// tryPost is post for goroutines: an error says that the callback was not acknowledged.
func (b *bridge) tryPost(ctx context.Context, body string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost,
		b.url("/v1/callbacks/desk?"+documentQuery), strings.NewReader(body))
	if err != nil {
		return err
	}
	response, err := b.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && (response.StatusCode != http.StatusOK || string(text) != okAnswer) {
		err = fmt.Errorf("%d %s", response.StatusCode, text)
	}
	return err
}

// sendCallbacks posts callbacks one after the other and returns the keys of those that were acknowledged, in order.
func (b *bridge) sendCallbacks(ctx context.Context, seed, writer uint64, count int, pause time.Duration) ([]string, error) {
	rng := rand.New(rand.NewPCG(seed, writer))
	var keys []string
	for n := range count {
		key := fmt.Sprintf("%d-%d", writer, n)
		session := fmt.Sprintf("s%d", rng.IntN(trafficSessions))
		if err := b.tryPost(ctx, drawCallback(rng, session, key)); err != nil {
			return keys, err
		}
		keys = append(keys, key)
		time.Sleep(pause)
	}
	return keys, nil
}

// expressions are drawn together with what they mean.
var expressions = []struct {
	text  string
	means func(e *deskbridgev1.SessionEvent) bool
}{
	{
		`event.satisfaction_rating > 0 && event.satisfaction_rating <= 2`,
		func(e *deskbridgev1.SessionEvent) bool {
			return e.GetSatisfactionRating() > 0 && e.GetSatisfactionRating() <= 2
		},
	},
	{
		`event.session_id.endsWith("3")`,
		func(e *deskbridgev1.SessionEvent) bool { return strings.HasSuffix(e.GetSessionId(), "3") },
	},
	{
		`size(event.message.elements) == 1 && event.type_name in ["Human.UserSendMsg", "SessionEnd"]`,
		func(e *deskbridgev1.SessionEvent) bool {
			return len(e.GetMessage().GetElements()) == 1 &&
				slices.Contains([]string{"Human.UserSendMsg", "SessionEnd"}, e.GetTypeName())
		},
	},
}

// drawnFilter is a filter, and a second opinion on what it selects.
type drawnFilter struct {
	*deskbridgev1.EventFilter
	expression func(e *deskbridgev1.SessionEvent) bool
}

func drawFilter(rng *rand.Rand) drawnFilter {
	f := drawnFilter{EventFilter: &deskbridgev1.EventFilter{}}
	some := func(format string, n int) (values []string) {
		for range 1 + rng.IntN(3) {
			values = append(values, fmt.Sprintf(format, rng.IntN(n)))
		}
		return values
	}
	fields := []func(){
		func() {
			f.TypeNames = append(f.TypeNames, pick(rng, []string{"Human.*", "ChatBot.*", "S*", "Brand.*"}))
		},
		func() { f.TypeNames = append(f.TypeNames, pick(rng, trafficTypes)) },
		func() {
			f.Types = append(f.Types, pick(rng, []deskbridgev1.SessionEventType{
				deskbridgev1.SessionEventType_SESSION_EVENT_TYPE_SESSION_END,
				deskbridgev1.SessionEventType_SESSION_EVENT_TYPE_HUMAN_AGENT_SEND_MSG,
			}))
		},
		func() { f.SessionIds = some("s%d", trafficSessions) },
		func() { f.ClientUserIds = some("u%d", trafficUsers) },
		func() { f.AgentIds = some("a%d", trafficAgents) },
		func() { f.CustomerServiceIds = some("@c%d", 3) },
		func() { f.Channels = []deskbridgev1.Channel{deskbridgev1.Channel_CHANNEL_WEB} },
		func() { f.SdkAppIds = []string{testApp} },
		func() { f.SessionIds = []string{"no such session"} },
		func() {
			drawn := pick(rng, expressions)
			f.Expression, f.expression = drawn.text, drawn.means
		},
	}
	for range rng.IntN(4) {
		pick(rng, fields)()
	}
	return f
}

func (f drawnFilter) selects(e *deskbridgev1.SessionEvent) bool {
	return f.selectsType(e) &&
		allows(f.GetSessionIds(), e.GetSessionId()) &&
		allows(f.GetClientUserIds(), e.GetClientUserId()) &&
		allows(f.GetAgentIds(), e.GetAgentId()) &&
		allows(f.GetCustomerServiceIds(), e.GetCustomerServiceId()) &&
		allows(f.GetChannels(), e.GetChannel()) &&
		allows(f.GetSdkAppIds(), e.GetSdkAppId()) &&
		(f.expression == nil || f.expression(e))
}

func allows[T comparable](values []T, value T) bool {
	return len(values) == 0 || slices.Contains(values, value)
}

func (f drawnFilter) selectsType(e *deskbridgev1.SessionEvent) bool {
	if len(f.GetTypes())+len(f.GetTypeNames()) == 0 || slices.Contains(f.GetTypes(), e.GetType()) {
		return true
	}
	return slices.ContainsFunc(f.GetTypeNames(), func(name string) bool {
		prefix, open := strings.CutSuffix(name, "*")
		return name == e.GetTypeName() || open && strings.HasPrefix(e.GetTypeName(), prefix)
	})
}

// resources is what a process holds.
type resources struct {
	goroutines int
	heap       uint64
}

func measure() resources {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return resources{runtime.NumGoroutine(), stats.HeapAlloc}
}

// mustReturnTo waits until the bridge holds no stream, and the process no more than it did. The heap may hold what the
// window of recent events does, and some that is reused.
func (b *bridge) mustReturnTo(before resources) {
	b.t.Helper()
	const spareGoroutines, spareHeap = 10, 24 << 20
	b.eventually("the streams are gone", func() bool { return b.FanoutStats().Subscriptions == 0 })
	b.eventually("their goroutines are gone", func() bool {
		b.http.CloseIdleConnections()
		return runtime.NumGoroutine() <= before.goroutines+spareGoroutines
	})
	stats := b.FanoutStats()
	if stats.Replaying+stats.Waiting > 0 {
		b.t.Errorf("still reading the journal: %+v", stats)
	}
	after := measure()
	if limit := before.heap + uint64(stats.WindowBytes) + spareHeap; after.heap > limit {
		b.t.Errorf("the heap has %d bytes, had %d, and may have %d", after.heap, before.heap, limit)
	}
}

func (b *bridge) eventually(what string, holds func() bool) {
	b.t.Helper()
	eventually(b.t, what, testDeadline, holds)
}

func eventually(t *testing.T, what string, within time.Duration, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", within, what)
		}
	}
}
