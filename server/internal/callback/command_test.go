package callback

import "testing"

func TestKindOf(t *testing.T) {
	t.Parallel()
	rows := map[CommandKind][]string{
		SessionEvent: {"Desk.SessionEventNotify"},
		NeedsAnswer: {
			"Chatbot.InterfaceInvocation", "ChatBot.InterfaceInvocation", "ChatBot.OnAssignHuman", "Chatbot.OnAssignHuman",
			"ChatBot.OnAssignAgent", "Desk.CallbackBeforeIMContactUser", "desk.callbackbeforeimcontactuser",
			"Chatbot.OnC2CSignalMessage", "Bot.OnC2CMessage", "C2C.CallbackBeforeSendMsg", "Group.CallbackBeforeSendMsg",
			"Group.CallbackBeforeCreateGroup", "Sns.CallbackPrevFriendAdd", "c2c.CALLBACKBEFORESENDMSG",
		},
		Notification: {
			"", "Member.EventNotify", "State.StateChange", "C2C.CallbackAfterSendMsg", "Group.CallbackAfterSendMsg",
			"C2C.CallbackAfterModifyMsg", "Desk.Unheard", "desk.sessioneventnotify", "Desk.SessionEventNotify ",
			"CallbackBefore", "C2C.CallbackBefor", "Chatbot", ".", "Chatbot.OnAssignHumanToo",
		},
	}
	for want, commands := range rows {
		for _, command := range commands {
			if got := KindOf(command); got != want {
				t.Errorf("KindOf(%q) = %v, want %v", command, got, want)
			}
		}
	}
}

func TestCommand(t *testing.T) {
	t.Parallel()
	rows := map[string]string{
		`{}`:                       "",
		`{"CallbackCommand":null}`: "",
		`{"CallbackCommand":7}`:    "",
		`{"CallbackCommand":""}`:   "",
		`{"CallbackCommand":"Desk.SessionEventNotify"}`:                       "Desk.SessionEventNotify",
		`{"CallbackCommand":"Desk.SessionEventNotify","A":1}`:                 "Desk.SessionEventNotify",
		`{"CallbackCommand":"desk.sessioneventnotify"}`:                       "desk.sessioneventnotify",
		`{"A":1,"CallbackCommand":"Member.EventNotify","Z":{}}`:               "Member.EventNotify",
		`{"A":{"CallbackCommand":"x"},"CallbackCommand":"Chatbot.\u0041\"b"}`: `Chatbot.A"b`,
	}
	for body, want := range rows {
		if got := Command(mustDecode(t, body)); got != want {
			t.Errorf("Command(%s) = %q, want %q", body, got, want)
		}
	}
}
