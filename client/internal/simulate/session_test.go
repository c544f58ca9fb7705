package simulate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The vendor's spelling, written here once more: a generator that misspells must not be its own judge.
var (
	events = strings.Fields(`SessionBegin ChatBot.UserSendMsg ChatBot.RobotSendMsg Human.UserSendMsg Human.AgentSendMsg
		TransferringToHuman TransferringToHumanWait TransferToHumanSuccess NoAgentOnline AgentForward SatisfactionSelected
		SessionUserEnd SessionAgentEnd SessionUserTimeoutEnd SessionAgentTimeoutEnd SessionPendingAutoFinishEnd SessionEnd`)

	members = map[string]string{
		"CallbackCommand": "string", "SessionId": "string", "Event": "string", "EventTime": "int", "ChannelType": "string",
		"ClientUserId": "string", "CustomerServiceId": "string", "AgentId": "string", "MsgKey": "string", "MsgBody": "array",
		"CloudCustomData": "string", "IsContactUser": "bool", "SatisfactionSelected": "int", "ForwardFromAgentId": "string",
	}

	contents = map[string]map[string]string{
		"TIMTextElem":     {"Text": "string"},
		"TIMLocationElem": {"Desc": "string", "Latitude": "number", "Longitude": "number"},
		"TIMFaceElem":     {"Index": "int", "Data": "string"},
		"TIMCustomElem":   {"Data": "string", "Desc": "string", "Ext": "string", "Sound": "string"},
		"TIMSoundElem":    {"Url": "string", "UUID": "string", "Size": "int", "Second": "int", "Download_Flag": "int"},
		"TIMImageElem":    {"UUID": "string", "ImageFormat": "int", "ImageInfoArray": "array"},
		"TIMFileElem": {
			"Url": "string", "UUID": "string", "FileSize": "int", "FileName": "string", "Download_Flag": "int",
		},
		"TIMVideoFileElem": {
			"VideoUrl": "string", "VideoUUID": "string", "VideoFormat": "string", "VideoSize": "int", "VideoSecond": "int",
			"VideoDownloadFlag": "int", "ThumbUrl": "string", "ThumbUUID": "string", "ThumbFormat": "string",
			"ThumbSize": "int", "ThumbWidth": "int", "ThumbHeight": "int", "ThumbDownloadFlag": "int",
		},
		"TIMRelayElem": {
			"Title": "string", "MsgNum": "int", "CompatibleText": "string", "AbstractList": "array", "MsgList": "array",
			"JsonMsgKey": "string",
		},
	}
	rendition = map[string]string{"Type": "int", "Size": "int", "Width": "int", "Height": "int", "URL": "string"}
	relayed   = map[string]string{
		"From_Account": "string", "To_Account": "string", "MsgSeq": "int", "MsgRandom": "int", "MsgTimeStamp": "int",
		"MsgBody": "array", "CloudCustomData": "string",
	}
)

const sessions = 200

var moment = time.UnixMilli(1_735_689_600_123)

func decode(t *testing.T, callback Callback) map[string]any {
	t.Helper()
	text, err := callback.Body(moment)
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var decoded map[string]any
	if err := decoder.Decode(&decoded); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	if _, err := decoder.Token(); err != io.EOF {
		t.Fatalf("more than one value in %s", text)
	}
	return decoded
}

func kindOf(value any) string {
	switch v := value.(type) {
	case string:
		return "string"
	case bool:
		return "bool"
	case []any:
		return "array"
	case json.Number:
		if _, err := v.Int64(); err == nil {
			return "int"
		}
		return "number"
	default:
		return fmt.Sprintf("%T", value)
	}
}

// checkMembers reports members that the vendor spells or types in another way. Integers are numbers.
func checkMembers(t *testing.T, where string, object map[string]any, want map[string]string) {
	t.Helper()
	for name, value := range object {
		if got := kindOf(value); got != want[name] && (got != "int" || want[name] != "number") {
			t.Errorf("%s: %s is a %s, want %q", where, name, got, want[name])
		}
	}
}

func TestSessionsHaveTheVendorsForm(t *testing.T) {
	t.Parallel()
	for index := range uint64(sessions) {
		for _, callback := range Session(1, index) {
			decoded := decode(t, callback)
			checkMembers(t, callback.Event(), decoded, members)
			if decoded["CallbackCommand"] != "Desk.SessionEventNotify" || decoded["EventTime"] != json.Number("1735689600123") {
				t.Errorf("%s: %v at %v", callback.Event(), decoded["CallbackCommand"], decoded["EventTime"])
			}
			checkElements(t, decoded["MsgBody"])
		}
	}
}

func checkElements(t *testing.T, list any) {
	t.Helper()
	elements, _ := list.([]any)
	for _, e := range elements {
		element := e.(map[string]any)
		kind := element["MsgType"].(string)
		content := element["MsgContent"].(map[string]any)
		checkMembers(t, kind, content, contents[kind])
		checkNested(t, content)
		if data, ok := content["Data"].(string); ok && kind == "TIMCustomElem" && !json.Valid([]byte(data)) {
			t.Errorf("the payload is not JSON: %s", data)
		}
	}
}

func checkNested(t *testing.T, content map[string]any) {
	t.Helper()
	images, _ := content["ImageInfoArray"].([]any)
	for _, image := range images {
		checkMembers(t, "rendition", image.(map[string]any), rendition)
	}
	messages, _ := content["MsgList"].([]any)
	for _, message := range messages {
		checkMembers(t, "relayed message", message.(map[string]any), relayed)
		checkElements(t, message.(map[string]any)["MsgBody"])
	}
}

func TestSessionsHaveEverything(t *testing.T) {
	t.Parallel()
	seenEvents, seenElements, seenSources := map[string]int{}, map[string]int{}, map[string]int{}
	for index := range uint64(sessions) {
		for _, callback := range Session(1, index) {
			seenEvents[callback.Event()]++
			for _, element := range callback.body.MsgBody {
				seenElements[element.MsgType]++
				if element.MsgType == "TIMCustomElem" {
					seenSources[source(t, element)]++
				}
			}
		}
	}
	if diff := cmp.Diff(slices.Sorted(slices.Values(events)), slices.Sorted(maps.Keys(seenEvents))); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(contents)), slices.Sorted(maps.Keys(seenElements))); diff != "" {
		t.Errorf("elements (-want +got):\n%s", diff)
	}
	want := []string{`"15"`, `"28"`, `"29"`, `22`, `30`, `31`, `9`}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(seenSources))); diff != "" {
		t.Errorf("payloads of Desk, by src (-want +got):\n%s", diff)
	}
}

func source(t *testing.T, element element) string {
	t.Helper()
	var payload struct {
		Source json.RawMessage `json:"src"`
	}
	if err := json.Unmarshal([]byte(element.MsgContent["Data"].(string)), &payload); err != nil {
		t.Fatal(err)
	}
	return string(payload.Source)
}

// Each session tells a story that can happen.
func TestSessionsMakeSense(t *testing.T) {
	t.Parallel()
	requestIDs, sessionIDs := map[string]bool{}, map[string]bool{}
	for index := range uint64(sessions) {
		callbacks := Session(1, index)
		if sessionIDs[callbacks[0].SessionID()] {
			t.Errorf("session id %s comes twice", callbacks[0].SessionID())
		}
		sessionIDs[callbacks[0].SessionID()] = true
		if first := callbacks[0].Event(); first != "SessionBegin" {
			t.Errorf("begins with %s", first)
		}
		if last := callbacks[len(callbacks)-1].Event(); !strings.HasSuffix(last, "End") {
			t.Errorf("ends with %s", last)
		}
		for i, callback := range callbacks {
			checkStep(t, callback, i < len(callbacks)-2)
			if requestIDs[callback.RequestID] || callback.SessionID() != callbacks[0].SessionID() {
				t.Errorf("RequestID %s of session %s", callback.RequestID, callback.SessionID())
			}
			requestIDs[callback.RequestID] = true
		}
	}
}

func checkStep(t *testing.T, callback Callback, early bool) {
	t.Helper()
	b, event := callback.body, callback.Event()
	human := strings.HasPrefix(event, "Human.") || event == "TransferToHumanSuccess" || event == "AgentForward"
	if human && b.AgentID == nil {
		t.Errorf("%s has no agent", event)
	}
	if (event == "AgentForward") != (b.ForwardFromAgentID != nil) {
		t.Errorf("%s: forwarded from %v", event, b.ForwardFromAgentID)
	}
	if event == "AgentForward" && *b.ForwardFromAgentID == *b.AgentID {
		t.Errorf("%s forwards to themselves", *b.AgentID)
	}
	if (event == "SatisfactionSelected") != (b.SatisfactionSelected != nil) {
		t.Errorf("%s: rated %v", event, b.SatisfactionSelected)
	}
	if strings.HasSuffix(event, "SendMsg") != (len(b.MsgBody) > 0 && b.MsgKey != "" && b.CloudCustomData != nil) {
		t.Errorf("%s: message %q of %d elements", event, b.MsgKey, len(b.MsgBody))
	}
	if early && strings.HasSuffix(event, "End") {
		t.Errorf("%s, and the session goes on", event)
	}
}

func TestSameSeedSameSession(t *testing.T) {
	t.Parallel()
	render := func(seed, index uint64) string {
		var all strings.Builder
		for _, callback := range Session(seed, index) {
			text, err := callback.Body(moment)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintln(&all, callback.RequestID, callback.ClientIP, callback.Platform, string(text))
		}
		return all.String()
	}
	for index := range uint64(sessions) {
		first, second := render(5, index), render(5, index)
		if first != second {
			t.Fatalf("session %d differs from itself", index)
		}
	}
	if render(5, 0) == render(6, 0) || render(5, 0) == render(5, 1) {
		t.Error("another seed or index gives the same session")
	}
}
