package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/deskbridge/deskbridge/client/cmd/deskctl/internal/render"
	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

type quarantineCommand struct {
	List    quarantineListCommand    `cmd:"" help:"List the callbacks in quarantine, oldest first."`
	Show    quarantineShowCommand    `cmd:"" help:"Show one with its body."`
	Redrive quarantineRedriveCommand `cmd:"" help:"Send callbacks through the normal path again."`
	Drop    quarantineDropCommand    `cmd:"" help:"Delete callbacks for good."`
}

// quarantine calls do with the service.
func (f *connectionFlags) quarantine(do func(deskbridgev1.QuarantineServiceClient) error) error {
	bridge, err := f.dial()
	if err != nil {
		return err
	}
	defer func() { _ = bridge.Close() }()
	return do(deskbridgev1.NewQuarantineServiceClient(bridge))
}

type quarantineListCommand struct {
	connectionFlags
	Output string `short:"o" help:"pretty, or json: a line each." enum:"pretty,json" default:"pretty"`
}

func (c *quarantineListCommand) Run(ctx context.Context, console *console) error {
	return c.quarantine(func(service deskbridgev1.QuarantineServiceClient) error {
		return eachPage(ctx, service, func(callbacks []*deskbridgev1.QuarantinedCallback) error {
			if c.Output == "json" {
				return printAllJSON(console, callbacks)
			}
			return printQuarantined(console, callbacks)
		})
	})
}

func eachPage(
	ctx context.Context, service deskbridgev1.QuarantineServiceClient,
	show func([]*deskbridgev1.QuarantinedCallback) error,
) error {
	request := &deskbridgev1.ListQuarantinedCallbacksRequest{}
	for {
		page, err := service.ListQuarantinedCallbacks(ctx, request)
		if err != nil {
			return err
		}
		if err := show(page.GetCallbacks()); err != nil {
			return err
		}
		if request.PageToken = page.GetNextPageToken(); request.PageToken == "" {
			return nil
		}
	}
}

func printAllJSON(console *console, callbacks []*deskbridgev1.QuarantinedCallback) error {
	for _, callback := range callbacks {
		if err := printJSON(console, callback); err != nil {
			return err
		}
	}
	return nil
}

func printQuarantined(console *console, callbacks []*deskbridgev1.QuarantinedCallback) error {
	table := tabwriter.NewWriter(console.out, 0, 0, 2, ' ', 0)
	for _, c := range callbacks {
		_, _ = fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%d B\t%s\n", c.GetQuarantineId(), receiveTime(c), reason(c),
			render.Escape(c.GetCallbackCommand()), c.GetBodySize(), render.Escape(c.GetExplanation()))
	}
	return table.Flush()
}

func reason(c *deskbridgev1.QuarantinedCallback) string {
	return strings.TrimPrefix(c.GetReason().String(), "QUARANTINE_REASON_")
}

func receiveTime(c *deskbridgev1.QuarantinedCallback) string {
	return c.GetReceiveTime().AsTime().Local().Format(time.RFC3339)
}

type quarantineShowCommand struct {
	connectionFlags
	ID   uint64 `arg:"" help:"Its number."`
	Body bool   `help:"Print the body alone, byte for byte."`
}

func (c *quarantineShowCommand) Run(ctx context.Context, console *console) error {
	return c.quarantine(func(service deskbridgev1.QuarantineServiceClient) error {
		request := &deskbridgev1.GetQuarantinedCallbackRequest{QuarantineId: c.ID}
		response, err := service.GetQuarantinedCallback(ctx, request)
		if err != nil {
			return err
		}
		if c.Body {
			_, err := console.out.Write(response.GetCallback().GetBody())
			return err
		}
		return printQuarantinedWhole(console, response.GetCallback())
	})
}

func printQuarantinedWhole(console *console, c *deskbridgev1.QuarantinedCallback) error {
	var text strings.Builder
	row := func(name, value string) { fmt.Fprintf(&text, "%-12s%s\n", name, render.Escape(value)) }
	row("id", fmt.Sprint(c.GetQuarantineId()))
	row("received", receiveTime(c))
	row("reason", reason(c))
	row("explanation", c.GetExplanation())
	row("command", c.GetCallbackCommand())
	row("app", c.GetSdkAppId())
	row("query", c.GetQuery())
	for _, name := range []string{"Content-Type", "Content-Encoding", "User-Agent"} {
		if value, ok := c.GetHeaders()[name]; ok {
			row("header", name+": "+value)
		}
	}
	row("body", string(c.GetBody()))
	_, err := fmt.Fprint(console.out, text.String())
	return err
}

type quarantineRedriveCommand struct {
	connectionFlags
	IDs []uint64 `arg:"" name:"id" help:"Their numbers."`
}

// Run tries all, and fails when one stays in quarantine.
func (c *quarantineRedriveCommand) Run(ctx context.Context, console *console) error {
	return c.quarantine(func(service deskbridgev1.QuarantineServiceClient) error {
		return each(c.IDs, func(id uint64) error {
			request := &deskbridgev1.RedriveQuarantinedCallbackRequest{QuarantineId: id}
			response, err := service.RedriveQuarantinedCallback(ctx, request)
			if err != nil {
				return err
			}
			if !response.GetStored() {
				return errors.New(render.Escape(response.GetExplanation()))
			}
			_, err = fmt.Fprintf(console.out, "%d stored at position %d\n", id, response.GetPosition())
			return err
		})
	})
}

type quarantineDropCommand struct {
	connectionFlags
	IDs []uint64 `arg:"" name:"id" help:"Their numbers."`
}

// Run tries all, and fails when one could not be dropped.
func (c *quarantineDropCommand) Run(ctx context.Context, console *console) error {
	return c.quarantine(func(service deskbridgev1.QuarantineServiceClient) error {
		return each(c.IDs, func(id uint64) error {
			request := &deskbridgev1.DropQuarantinedCallbackRequest{QuarantineId: id}
			if _, err := service.DropQuarantinedCallback(ctx, request); err != nil {
				return err
			}
			_, err := fmt.Fprintf(console.out, "%d dropped\n", id)
			return err
		})
	})
}

// each does all, and returns what failed of it.
func each(ids []uint64, do func(id uint64) error) error {
	var failures []error
	for _, id := range ids {
		if err := do(id); err != nil {
			failures = append(failures, fmt.Errorf("%d: %w", id, err))
		}
	}
	return errors.Join(failures...)
}
