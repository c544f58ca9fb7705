package callback

import (
	"slices"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// typeNames holds the wire name of each SessionEventType.
var typeNames = [...]string{
	deskbridgev1.SessionEventType_SESSION_EVENT_TYPE_SESSION_BEGIN:                   "SessionBegin",
	deskbridgev1.SessionEventType_SESSION_EVENT_TYPE_CHAT_BOT_USER_SEND_MSG:          "ChatBot.UserSendMsg",
	deskbridgev1.SessionEventType_SESSION_EVENT_TYPE_CHAT_BOT_ROBOT_SEND_MSG:         "ChatBot.RobotSendMsg",
	deskbridgev1.SessionEventType_SESSION_EVENT_TYPE_HUMAN_USER_SEND_MSG:             "Human.UserSendMsg",
	deskbridgev1.SessionEventType_SESSION_EVENT_TYPE_HUMAN_AGENT_SEND_MSG:            "Human.AgentSendMsg",
	deskbridgev1.SessionEventType_SESSION_EVENT_TYPE_TRANSFERRING_TO_HUMAN:           "TransferringToHuman",
	deskbridgev1.SessionEventType_SESSION_EVENT_TYPE_TRANSFERRING_TO_HUMAN_WAIT:      "TransferringToHumanWait",
	deskbridgev1.SessionEventType_SESSION_EVENT_TYPE_TRANSFER_TO_HUMAN_SUCCESS:       "TransferToHumanSuccess",
	deskbridgev1.SessionEventType_SESSION_EVENT_TYPE_NO_AGENT_ONLINE:                 "NoAgentOnline",
	deskbridgev1.SessionEventType_SESSION_EVENT_TYPE_AGENT_FORWARD:                   "AgentForward",
	deskbridgev1.SessionEventType_SESSION_EVENT_TYPE_SATISFACTION_SELECTED:           "SatisfactionSelected",
	deskbridgev1.SessionEventType_SESSION_EVENT_TYPE_SESSION_USER_END:                "SessionUserEnd",
	deskbridgev1.SessionEventType_SESSION_EVENT_TYPE_SESSION_AGENT_END:               "SessionAgentEnd",
	deskbridgev1.SessionEventType_SESSION_EVENT_TYPE_SESSION_USER_TIMEOUT_END:        "SessionUserTimeoutEnd",
	deskbridgev1.SessionEventType_SESSION_EVENT_TYPE_SESSION_AGENT_TIMEOUT_END:       "SessionAgentTimeoutEnd",
	deskbridgev1.SessionEventType_SESSION_EVENT_TYPE_SESSION_PENDING_AUTO_FINISH_END: "SessionPendingAutoFinishEnd",
	deskbridgev1.SessionEventType_SESSION_EVENT_TYPE_SESSION_END:                     "SessionEnd",
}

// TypeName returns the vendor's name of a type; "" for UNSPECIFIED and types that this contract does not know.
func TypeName(t deskbridgev1.SessionEventType) string {
	if t < 0 || int(t) >= len(typeNames) {
		return ""
	}
	return typeNames[t]
}

// TypeNames returns the names of the documented types, in the order of the enumeration.
func TypeNames() []string {
	return slices.Clone(typeNames[1:])
}

// TypeOf returns the type of that name, which is case-sensitive; UNSPECIFIED when it is not a documented one.
func TypeOf(name string) deskbridgev1.SessionEventType {
	for t, known := range typeNames {
		if known == name {
			return deskbridgev1.SessionEventType(t)
		}
	}
	return deskbridgev1.SessionEventType_SESSION_EVENT_TYPE_UNSPECIFIED
}

// ChannelOf returns the channel of that name. The vendor's pages spell the web channel in two ways, and which one
// arrives is not known: everything that begins like them is taken for it.
func ChannelOf(name string) deskbridgev1.Channel {
	switch {
	case name == "SDK":
		return deskbridgev1.Channel_CHANNEL_SDK
	case hasPrefixFold(name, "Web"):
		return deskbridgev1.Channel_CHANNEL_WEB
	}
	return deskbridgev1.Channel_CHANNEL_UNSPECIFIED
}
