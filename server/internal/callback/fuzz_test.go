package callback

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzDecode checks that exactly the JSON objects in UTF-8 decode, and that each of them comes back whole.
func FuzzDecode(f *testing.F) {
	documented, err := os.ReadFile("testdata/documented.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(documented)
	for _, s := range samples(f) {
		f.Add([]byte(s.Body))
	}
	f.Add([]byte(relays(3)))
	f.Fuzz(func(t *testing.T, body []byte) {
		_, err := Decode(body)
		if err == nil {
			checkLossless(t, body)
		}
		var refused *DecodeError
		if err != nil && (!errors.As(err, &refused) || refused.Offset < 0 || refused.Offset > int64(len(body))) {
			t.Fatalf("error %#v", err)
		}
		text := strings.TrimPrefix(string(body), ByteOrderMark)
		object := json.Valid([]byte(text)) && utf8.ValidString(text) && strings.TrimLeft(text, " \t\r\n")[0] == '{'
		if object != (err == nil) && strings.Count(text, "{")+strings.Count(text, "[") <= maxDepth {
			t.Fatalf("Decode: %v, but JSON object: %v", err, object)
		}
	})
}

// FuzzEncode checks that malformed JSON text in an event, which some other program may have made, is refused.
func FuzzEncode(f *testing.F) {
	f.Add(`{"a":1}`, `{}`, `[]`)
	f.Add(`{"CallbackCommand":null,"MsgBody":{"b":1,"a":2}}`, `1`, `null`)
	f.Add(`[]`, `{`, `}`)
	f.Fuzz(func(t *testing.T, extra, raw, content string) {
		event := mustDecode(t, `{"MsgBody":[{"MsgContent":{}},0],"AgentId":"a"}`)
		event.ExtraJson = extra
		event.Message.Elements[0].GetOther().ContentJson = content
		event.Message.Elements[1].RawJson = raw
		body, err := Encode(event)
		if err == nil && utf8.ValidString(extra+raw+content) && !json.Valid(body) {
			t.Fatalf("Encode = %q", body)
		}
		ID(Query{}, event)
	})
}
