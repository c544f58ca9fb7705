// Package simulate makes up sessions as the vendor would report them: a chatbot, a queue, agents, forwards, ratings and
// every kind of end, with all types of message. It is pure: the same seed gives the same callbacks, but for the time
// that each is told to have happened at.
package simulate

import (
	"math/rand/v2"
)

// Session returns the callbacks of one session, in order. Sessions of one seed differ by their index.
func Session(seed, index uint64) []Callback {
	s := newStory(rand.New(rand.NewPCG(seed, index))) //nolint:gosec // repeatable, not secret
	s.tell()
	return s.callbacks
}

// story is a session while it is made up.
type story struct {
	random    *rand.Rand
	session   string
	user      string
	account   string
	channel   string
	platform  string
	address   string
	agent     string
	contacted bool
	messages  int
	callbacks []Callback
}

func newStory(random *rand.Rand) *story {
	s := &story{random: random}
	s.session = s.uuid()
	s.user = s.userID()
	s.account = pick(s, "@desk_shop", "@desk_shop", "@desk_travel", "@customer_service_account")
	s.address = s.ipAddress()
	s.contacted = s.chance(5)
	switch s.random.IntN(4) {
	case 0:
		s.channel, s.platform = pick(s, "Web(H5)", "Web (H5)"), "Web"
	case 1:
		s.channel, s.platform = "SDK", pick(s, "iPad", "Windows", "Mac")
	default:
		s.channel, s.platform = "SDK", pick(s, "iOS", "Android")
	}
	return s
}

func (s *story) tell() {
	s.happens("SessionBegin")
	if s.contacted {
		s.meetAgent()
		return
	}
	s.talkToBot()
	if s.chance(20) {
		s.rate(40)
		s.end("SessionUserEnd", "SessionUserTimeoutEnd", "SessionEnd")
		return
	}
	s.queue()
}

func (s *story) talkToBot() {
	s.botSays()
	for range 1 + s.random.IntN(3) {
		s.userSays("ChatBot.UserSendMsg")
		s.botSays()
	}
}

func (s *story) queue() {
	s.happens("TransferringToHuman")
	if s.chance(12) {
		s.happens("NoAgentOnline")
		s.happens("SessionEnd")
		return
	}
	if s.chance(70) {
		s.happens("TransferringToHumanWait")
		if s.chance(15) {
			s.end("SessionPendingAutoFinishEnd")
			return
		}
	}
	s.meetAgent()
}

func (s *story) meetAgent() {
	s.agent = s.agentID()
	s.happens("TransferToHumanSuccess")
	s.talkToAgent()
	for s.chance(25) {
		s.forward()
		s.talkToAgent()
	}
	s.rate(60)
	s.end("SessionUserEnd", "SessionAgentEnd", "SessionAgentEnd", "SessionUserTimeoutEnd", "SessionAgentTimeoutEnd")
}

func (s *story) talkToAgent() {
	for range 1 + s.random.IntN(5) {
		s.userSays("Human.UserSendMsg")
		if s.chance(85) {
			s.agentSays()
		}
	}
}

func (s *story) forward() {
	from := s.agent
	for s.agent == from {
		s.agent = s.agentID()
	}
	s.happens("AgentForward").ForwardFromAgentID = &from
}

func (s *story) rate(percent int) {
	if !s.chance(percent) {
		return
	}
	stars := pick(s, 1, 2, 3, 4, 4, 5, 5, 5)
	s.happens("SatisfactionSelected").SatisfactionSelected = &stars
}

// end ends the session in one of the ways. Whether SessionEnd follows the others is not documented: here it does in
// half of the sessions.
func (s *story) end(ways ...string) {
	way := pick(s, ways...)
	s.happens(way)
	if way != "SessionEnd" && s.chance(50) {
		s.happens("SessionEnd")
	}
}

func (s *story) userSays(event string) {
	s.says(event, s.userMessage(), s.platform, s.address)
}

func (s *story) botSays() {
	s.says("ChatBot.RobotSendMsg", s.botMessage(), "RESTAPI", "127.0.0.1")
}

func (s *story) agentSays() {
	s.says("Human.AgentSendMsg", s.agentMessage(), "Web", "198.51.100.7")
}

func (s *story) says(event string, message []element, platform, address string) {
	body := s.happens(event)
	body.MsgKey = s.messageKey()
	body.MsgBody = message
	body.CloudCustomData = new(s.customData())
	last := &s.callbacks[len(s.callbacks)-1]
	last.Platform, last.ClientIP = platform, address
}

// happens adds an event. The returned body can be completed.
func (s *story) happens(event string) *body {
	b := &body{
		CallbackCommand:   "Desk.SessionEventNotify",
		SessionID:         s.session,
		Event:             event,
		ChannelType:       s.channel,
		ClientUserID:      s.user,
		CustomerServiceID: s.account,
		IsContactUser:     s.contacted,
	}
	if s.agent != "" {
		b.AgentID = new(s.agent)
	}
	s.callbacks = append(s.callbacks, Callback{
		RequestID: s.uuid(), Platform: s.platform, ClientIP: s.address, body: b,
	})
	return b
}

// chance is true in percent of 100 cases.
func (s *story) chance(percent int) bool { return s.random.IntN(100) < percent }

func pick[T any](s *story, values ...T) T { return values[s.random.IntN(len(values))] }
