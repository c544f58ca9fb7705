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
