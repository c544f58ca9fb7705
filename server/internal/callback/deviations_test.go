package callback

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/testing/protocmp"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// TestDeviations has a row for each way in which real callbacks leave the documented form.
func TestDeviations(t *testing.T) {
	t.Parallel()
	rows := []struct{ name, body, want string }{
		// Scalars.
		{
			"time as a string", `{"EventTime":"1670574414123"}`,
			`{"eventTime":"2022-12-09T08:26:54.123Z","extraJson":"{\"EventTime\":\"1670574414123\"}"}`,
		},
		{
			"time with a fraction of zero", `{"EventTime":1670574414123.0}`,
			`{"eventTime":"2022-12-09T08:26:54.123Z","extraJson":"{\"EventTime\":1670574414123.0}"}`,
		},
		{
			"time with an exponent", `{"EventTime":1.670574414123e12}`,
			`{"eventTime":"2022-12-09T08:26:54.123Z","extraJson":"{\"EventTime\":1.670574414123e12}"}`,
		},
		{
			"time with half a millisecond", `{"EventTime":1670574414123.5}`,
			`{"extraJson":"{\"EventTime\":1670574414123.5}"}`,
		},
		{"time zero", `{"EventTime":0}`, `{"eventTime":"1970-01-01T00:00:00Z"}`},
		{"time minus zero", `{"EventTime":-0}`, `{"eventTime":"1970-01-01T00:00:00Z","extraJson":"{\"EventTime\":-0}"}`},
		{"time before 1970", `{"EventTime":-1}`, `{"eventTime":"1969-12-31T23:59:59.999Z"}`},
		{"first time", `{"EventTime":-62135596800000}`, `{"eventTime":"0001-01-01T00:00:00Z"}`},
		{"time before the first", `{"EventTime":-62135596800001}`, `{"extraJson":"{\"EventTime\":-62135596800001}"}`},
		{"last time", `{"EventTime":253402300799999}`, `{"eventTime":"9999-12-31T23:59:59.999Z"}`},
		{"time behind the last", `{"EventTime":253402300800000}`, `{"extraJson":"{\"EventTime\":253402300800000}"}`},
		{
			"time beyond int64", `{"EventTime":18446744073709551616}`,
			`{"extraJson":"{\"EventTime\":18446744073709551616}"}`,
		},
		{"empty time", `{"EventTime":""}`, `{"extraJson":"{\"EventTime\":\"\"}"}`},
		{"time as an array", `{"EventTime":[1]}`, `{"extraJson":"{\"EventTime\":[1]}"}`},
		{
			"bool as a string", `{"IsContactUser":"true"}`,
			`{"isContactUser":true,"extraJson":"{\"IsContactUser\":\"true\"}"}`,
		},
		{
			"bool as a capitalised string", `{"IsContactUser":"False"}`,
			`{"isContactUser":false,"extraJson":"{\"IsContactUser\":\"False\"}"}`,
		},
		{"bool as 1", `{"IsContactUser":1}`, `{"isContactUser":true,"extraJson":"{\"IsContactUser\":1}"}`},
		{"bool as 0", `{"IsContactUser":0}`, `{"isContactUser":false,"extraJson":"{\"IsContactUser\":0}"}`},
		{"bool as 0 in a string", `{"IsContactUser":"0"}`, `{"isContactUser":false,"extraJson":"{\"IsContactUser\":\"0\"}"}`},
		{"bool as 2", `{"IsContactUser":2}`, `{"extraJson":"{\"IsContactUser\":2}"}`},
		{"bool as an object", `{"IsContactUser":{}}`, `{"extraJson":"{\"IsContactUser\":{}}"}`},
		{"bool null", `{"IsContactUser":null}`, `{"extraJson":"{\"IsContactUser\":null}"}`},
		{
			"rating as a string", `{"SatisfactionSelected":"4"}`,
			`{"satisfactionRating":4,"extraJson":"{\"SatisfactionSelected\":\"4\"}"}`,
		},
		{"rating out of the scale", `{"SatisfactionSelected":-7}`, `{"satisfactionRating":-7}`},
		{
			"rating beyond int32", `{"SatisfactionSelected":2147483648}`,
			`{"extraJson":"{\"SatisfactionSelected\":2147483648}"}`,
		},
		{"id as a number", `{"AgentId":3067}`, `{"agentId":"3067","extraJson":"{\"AgentId\":3067}"}`},
		{
			"id beyond 2^53", `{"SessionId":90071992547409931}`,
			`{"sessionId":"90071992547409931","extraJson":"{\"SessionId\":90071992547409931}"}`,
		},
		{"id as a bool", `{"AgentId":true}`, `{"extraJson":"{\"AgentId\":true}"}`},

		// Presence.
		{
			"null members", `{"SessionId":null,"EventTime":null,"MsgBody":null,"MsgKey":null}`,
			`{"extraJson":"{\"EventTime\":null,\"MsgBody\":null,\"MsgKey\":null,\"SessionId\":null}"}`,
		},
		{
			"empty members", `{"SessionId":"","AgentId":"","ForwardFromAgentId":"","MsgKey":"","IsContactUser":false}`,
			`{"sessionId":"","agentId":"","forwardFromAgentId":"","message":{"key":""},"isContactUser":false}`,
		},
		{"empty array", `{"MsgBody":[]}`, `{"extraJson":"{\"MsgBody\":[]}"}`},
		{"null command", `{"CallbackCommand":null}`, `{"extraJson":"{\"CallbackCommand\":null}"}`},
		{"command as a number", `{"CallbackCommand":7}`, `{"callbackCommand":"7","extraJson":"{\"CallbackCommand\":7}"}`},
		{"command with escapes", `{"CallbackCommand":"Chatbot.\u0041\"b"}`, `{"callbackCommand":"Chatbot.A\"b"}`},
		{"no command", `{ }`, `{}`},
		{
			"another command", `{"CallbackCommand":"Member.EventNotify"}`,
			`{"callbackCommand":"Member.EventNotify"}`,
		},

		// Names.
		{"unknown event", `{"Event":"Human.Recall"}`, `{"typeName":"Human.Recall"}`},
		{"event in another case", `{"Event":"sessionbegin"}`, `{"typeName":"sessionbegin"}`},
		{"event as a number", `{"Event":7}`, `{"typeName":"7","extraJson":"{\"Event\":7}"}`},
		{"web channel, some other spelling", `{"ChannelType":"web"}`, `{"channel":"CHANNEL_WEB","channelName":"web"}`},
		{"another channel", `{"ChannelType":"WhatsApp"}`, `{"channelName":"WhatsApp"}`},
		{"web channel, English page", `{"ChannelType":"Web (H5)"}`, `{"channel":"CHANNEL_WEB","channelName":"Web (H5)"}`},
		{"web channel, Chinese page", `{"ChannelType":"Web(H5)"}`, `{"channel":"CHANNEL_WEB","channelName":"Web(H5)"}`},
		{"unknown channel", `{"ChannelType":"Phone"}`, `{"channelName":"Phone"}`},
		{"member in another case", `{"sessionid":"s"}`, `{"extraJson":"{\"sessionid\":\"s\"}"}`},
		{"member's name with an escape", `{"\u0053essionId":"s"}`, `{"sessionId":"s"}`},
		{
			"unknown members", `{"Z":{"b":1,"a":[ 1 , {} ]},"A":1e400,"":null}`,
			`{"extraJson":"{\"\":null,\"A\":1e400,\"Z\":{\"a\":[1,{}],\"b\":1}}"}`,
		},

		// Text.
		{"NUL", `{"CloudCustomData":"a\u0000b"}`, `{"cloudCustomData":"a\u0000b"}`},
		{"surrogate pair", `{"CloudCustomData":"\ud83d\ude00"}`, `{"cloudCustomData":"😀"}`},
		{
			"lone surrogate", `{"CloudCustomData":"\u0041\uD83dx"}`,
			`{"cloudCustomData":"A�x","extraJson":"{\"CloudCustomData\":\"A\\ud83dx\"}"}`,
		},
		{
			"surrogates in the wrong order", `{"CloudCustomData":"\ude00\ud83d"}`,
			`{"cloudCustomData":"��","extraJson":"{\"CloudCustomData\":\"\\ude00\\ud83d\"}"}`,
		},
		{
			"unescaped noncharacters and separators", "{\"CloudCustomData\":\"\uffff\u2028\ufffd&<>\"}",
			"{\"cloudCustomData\":\"\uffff\u2028\ufffd&<>\"}",
		},
		{"JSON in a string", `{"CloudCustomData":"{\"a\":\"\\\"\"}"}`, `{"cloudCustomData":"{\"a\":\"\\\"\"}"}`},

		// Form.
		{
			"byte order mark and white space", "\ufeff \r\n\t{ \"AgentId\" :\t\"a\" } \n",
			`{"agentId":"a"}`,
		},
		{"duplicate, last exact", `{"AgentId":1,"AgentId":"a"}`, `{"agentId":"a"}`},
		{"duplicate, last not exact", `{"AgentId":"a","AgentId":null}`, `{"extraJson":"{\"AgentId\":null}"}`},
		{
			"duplicate, in and out of exactness", `{"AgentId":1,"AgentId":"a","AgentId":2}`,
			`{"agentId":"2","extraJson":"{\"AgentId\":2}"}`,
		},
		{"duplicate unknown member", `{"X":1,"Y":{"a":1,"a":2},"X":2}`, `{"extraJson":"{\"X\":2,\"Y\":{\"a\":2}}"}`},
		{
			"duplicate event", `{"Event":"SessionBegin","Event":"SessionEnd"}`,
			`{"type":"SESSION_EVENT_TYPE_SESSION_END","typeName":"SessionEnd"}`,
		},
		{
			"duplicate body", `{"MsgBody":[{"MsgType":"A"}],"MsgBody":[{"MsgType":"B"}]}`,
			`{"message":{"elements":[{"typeName":"B"}]}}`,
		},
		{"duplicate body, then none", `{"MsgBody":[{"MsgType":"A"}],"MsgBody":null}`, `{"extraJson":"{\"MsgBody\":null}"}`},
		{"duplicate command, last is ours", `{"CallbackCommand":1,"CallbackCommand":"Desk.SessionEventNotify"}`, `{"callbackCommand":"Desk.SessionEventNotify"}`},

		// Elements.
		{
			"body is an object", `{"MsgBody":{"MsgType":"TIMTextElem"}}`,
			`{"extraJson":"{\"MsgBody\":{\"MsgType\":\"TIMTextElem\"}}"}`,
		},
		{
			"entries that are no objects", `{"MsgBody":[null,1,"a",[ 2 ]]}`,
			`{"message":{"elements":[{"rawJson":"null"},{"rawJson":"1"},{"rawJson":"\"a\""},{"rawJson":"[2]"}]}}`,
		},
		{"empty element", `{"MsgBody":[{}]}`, `{"message":{"elements":[{}]}}`},
		elementRow("unknown type", `{"MsgType":"TIMStickerElem","MsgContent":{"b":1,"a":2}}`,
			`{"typeName":"TIMStickerElem","other":{"contentJson":"{\"a\":2,\"b\":1}"}}`),
		elementRow("no type", `{"MsgContent":{"Text":"a"}}`, `{"other":{"contentJson":"{\"Text\":\"a\"}"}}`),
		elementRow("type as a number", `{"MsgType":1,"MsgContent":"a"}`,
			`{"typeName":"1","other":{"contentJson":"\"a\""},"extraJson":"{\"MsgType\":1}"}`),
		elementRow("content is no object", `{"MsgType":"TIMTextElem","MsgContent":"a"}`,
			`{"typeName":"TIMTextElem","other":{"contentJson":"\"a\""}}`),
		elementRow("content is null", `{"MsgType":"TIMTextElem","MsgContent":null}`,
			`{"typeName":"TIMTextElem","extraJson":"{\"MsgContent\":null}"}`),
		elementRow("content is empty", `{"MsgType":"TIMTextElem","MsgContent":{}}`, `{"typeName":"TIMTextElem","text":{}}`),
		elementRow("content before its type", `{"MsgContent":{"Text":"a"},"MsgType":"TIMTextElem"}`,
			`{"typeName":"TIMTextElem","text":{"text":"a"}}`),
		elementRow("type changes behind the content", `{"MsgType":"TIMFaceElem","MsgContent":{"Text":"a"},"MsgType":"TIMTextElem"}`,
			`{"typeName":"TIMTextElem","text":{"text":"a"}}`),
		elementRow("content twice", `{"MsgType":"TIMTextElem","MsgContent":null,"MsgContent":{"Text":"a"}}`,
			`{"typeName":"TIMTextElem","text":{"text":"a"}}`),
		elementRow("content twice, then null", `{"MsgType":"TIMTextElem","MsgContent":{"Text":"a"},"MsgContent":null}`,
			`{"typeName":"TIMTextElem","extraJson":"{\"MsgContent\":null}"}`),
		elementRow("unknown members at each level", `{"MsgType":"TIMTextElem","x":1,"MsgContent":{"Text":"a","y":2}}`,
			`{"typeName":"TIMTextElem","text":{"text":"a","extraJson":"{\"y\":2}"},"extraJson":"{\"x\":1}"}`),
		elementRow("17-digit coordinates",
			`{"MsgType":"TIMLocationElem","MsgContent":{"Latitude":29.340656774469956,"Longitude":116.77497920478824}}`,
			`{"typeName":"TIMLocationElem","location":{"latitude":29.340656774469956,"longitude":116.77497920478824}}`),
		elementRow("coordinates beyond a float64",
			`{"MsgType":"TIMLocationElem","MsgContent":{"Latitude":29.34065677446995612,"Longitude":1e999}}`,
			`{"typeName":"TIMLocationElem","location":{"latitude":29.340656774469956,
			"extraJson":"{\"Latitude\":29.34065677446995612,\"Longitude\":1e999}"}}`),
		elementRow("coordinates in other forms",
			`{"MsgType":"TIMLocationElem","MsgContent":{"Latitude":"29.5","Longitude":-0.10}}`,
			`{"typeName":"TIMLocationElem","location":{"latitude":29.5,"longitude":-0.1,
			"extraJson":"{\"Latitude\":\"29.5\",\"Longitude\":-0.10}"}}`),
		elementRow("coordinates that are no numbers",
			`{"MsgType":"TIMLocationElem","MsgContent":{"Latitude":"NaN","Longitude":-0}}`,
			`{"typeName":"TIMLocationElem","location":{"longitude":-0,"extraJson":"{\"Latitude\":\"NaN\",\"Longitude\":-0}"}}`),
		elementRow("sound without UUID, numbers as strings", `{"MsgType":"TIMSoundElem","MsgContent":{"Size":"62351","Second":1}}`,
			`{"typeName":"TIMSoundElem","sound":{"size":"62351","seconds":"1","extraJson":"{\"Size\":\"62351\"}"}}`),
		elementRow("lower-case file name", `{"MsgType":"TIMFileElem","MsgContent":{"fileName":"a"}}`,
			`{"typeName":"TIMFileElem","file":{"name":"a","extraJson":"{\"fileName\":\"a\"}"}}`),
		elementRow("both file names", `{"MsgType":"TIMFileElem","MsgContent":{"fileName":"a","FileName":"b"}}`,
			`{"typeName":"TIMFileElem","file":{"name":"b","extraJson":"{\"FileName\":\"b\",\"fileName\":\"a\"}"}}`),
		elementRow("both file names, the same", `{"MsgType":"TIMFileElem","MsgContent":{"FileName":"a","fileName":"a"}}`,
			`{"typeName":"TIMFileElem","file":{"name":"a","extraJson":"{\"FileName\":\"a\",\"fileName\":\"a\"}"}}`),
		elementRow("both file names, one null", `{"MsgType":"TIMFileElem","MsgContent":{"FileName":null,"fileName":"a"}}`,
			`{"typeName":"TIMFileElem","file":{"name":"a","extraJson":"{\"FileName\":null,\"fileName\":\"a\"}"}}`),
		elementRow("lower-case file name is no string", `{"MsgType":"TIMFileElem","MsgContent":{"fileName":{}}}`,
			`{"typeName":"TIMFileElem","file":{"extraJson":"{\"fileName\":{}}"}}`),
		elementRow("zeros and addresses with &",
			`{"MsgType":"TIMImageElem","MsgContent":{"ImageInfoArray":[{"Size":0,"URL":"http://a/?x&y/"},7]}}`,
			`{"typeName":"TIMImageElem","image":{"renditions":[{"size":"0","url":"http://a/?x&y/"},{"rawJson":"7"}]}}`),
		elementRow("renditions empty", `{"MsgType":"TIMImageElem","MsgContent":{"ImageInfoArray":[]}}`,
			`{"typeName":"TIMImageElem","image":{"extraJson":"{\"ImageInfoArray\":[]}"}}`),
		elementRow("big random and sequence",
			`{"MsgType":"TIMRelayElem","MsgContent":{"MsgList":[{"MsgRandom":74363827834904,"MsgSeq":4294967295}]}}`,
			`{"typeName":"TIMRelayElem","relay":{"messages":[{"random":"74363827834904","sequence":"4294967295"}]}}`),
		elementRow("time of a relayed message out of range",
			`{"MsgType":"TIMRelayElem","MsgContent":{"MsgList":[{"MsgTimeStamp":1735689600123},{"MsgTimeStamp":"5"}]}}`,
			`{"typeName":"TIMRelayElem","relay":{"messages":[{"extraJson":"{\"MsgTimeStamp\":1735689600123}"},
			{"sendTime":"1970-01-01T00:00:05Z","extraJson":"{\"MsgTimeStamp\":\"5\"}"}]}}`),
		elementRow("digest with other entries", `{"MsgType":"TIMRelayElem","MsgContent":{"AbstractList":["a",null,"b"]}}`,
			`{"typeName":"TIMRelayElem","relay":{"abstracts":["a","b"],"extraJson":"{\"AbstractList\":[\"a\",null,\"b\"]}"}}`),
		elementRow("digest is a string", `{"MsgType":"TIMRelayElem","MsgContent":{"AbstractList":"a","MsgList":"b"}}`,
			`{"typeName":"TIMRelayElem","relay":{"extraJson":"{\"AbstractList\":\"a\",\"MsgList\":\"b\"}"}}`),
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			want := new(deskbridgev1.SessionEvent)
			if err := protojson.Unmarshal([]byte(row.want), want); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, checkLossless(t, []byte(row.body)), protocmp.Transform()); diff != "" {
				t.Errorf("event differs (-want +got):\n%s", diff)
			}
		})
	}
}

// elementRow makes a row of one element.
func elementRow(name, element, want string) struct{ name, body, want string } {
	return struct{ name, body, want string }{
		"element: " + name, `{"MsgBody":[` + element + `]}`, `{"message":{"elements":[` + want + `]}}`,
	}
}
