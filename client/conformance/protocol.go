// Package conformance holds the clients of all languages to one list of scenarios. Each language has a program that
// subscribes with its client and reports what it sees; the tests here, behind the build tag "clients", start the
// programs against a real bridge, make trouble through package bridgetest, and compare. A new client conforms when its
// row of the table is full:
//
//	make build-clients
//	go test -tags clients ./client/conformance -v -clients python,python-sync -run TestConformance
//
// The package itself holds only the protocol between the two. It imports nothing of the bridge.
//
// # The protocol
//
// One process is one subscription, which may have another beside it. It reads a Command from its standard input: one
// line of JSON. Everything after that line means "cancel", as does the end of the input: the program then cancels the
// subscription in the way of its language. It writes a Line of JSON for each event before the loop's body ends, and for
// each change of state that the client's hooks tell, each flushed at once. The last line has an End. After it the
// program closes the client and returns from its main function: it must not call exit, because a thread, task or handle
// that the client leaves behind is what keeps the process alive and fails the scenario.
//
// Within a line, 64-bit numbers are decimal strings, and what is empty may be left out. SubscribeRequest and
// SessionEvent are in protobuf's JSON. Codes and reasons have the names of the enumerations, reasons without
// ERROR_REASON_: "UNSPECIFIED" where an End's error is not from the bridge.
//
// The Command's cursor file is the path for the client's file cursor store. With a limit of n, the program leaves the
// loop when it is handed event number n. That event is not consumed: the same cursor file delivers it again.
package conformance

import "encoding/json"

// Command is what a program is to do.
type Command struct {
	// Address of the bridge, on loopback, in plain text.
	Address string `json:"address"`
	// Token to send with each call; none when empty.
	Token string `json:"token"`
	// Request is a SubscribeRequest.
	Request json.RawMessage `json:"request"`
	// Beside is the SubscribeRequest of a second subscription of the same client, which begins with the first and ends
	// with it. Nothing of it is printed. There is none when it is left out.
	Beside json.RawMessage `json:"beside,omitempty"`
	// CursorFile is the path for a file cursor store; no store when empty.
	CursorFile string `json:"cursorFile"`
	// Limit is the number of the event to leave the loop with; 0 is never.
	Limit int `json:"limit"`
	// DelayMS is how long the loop's body takes for each event, in milliseconds.
	DelayMS int64 `json:"delayMs"`
	// Print is PrintEvents or PrintPositions.
	Print string `json:"print"`
}

// How to print events: whole, or only where they are.
const (
	PrintEvents    = "events"
	PrintPositions = "positions"
)

// Line is one thing that a program reports: an event as Event or At, a state, or the end.
type Line struct {
	// Event is a SessionEvent.
	Event json.RawMessage `json:"event,omitempty"`
	// At is an event's position and id.
	At *[2]string `json:"at,omitempty"`

	// State is one of the states below, with its members.
	State string `json:"state,omitempty"`
	// Epoch and Start come with StateConnected, Head with that, StateCaughtUp and StateFellBehind.
	Epoch string `json:"epoch,omitempty"`
	Start uint64 `json:"start,omitempty,string"`
	Head  uint64 `json:"head,omitempty,string"`
	// Lag comes with StateFellBehind and StateHeartbeat.
	Lag uint64 `json:"lag,omitempty,string"`
	// Reason comes with StateReconnecting; empty when the cause is not from the bridge.
	Reason string `json:"reason,omitempty"`
	// DelayMS comes with StateDraining and StateReconnecting.
	DelayMS int64 `json:"delayMs,omitempty"`

	End *End `json:"end,omitempty"`
}

// What a client's hooks tell.
const (
	StateConnected    = "connected"
	StateCaughtUp     = "caught_up"
	StateFellBehind   = "fell_behind"
	StateHeartbeat    = "heartbeat"
	StateDraining     = "draining"
	StateReconnecting = "reconnecting"
)

// End says how the subscription ended.
type End struct {
	// Cause is one of the causes below. The other members come with CauseError.
	Cause          string `json:"cause"`
	Reason         string `json:"reason,omitempty"`
	Code           string `json:"code,omitempty"`
	Field          string `json:"field,omitempty"`
	EarliestCursor string `json:"earliestCursor,omitempty"`
	LatestCursor   string `json:"latestCursor,omitempty"`
	Message        string `json:"message,omitempty"`
}

// Why a subscription ended.
const (
	// CauseFinished: it has caught up and was to stop there.
	CauseFinished = "finished"
	// CauseCancelled: by the word "cancel" or the end of the input.
	CauseCancelled = "cancelled"
	// CauseLeft: by the limit.
	CauseLeft = "left"
	// CauseError: with an error that the application has to decide.
	CauseError = "error"
)
