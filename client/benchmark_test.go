package client_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/deskbridge/deskbridge/client"
	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// endless sends batches of realistic events until the reader has enough.
func endless(size int) script {
	return func(_ *subscribeRequest, stream serverStream) error {
		if err := stream.Send(opened(0, 1)); err != nil {
			return err
		}
		events := make([]*deskbridgev1.SessionEvent, size)
		for i := range events {
			events[i] = realisticEvent()
		}
		for position := uint64(0); ; {
			for _, event := range events { // Send has encoded them when it returns
				position++
				event.Position = position
			}
			response := &subscribeResponse{
				Cursor: at(position),
				Kind:   &deskbridgev1.SubscribeResponse_Events{Events: &deskbridgev1.EventBatch{Events: events}},
			}
			if err := stream.Send(response); err != nil {
				return err
			}
		}
	}
}

func realisticEvent() *deskbridgev1.SessionEvent {
	return &deskbridgev1.SessionEvent{
		Id:       "5f3a9c01-6a1e-4f0b-9b53-0d2f6b9a41c7",
		Type:     deskbridgev1.SessionEventType_SESSION_EVENT_TYPE_HUMAN_USER_SEND_MSG,
		TypeName: new("Human.UserSendMsg"), SessionId: new("7d9f2c31-6a1e-4f0b-9b53-0d2f6b9a41c7"),
		EventTime: &timestamppb.Timestamp{Seconds: 1735689600}, ReceiveTime: &timestamppb.Timestamp{Seconds: 1735689600},
		SdkAppId: "1600012345", ClientUserId: new("buyer_0042"), AgentId: new("amy@example.com"),
		Message: &deskbridgev1.Message{
			Key: new("152_3998651049_1735689601"),
			Elements: []*deskbridgev1.MessageElement{{
				TypeName: new("TIMTextElem"),
				Content: &deskbridgev1.MessageElement_Text{
					Text: &deskbridgev1.TextElement{Text: new("Where is my parcel 8831?")},
				},
			}},
		},
	}
}

// What the client costs beside the generated stub, at several sizes of batches.
func BenchmarkRead(b *testing.B) {
	for _, size := range []int{1, 10, 100} {
		listener := listen(b, "127.0.0.1:0")
		serve(b, &scriptedBridge{scripts: []script{endless(size)}}, listener)
		address := listener.Addr().String()
		b.Run(fmt.Sprintf("stub/batch=%d", size), func(b *testing.B) { readWithStub(b, address) })
		b.Run(fmt.Sprintf("client/batch=%d", size), func(b *testing.B) { readWithClient(b, address) })
		b.Run(fmt.Sprintf("client+store/batch=%d", size), func(b *testing.B) {
			store := client.NewFileCursorStore(filepath.Join(b.TempDir(), "cursor"))
			readWithClient(b, address, client.WithCursorStore(store))
		})
	}
}

func readWithStub(b *testing.B, address string) {
	c := newClient(b, client.Config{Address: address})
	stream, err := deskbridgev1.NewSessionEventServiceClient(c).Subscribe(b.Context(), &subscribeRequest{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; {
		response, err := stream.Recv()
		if err != nil {
			b.Fatal(err)
		}
		n += len(response.GetEvents().GetEvents())
	}
}

func readWithClient(b *testing.B, address string, options ...client.SubscribeOption) {
	c := newClient(b, client.Config{Address: address})
	b.ReportAllocs()
	b.ResetTimer()
	n := 0
	for _, err := range c.Subscribe(b.Context(), &subscribeRequest{}, options...) {
		if err != nil {
			b.Fatal(err)
		}
		if n++; n >= b.N {
			break
		}
	}
}
