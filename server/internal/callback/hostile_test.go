package callback

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name, body string
		offset     int64
	}{
		{"nothing", "", 0},
		{"white space", " \n", 2},
		{"a string", `"secret"`, 0},
		{"an array", `[{}]`, 0},
		{"null", `null`, 0},
		{"two byte order marks", "\ufeff\ufeff{}", 3},
		{"another object behind", `{} {}`, 3},
		{"a comma behind", `{},`, 2},
		{"cut in a string", `{"AgentId":"secret`, 18},
		{"cut in an escape", `{"AgentId":"\u00`, 12},
		{"cut behind a name", `{"AgentId"`, 10},
		{"cut behind a value", `{"AgentId":"a"`, 14},
		{"cut in an array", `{"MsgBody":[{}`, 14},
		{"no comma", `{"a":1 "b":2}`, 7},
		{"comma at the end", `{"a":1,}`, 7},
		{"comma at the end of an array", `{"a":[1,]}`, 8},
		{"no quotes", `{a:1}`, 1},
		{"single quotes", `{'a':1}`, 1},
		{"comment", `{/**/}`, 1},
		{"no colon", `{"a" 1}`, 5},
		{"no value", `{"a":}`, 5},
		{"leading zero", `{"EventTime":01}`, 13},
		{"plus sign", `{"EventTime":+1}`, 13},
		{"minus alone", `{"EventTime":-}`, 13},
		{"no digits in the fraction", `{"EventTime":1.}`, 13},
		{"no digits in the exponent", `{"EventTime":1e+}`, 13},
		{"NaN", `{"EventTime":NaN}`, 13},
		{"True", `{"IsContactUser":True}`, 17},
		{"malformed escape", `{"AgentId":"secret\x"}`, 18},
		{"control character", "{\"AgentId\":\"secret\n\"}", 18},
		{"NUL byte", "{\x00}", 1},
		{"invalid UTF-8", "{\"AgentId\":\"secret\xff\"}", 18},
		{"surrogate in UTF-8", "{\"AgentId\":\"\xed\xa0\x80\"}", 12},
		{"bad value in a known member of another kind", `{"MsgBody":nul}`, 11},
		{"bad value in content before its type", `{"MsgBody":[{"MsgContent":{"a":tru}}]}`, 31},
		{"nested too deep", strings.Repeat(`{"a":`, maxDepth+1), maxDepth * 5},
		{"arrays nested too deep", `{"a":` + strings.Repeat(`[`, maxDepth), 5 + maxDepth - 1},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			event, err := Decode([]byte(row.body))
			var refused *DecodeError
			if !errors.As(err, &refused) || event != nil {
				t.Fatalf("Decode = %v, %v; want a DecodeError", event, err)
			}
			if refused.Offset != row.offset {
				t.Errorf("%v, want byte %d", err, row.offset)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error shows the body's text: %v", err)
			}
		})
	}
}

func TestDeepestNesting(t *testing.T) {
	t.Parallel()
	open, shut := strings.Repeat(`{"a":[`, maxDepth/2), strings.Repeat(`]}`, maxDepth/2)
	checkLossless(t, []byte(open+shut))
}

// relays returns a body with relays nested that deep. The type stands behind the content in every other one.
func relays(depth int) string {
	body := `[{"MsgType":"TIMTextElem","MsgContent":{"Text":"innermost"}}]`
	for i := range depth {
		content := `"MsgContent":{"MsgList":[{"MsgBody":` + body + `}]}`
		if i%2 == 0 {
			body = `[{"MsgType":"TIMRelayElem",` + content + `}]`
		} else {
			body = `[{` + content + `,"MsgType":"TIMRelayElem"}]`
		}
	}
	return `{"MsgBody":` + body + `}`
}

func TestRelayDepth(t *testing.T) {
	t.Parallel()
	for _, depth := range []int{1, maxRelays - 1, maxRelays, maxRelays + 1, 3 * maxRelays, 100} {
		t.Run(fmt.Sprint(depth), func(t *testing.T) {
			t.Parallel()
			elements := checkLossless(t, []byte(relays(depth))).GetMessage().GetElements()
			var holder *deskbridgev1.RelayedMessage
			level := 0
			for len(elements) == 1 && elements[0].GetRelay() != nil {
				level++
				holder = elements[0].GetRelay().GetMessages()[0]
				elements = holder.GetElements()
			}
			if want := min(depth, maxRelays); level != want {
				t.Errorf("typed to level %d, want %d", level, want)
			}
			if kept := strings.HasPrefix(holder.GetExtraJson(), `{"MsgBody":`); kept != (depth >= maxRelays) {
				t.Errorf("extra_json of the innermost = %.40q", holder.GetExtraJson())
			}
		})
	}
}

// hostileBodies are made to cost much more than their size, which is about the given one.
func hostileBodies(size int) map[string]string {
	fill := func(head, unit, tail string) string {
		n := (size - len(head) - len(tail)) / len(unit)
		return head + strings.Repeat(unit, n)[:n*len(unit)-1] + tail // without the last comma
	}
	wrap := func(times int, head, tail, inner string) string {
		return strings.Repeat(head, times) + inner + strings.Repeat(tail, times)
	}
	text := `"` + strings.Repeat("x", size*9/10) + `"`
	unordered := rand.New(rand.NewPCG(1, 2)).Perm(size / 11)
	var members strings.Builder
	for _, i := range unordered {
		fmt.Fprintf(&members, `"m%d":0,`, i)
	}
	relayed := `{"MsgType":"TIMFaceElem","MsgContent":{},"MsgType":"TIMRelayElem","MsgContent":{"MsgList":[{"MsgBody":[`
	return map[string]string{
		"text":                          `{"CloudCustomData":` + text + `}`,
		"escapes":                       fill(`{"CloudCustomData":"`, `\ud800`, `0"}`),
		"unknown text":                  `{"X":` + text + `}`,
		"same known member":             fill(`{`, `"AgentId":1,`, `}`),
		"same known member, off and on": fill(`{`, `"AgentId":1,"AgentId":"",`, `}`),
		"same unknown member":           fill(`{`, `"":0,`, `}`),
		"unknown members":               `{` + strings.TrimSuffix(members.String(), ",") + `}`,
		"unknown members deeper":        `{"X":[{` + strings.TrimSuffix(members.String(), ",") + `}]}`,
		"same body":                     fill(`{`, `"MsgBody":[{}],`, `}`),
		"same content":                  fill(`{"MsgBody":[{"MsgType":"TIMTextElem",`, `"MsgContent":{"Text":"a"},`, `}]}`),
		"entries":                       fill(`{"MsgBody":[`, `0,`, `]}`),
		"elements":                      fill(`{"MsgBody":[`, `{},`, `]}`),
		"renditions":                    fill(`{"MsgBody":[{"MsgType":"TIMImageElem","MsgContent":{"ImageInfoArray":[`, `{},`, `]}}]}`),
		"digest":                        fill(`{"MsgBody":[{"MsgType":"TIMRelayElem","MsgContent":{"AbstractList":[`, `"",`, `]}}]}`),
		"arrays":                        fill(`{"X":[`, `[],`, `]}`),
		"number":                        `{"EventTime":` + strings.Repeat("9", size) + `}`,
		"number with fraction":          `{"EventTime":1.` + strings.Repeat("0", size) + `1}`,
		"coordinate": `{"MsgBody":[{"MsgType":"TIMLocationElem","MsgContent":{"Latitude":0.` +
			strings.Repeat("1", size) + `}}]}`,
		"white space":             `{` + strings.Repeat(" ", size) + `}`,
		"unordered at each depth": `{"X":` + wrap(maxDepth-2, `{"b":`, `,"a":0}`, text) + `}`,
		"type changed at each relay": `{"MsgBody":[` + wrap(maxRelays+1, relayed, `]}]},"MsgType":"x","MsgType":"TIMRelayElem"}`,
			`{"MsgType":"TIMTextElem","MsgContent":{"Text":`+text+`}}`) + `]}`,
		"type behind at each relay": `{"MsgBody":[` + wrap(2*maxRelays, `{"MsgContent":{"MsgList":[{"MsgBody":[`,
			`]}]},"MsgType":"TIMRelayElem"}`, `{"MsgContent":{"Text":`+text+`},"MsgType":"TIMTextElem"}`) + `]}`,
		"entries in each relay": `{"MsgBody":[` + wrap(maxRelays-1, `{"MsgType":"TIMRelayElem","MsgContent":{"MsgList":[{"MsgBody":[`,
			`]}]}}`, strings.Repeat(`0,`, size/2)+`0`) + `]}`,
		"open braces":    strings.Repeat(`{"":`, size/4),
		"open brackets":  `{"":` + strings.Repeat(`[`, size),
		"open quotation": `{"` + strings.Repeat(`\\`, size/2),
	}
}

// TestHostileMemory bounds what decoding allocates in all, of which only a part is in use at any time.
func TestHostileMemory(t *testing.T) {
	const size, factor = 1 << 20, 48
	for name, body := range hostileBodies(size) {
		t.Run(name, func(t *testing.T) {
			data := []byte(body)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := Decode(data)
			runtime.ReadMemStats(&after)
			if strings.HasPrefix(name, "open ") == (err == nil) {
				t.Errorf("Decode: %v", err)
			}
			if used := after.TotalAlloc - before.TotalAlloc; used > factor*size {
				t.Errorf("decoding %d bytes allocates %d, want at most %d times the size", len(data), used, factor)
			}
		})
	}
}

// TestHostileLossless checks that also the limits lose nothing.
func TestHostileLossless(t *testing.T) {
	const size = 1 << 16
	for name, body := range hostileBodies(size) {
		if strings.HasPrefix(name, "open ") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkLossless(t, []byte(body))
		})
	}
}

// BenchmarkHostile shows the time for bodies of 1 MiB that are made to cost much.
func BenchmarkHostile(b *testing.B) {
	for name, body := range hostileBodies(1 << 20) {
		data := []byte(body)
		b.Run(strings.ReplaceAll(name, " ", "_"), func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				Decode(data) //nolint:errcheck // some of them are refused
			}
		})
	}
}
