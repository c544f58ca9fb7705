package simulate

import (
	"bytes"
	"encoding/json"
	"time"
)

// Callback is one callback of a session.
type Callback struct {
	RequestID, ClientIP, Platform string

	body *body
}

// SessionID is the session it is of.
func (c *Callback) SessionID() string { return c.body.SessionID }

// Event is the vendor's name of what happened.
func (c *Callback) Event() string { return c.body.Event }

// Body returns the JSON that the vendor would post had the event happened at that time.
func (c *Callback) Body(at time.Time) ([]byte, error) {
	timed := *c.body
	timed.EventTime = at.UnixMilli()
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // the vendor doesn't either: addresses arrive with a plain &
	if err := encoder.Encode(timed); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(text.Bytes(), []byte{'\n'}), nil
}

// body has the members in the vendor's spelling and order. Which event carries which is not documented: here only the
// ones that have something to say, but for CloudCustomData, which the vendor's samples have empty too.
type body struct {
	CallbackCommand      string    `json:"CallbackCommand"`
	SessionID            string    `json:"SessionId"`
	Event                string    `json:"Event"`
	EventTime            int64     `json:"EventTime"`
	ChannelType          string    `json:"ChannelType"`
	ClientUserID         string    `json:"ClientUserId"`
	CustomerServiceID    string    `json:"CustomerServiceId"`
	AgentID              *string   `json:"AgentId,omitempty"`
	MsgKey               string    `json:"MsgKey,omitempty"`
	MsgBody              []element `json:"MsgBody,omitempty"`
	CloudCustomData      *string   `json:"CloudCustomData,omitempty"`
	IsContactUser        bool      `json:"IsContactUser"`
	SatisfactionSelected *int      `json:"SatisfactionSelected,omitempty"`
	ForwardFromAgentID   *string   `json:"ForwardFromAgentId,omitempty"`
}

// element is one part of a message.
type element struct {
	MsgType    string `json:"MsgType"`
	MsgContent fields `json:"MsgContent"`
}

// fields are an element's content, by the vendor's names.
type fields map[string]any
