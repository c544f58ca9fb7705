package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/deskbridge/deskbridge/client/cmd/deskctl/internal/render"
	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

type subscriptionsCommand struct {
	connectionFlags
	Output string `short:"o" help:"pretty, or json: a line each." enum:"pretty,json" default:"pretty"`
}

func (c *subscriptionsCommand) Run(ctx context.Context, console *console) error {
	bridge, err := c.dial()
	if err != nil {
		return err
	}
	defer func() { _ = bridge.Close() }()
	all, err := listSubscriptions(ctx, deskbridgev1.NewSubscriptionServiceClient(bridge))
	if err != nil {
		return err
	}
	if c.Output == "json" {
		for _, s := range all {
			if err := printJSON(console, s); err != nil {
				return err
			}
		}
		return nil
	}
	return printSubscriptions(console, all)
}

func listSubscriptions(
	ctx context.Context, service deskbridgev1.SubscriptionServiceClient,
) (all []*deskbridgev1.Subscription, err error) {
	request := &deskbridgev1.ListSubscriptionsRequest{PageSize: 1000}
	for {
		page, err := service.ListSubscriptions(ctx, request)
		if err != nil {
			return nil, err
		}
		all = append(all, page.GetSubscriptions()...)
		if request.PageToken = page.GetNextPageToken(); request.PageToken == "" {
			return all, nil
		}
	}
}

func printSubscriptions(console *console, all []*deskbridgev1.Subscription) error {
	table := tabwriter.NewWriter(console.out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "ID\tNAME\tPRINCIPAL\tPEER\tVIA\tSINCE\tSTATE\tPOSITION\tLAG\tBEHIND\tFILTER\tFIELDS")
	for _, s := range all {
		_, _ = fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%d\t%s\t%s\t%s\n", s.GetSubscriptionId(),
			orDash(s.GetName()), orDash(s.GetPrincipal()), orDash(s.GetPeerAddress()),
			enumWord(s.GetTransport().String(), "SUBSCRIPTION_TRANSPORT_"),
			s.GetOpenTime().AsTime().Local().Format(time.RFC3339),
			enumWord(s.GetState().String(), "SUBSCRIPTION_STATE_"), s.GetPosition(), s.GetLagEvents(),
			s.GetLagDuration().AsDuration().Round(100*time.Millisecond), filterText(s.GetFilter()),
			orDash(strings.Join(s.GetReadMask().GetPaths(), ",")))
	}
	return table.Flush()
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return render.Escape(text)
}

// enumWord is an enumeration's value as people say it.
func enumWord(value, prefix string) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(value, prefix)), "_", " ")
}

// maxFilterText keeps a filter of a thousand values from hiding the other columns; -o json has it whole.
const maxFilterText = 120

func filterText(filter *deskbridgev1.EventFilter) string {
	text, err := protojson.Marshal(filter)
	if err != nil || len(text) <= len("{}") {
		return "all"
	}
	short := []rune(string(text))
	if len(short) > maxFilterText {
		short = append(short[:maxFilterText], '…')
	}
	return render.Escape(string(short))
}
