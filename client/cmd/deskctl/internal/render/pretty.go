package render

import (
	"bytes"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/fatih/color"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

const (
	timeLayout = "2006-01-02 15:04:05.000"
	// sessionWidth shows the first group of a UUID, which tells the sessions of a day apart.
	sessionWidth = 8
	// typeWidth fits the longest documented type.
	typeWidth = len("SessionPendingAutoFinishEnd")
)

// pretty prints a line an event: time, session, type, who, content.
type pretty struct {
	zone                          *time.Location
	faint, session, who, rating   *color.Color
	begin, bot, human, wait, ends *color.Color
}

func newPretty(colour bool, zone *time.Location) *pretty {
	paint := func(attributes ...color.Attribute) *color.Color {
		c := color.New(attributes...)
		if colour {
			c.EnableColor()
		} else {
			c.DisableColor()
		}
		return c
	}
	return &pretty{
		zone:  zone,
		faint: paint(color.Faint), session: paint(color.FgCyan), who: paint(color.Bold), rating: paint(color.FgYellow),
		begin: paint(color.FgGreen), bot: paint(color.FgBlue), human: paint(color.FgMagenta),
		wait: paint(color.FgYellow), ends: paint(color.FgRed),
	}
}

func (p *pretty) format(event *deskbridgev1.SessionEvent) ([]byte, error) {
	typeName := typeName(event)
	columns := []string{
		p.faint.Sprint(p.clock(event)),
		p.session.Sprint(pad(shorten(Escape(event.GetSessionId()), sessionWidth), sessionWidth)),
		p.typeColour(event.GetType(), typeName).Sprint(pad(typeName, typeWidth)),
		p.who.Sprint(who(event)),
	}
	if content := Content(event); content != "" {
		columns = append(columns, content)
	}
	var line bytes.Buffer
	line.WriteString(strings.Join(columns, "  "))
	line.WriteByte('\n')
	return line.Bytes(), nil
}

// clock is the vendor's time of the event, or ours where it gave none.
func (p *pretty) clock(event *deskbridgev1.SessionEvent) string {
	at := event.GetEventTime()
	if at == nil {
		at = event.GetReceiveTime()
	}
	return at.AsTime().In(p.zone).Format(timeLayout)
}

func typeName(event *deskbridgev1.SessionEvent) string {
	if name := event.GetTypeName(); name != "" {
		return Escape(name)
	}
	return "(no type)"
}

func (p *pretty) typeColour(kind deskbridgev1.SessionEventType, name string) *color.Color {
	switch {
	case strings.HasPrefix(name, "ChatBot."):
		return p.bot
	case strings.HasPrefix(name, "Human."):
		return p.human
	case strings.HasSuffix(name, "End"), kind == deskbridgev1.SessionEventType_SESSION_EVENT_TYPE_NO_AGENT_ONLINE:
		return p.ends
	case strings.HasPrefix(name, "TransferringToHuman"):
		return p.wait
	case kind == deskbridgev1.SessionEventType_SESSION_EVENT_TYPE_SATISFACTION_SELECTED:
		return p.rating
	default:
		return p.begin
	}
}

// who says who did it to whom.
func who(event *deskbridgev1.SessionEvent) string {
	user, agent := party(event.GetClientUserId(), "user"), party(event.GetAgentId(), "agent")
	switch event.GetType() {
	case deskbridgev1.SessionEventType_SESSION_EVENT_TYPE_CHAT_BOT_USER_SEND_MSG:
		return user + " → bot"
	case deskbridgev1.SessionEventType_SESSION_EVENT_TYPE_CHAT_BOT_ROBOT_SEND_MSG:
		return "bot → " + user
	case deskbridgev1.SessionEventType_SESSION_EVENT_TYPE_HUMAN_USER_SEND_MSG:
		return user + " → " + agent
	case deskbridgev1.SessionEventType_SESSION_EVENT_TYPE_HUMAN_AGENT_SEND_MSG:
		return agent + " → " + user
	case deskbridgev1.SessionEventType_SESSION_EVENT_TYPE_AGENT_FORWARD:
		return user + " with " + party(event.GetForwardFromAgentId(), "agent") + " → " + agent
	default:
		if event.GetAgentId() != "" {
			return user + " with " + agent
		}
		return user
	}
}

func party(id, otherwise string) string {
	if id == "" {
		return otherwise
	}
	return Escape(id)
}

func shorten(text string, width int) string {
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	return string([]rune(text)[:width])
}

func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(text)))
}
