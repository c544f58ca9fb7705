package callback

import "strings"

// CommandSessionEvent is the command of the callbacks that become events.
const CommandSessionEvent = "Desk.SessionEventNotify"

// CommandKind says what a CallbackCommand asks of its receiver.
type CommandKind int

const (
	// Notification wants no more than an OK. It is also the kind of every command that is not known.
	Notification CommandKind = iota
	// SessionEvent is Desk.SessionEventNotify.
	SessionEvent
	// NeedsAnswer waits for content in the answer, where a plain OK would silently be a wrong one.
	NeedsAnswer
)

func (k CommandKind) String() string {
	switch k {
	case SessionEvent:
		return "session_event"
	case NeedsAnswer:
		return "needs_answer"
	default:
		return "notification"
	}
}

// KindOf tells the kind of a CallbackCommand. Desk.SessionEventNotify must be spelled exactly. The commands that need
// an answer are recognised without regard to case, as the vendor itself writes both "Chatbot." and "ChatBot.": the
// worst that a false match can do is a FAIL where nobody reads it.
func KindOf(command string) CommandKind {
	if command == CommandSessionEvent {
		return SessionEvent
	}
	switch strings.ToLower(command) {
	case "chatbot.interfaceinvocation",
		"chatbot.onassignhuman",
		"chatbot.onassignagent",
		"chatbot.onc2csignalmessage",
		"bot.onc2cmessage":
		return NeedsAnswer
	}
	if _, name, ok := strings.Cut(command, "."); ok && asksBefore(name) {
		return NeedsAnswer
	}
	return Notification
}

// asksBefore reports whether a command asks for leave before something is done, such as C2C.CallbackBeforeSendMsg,
// Desk.CallbackBeforeIMContactUser and Sns.CallbackPrevFriendAdd do.
func asksBefore(name string) bool {
	return hasPrefixFold(name, "CallbackBefore") || hasPrefixFold(name, "CallbackPrev")
}

func hasPrefixFold(text, prefix string) bool {
	return len(text) >= len(prefix) && strings.EqualFold(text[:len(prefix)], prefix)
}
