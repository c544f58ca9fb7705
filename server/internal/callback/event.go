package callback

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

type event = deskbridgev1.SessionEvent

var eventFields = []field[event]{
	stringField("AgentId", func(m *event) **string { return &m.AgentId }),
	stringField("CallbackCommand", func(m *event) **string { return &m.CallbackCommand }),
	stringField("ChannelType", func(m *event) **string { return &m.ChannelName }),
	stringField("ClientUserId", func(m *event) **string { return &m.ClientUserId }),
	stringField("CloudCustomData", func(m *event) **string { return &m.CloudCustomData }),
	stringField("CustomerServiceId", func(m *event) **string { return &m.CustomerServiceId }),
	stringField("Event", func(m *event) **string { return &m.TypeName }),
	timeField("EventTime", 1000, func(m *event) **timestamppb.Timestamp { return &m.EventTime }),
	stringField("ForwardFromAgentId", func(m *event) **string { return &m.ForwardFromAgentId }),
	{
		name:   "IsContactUser",
		decode: func(d *decoder, m *event) bool { return d.boolValue(&m.IsContactUser) },
		encode: func(w *writer, m *event) { w.boolMember("IsContactUser", m.IsContactUser) },
	},
	{
		name:   "MsgBody",
		decode: func(d *decoder, m *event) bool { return decodeList(d, &d.message(m).Elements, elementEntry()) },
		encode: func(w *writer, m *event) { encodeList(w, "MsgBody", m.GetMessage().GetElements(), elementEntry()) },
	},
	{
		name:   "MsgKey",
		decode: func(d *decoder, m *event) bool { return d.stringValue(&d.message(m).Key) },
		encode: encodeMessageKey,
	},
	{
		name:   "SatisfactionSelected",
		decode: func(d *decoder, m *event) bool { return d.int32Value(&m.SatisfactionRating) },
		encode: func(w *writer, m *event) { w.int32Member("SatisfactionSelected", m.SatisfactionRating) },
	},
	stringField("SessionId", func(m *event) **string { return &m.SessionId }),
}

// message returns the event's message.
func (d *decoder) message(m *event) *deskbridgev1.Message {
	m.Message = &d.frame.message
	return m.Message
}

func encodeMessageKey(w *writer, m *event) {
	if m.Message != nil {
		w.stringMember("MsgKey", m.Message.Key)
	}
}

// event reads the whole text.
func (d *decoder) event() *event {
	d.space()
	if d.peek() != '{' {
		d.fail("want an object")
		return nil
	}
	d.frame = new(frame)
	d.strings, d.times = d.frame.strings[:0], d.frame.times[:0]
	m := &d.frame.event
	l := decodeObject(d, m, eventFields)
	d.end()
	m.ExtraJson = d.take(l)
	m.Type = TypeOf(m.GetTypeName())
	m.Channel = ChannelOf(m.GetChannelName())
	if m.Message != nil && m.Message.Key == nil && len(m.Message.Elements) == 0 {
		m.Message = nil
	}
	return m
}

// event writes the whole body; of an event that is nil, that of an empty one.
func (w *writer) event(m *event) {
	if m == nil {
		m = new(event)
	}
	encodeObject(w, m, eventFields, m.GetExtraJson())
}
