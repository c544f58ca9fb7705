//go:build clients

package conformance_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"google.golang.org/grpc/codes"

	"github.com/deskbridge/deskbridge/client"
	"github.com/deskbridge/deskbridge/client/bridgetest"
	"github.com/deskbridge/deskbridge/client/conformance"
	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
	"github.com/deskbridge/deskbridge/server"
)

func errorScenarios() []scenario {
	return append([]scenario{
		{"cursor of a foreign epoch", foreignEpoch},
		{"cursor in the future", cursorInFuture},
		{"malformed cursor", refused(
			func(*stage, *bridgetest.Bridge) *deskbridgev1.SubscribeRequest { return afterCursor("nonsense") },
			conformance.End{Reason: "CURSOR_MALFORMED", Code: "INVALID_ARGUMENT", Field: "after_cursor"},
		)},
		{"invalid filter", refused(
			func(*stage, *bridgetest.Bridge) *deskbridgev1.SubscribeRequest {
				request := fromEarliest()
				request.Filter = &deskbridgev1.EventFilter{Expression: "event.no_such_field > 3"}
				return request
			},
			conformance.End{Reason: "FILTER_INVALID", Code: "INVALID_ARGUMENT", Field: "filter.expression"},
		)},
		{"bearer token", bearerToken},
		{"final error: permission denied", deprived("{tokens: [{sha256: %x}], admin: true}", "PERMISSION_DENIED")},
		{"final error: unauthenticated", deprived("{certificates: [%x], admin: true}", "UNAUTHENTICATED")},
	}, finalScenarios()...)
}

// refused wants a request to end with an error, and not with the same request again.
func refused(
	request func(*stage, *bridgetest.Bridge) *deskbridgev1.SubscribeRequest, want conformance.End,
) func(*stage) {
	return func(s *stage) {
		bridge := s.played(1)
		c := s.subscribe(subscription{address: bridge.Addr(), request: request(s, bridge)})
		end, seen := c.end(conformance.CauseError)
		if end.Reason != want.Reason || end.Code != want.Code || end.Field != want.Field {
			s.Errorf("ended with %+v, want %+v", end, want)
		}
		if end.Message == "" {
			s.Error("the error says nothing")
		}
		if seen.count(conformance.StateReconnecting) > 0 {
			s.Errorf("reconnected: %+v", seen.states)
		}
	}
}

// foreignEpoch loses the journal under a subscription.
func foreignEpoch(s *stage) {
	bridge := s.played(1)
	c := s.subscribe(subscription{address: bridge.Addr(), request: impatient()})
	want := bridge.Events()
	c.expect(want)
	c.awaitState(conformance.StateHeartbeat, 1)
	bridge.LoseJournal()
	bridge.Play(1)
	end, seen := c.end(conformance.CauseError)
	if end.Reason != "CURSOR_FOREIGN_EPOCH" || end.Code != "FAILED_PRECONDITION" ||
		end.EarliestCursor != bridge.Journal().GetEarliestCursor() {
		s.Errorf("ended with %+v", end)
	}
	seen.check(s, want)
}

// deprived takes the rights to read from a subscription that was well before. Its principal is left with others: with
// those of an administrator, who may read no events, or with another proof of who it is.
func deprived(rights, reason string) func(*stage) {
	return func(s *stage) {
		const everything = `{tokens: [{sha256: %x}], apps: ["*"], types: ["*"], customer_services: ["*"], content: true}`
		test, reader := strings.Repeat("t", 40), strings.Repeat("r", 40)
		file := filepath.Join(s.TempDir(), "access.yaml")
		grant := func(rights string) {
			policy := fmt.Sprintf("principals:\n  test: "+everything+"\n  reader: "+rights+"\n",
				sha256.Sum256([]byte(test)), sha256.Sum256([]byte(reader)))
			if err := os.WriteFile(file, []byte(policy), 0o600); err != nil {
				s.Fatal(err)
			}
		}
		grant(everything)
		bridge := bridgetest.Start(s, func(config *server.Config) { config.Access = file })
		bridge.CallWith(client.Config{Token: func(context.Context) (string, error) { return test, nil }})
		bridge.Play(1)
		want := bridge.Events()
		c := s.subscribe(subscription{address: bridge.Addr(), request: fromEarliest(), token: reader})
		c.expect(want)
		grant(rights)
		end, seen := c.end(conformance.CauseError)
		if end.Reason != reason || end.Code != reason {
			s.Errorf("ended with %+v, want %s", end, reason)
		}
		seen.check(s, want)
	}
}

func cursorInFuture(s *stage) {
	refused(
		func(_ *stage, bridge *bridgetest.Bridge) *deskbridgev1.SubscribeRequest {
			info := bridge.Journal()
			return afterCursor(client.FormatCursor(info.GetEpoch(), info.GetLatest().GetPosition()+1000))
		},
		conformance.End{Reason: "CURSOR_IN_FUTURE", Code: "OUT_OF_RANGE"},
	)(s)
}

// finalScenarios are refusals that no reconnect can mend, met by a subscription that was well before.
func finalScenarios() []scenario {
	rows := []struct {
		name   string
		code   codes.Code
		detail *deskbridgev1.ErrorDetail
		want   conformance.End
	}{
		{
			"not served", codes.Unimplemented,
			&deskbridgev1.ErrorDetail{Reason: deskbridgev1.ErrorReason_ERROR_REASON_NOT_SERVED, Field: "read_mask"},
			conformance.End{Reason: "NOT_SERVED", Code: "UNIMPLEMENTED", Field: "read_mask"},
		},
		{
			"damaged journal", codes.DataLoss,
			&deskbridgev1.ErrorDetail{Reason: deskbridgev1.ErrorReason_ERROR_REASON_JOURNAL_DAMAGED},
			conformance.End{Reason: "JOURNAL_DAMAGED", Code: "DATA_LOSS"},
		},
		{
			"refused by something in between", codes.PermissionDenied, nil,
			conformance.End{Reason: "UNSPECIFIED", Code: "PERMISSION_DENIED"},
		},
	}
	var scenarios []scenario
	for _, row := range rows {
		scenarios = append(scenarios, scenario{"final error: " + row.name, func(s *stage) {
			bridge := s.played(1)
			want := bridge.Events()
			c := s.subscribe(subscription{address: bridge.Addr(), request: impatient()})
			c.expect(want)
			bridge.Reject(row.code, row.detail)
			end, seen := c.end(conformance.CauseError)
			if end.Reason != row.want.Reason || end.Code != row.want.Code || end.Field != row.want.Field {
				s.Errorf("ended with %+v, want %+v", end, row.want)
			}
			seen.check(s, want)
		}})
	}
	return scenarios
}
