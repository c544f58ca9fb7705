package gateway

import (
	"net/http"
	"net/url"
	"testing"

	"google.golang.org/protobuf/proto"
)

// FuzzSubscribeRequest reads any query, and any cursor of a browser: what is taken can be sent on.
func FuzzSubscribeRequest(f *testing.F) {
	beStrictOnce()
	for _, query := range []string{
		"", "filter.types=1&filter.session_ids=a&filter.session_ids=b", "heartbeat_interval=5s&read_mask=sessionId,message.key",
		"start_time=2026-01-02T03:04:05Z", "after_cursor=e:1&stop_when_caught_up=true", "filter.expression=event.type+%3D%3D+1",
		"filter.session_ids=%ff", "read_mask=%ff", "name=%zz", "filter[session_ids]=a", "filter.types=NO_SUCH", "unknown=1",
	} {
		f.Add(query, "e:1")
	}
	f.Fuzz(func(t *testing.T, query, cursor string) {
		r := &http.Request{URL: &url.URL{RawQuery: query}, Header: http.Header{lastEventID: {cursor}}}
		if !isText(r) {
			return
		}
		request, err := subscribeRequest(r)
		if err != nil {
			return
		}
		if _, err := proto.Marshal(request); err != nil {
			t.Errorf("taken, but can't be sent: %v", err)
		}
	})
}
