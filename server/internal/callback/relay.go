package callback

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// maxRelays bounds how deep relayed messages are typed: protobuf runtimes refuse messages nested deeper than 100.
const maxRelays = 16

type (
	relay   = deskbridgev1.RelayElement
	relayed = deskbridgev1.RelayedMessage
)

var relayFields = []field[relay]{
	stringsField("AbstractList", func(m *relay) *[]string { return &m.Abstracts }),
	stringField("CompatibleText", func(m *relay) **string { return &m.CompatibleText }),
	stringField("JsonMsgKey", func(m *relay) **string { return &m.JsonMessageKey }),
	listField("MsgList", func(m *relay) *[]*relayed { return &m.Messages }, relayedEntry),
	intField("MsgNum", func(m *relay) **int64 { return &m.MessageCount }),
	stringField("Title", func(m *relay) **string { return &m.Title }),
}

var relayedFields = []field[relayed]{
	stringField("CloudCustomData", func(m *relayed) **string { return &m.CloudCustomData }),
	stringField("From_Account", func(m *relayed) **string { return &m.FromAccount }),
	stringField("GroupId", func(m *relayed) **string { return &m.GroupId }),
	{
		name:   "MsgBody",
		decode: decodeRelayedBody,
		encode: func(w *writer, m *relayed) { encodeList(w, "MsgBody", m.Elements, elementEntry()) },
	},
	intField("MsgRandom", func(m *relayed) **int64 { return &m.Random }),
	intField("MsgSeq", func(m *relayed) **int64 { return &m.Sequence }),
	timeField("MsgTimeStamp", 1, func(m *relayed) **timestamppb.Timestamp { return &m.SendTime }),
	stringField("To_Account", func(m *relayed) **string { return &m.ToAccount }),
}

func relayedEntry() entry[relayed] {
	return entry[relayed]{
		object: decodeRelayed,
		raw:    func(m *relayed) *string { return &m.RawJson },
		encode: func(w *writer, m *relayed) { encodeObject(w, m, relayedFields, m.GetExtraJson()) },
	}
}

func decodeRelayed(d *decoder, m *relayed) {
	d.relays++
	l := decodeObject(d, m, relayedFields)
	m.ExtraJson = d.take(l)
	d.relays--
}

func decodeRelayedBody(d *decoder, m *relayed) (exact bool) {
	return d.relays < maxRelays && decodeList(d, &m.Elements, elementEntry())
}
