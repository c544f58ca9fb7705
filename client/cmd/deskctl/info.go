package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/deskbridge/deskbridge/client/cmd/deskctl/internal/render"
	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

type infoCommand struct {
	connectionFlags
	Output string `short:"o" help:"pretty or json." enum:"pretty,json" default:"pretty"`
}

func (c *infoCommand) Run(ctx context.Context, console *console) error {
	bridge, err := c.dial()
	if err != nil {
		return err
	}
	defer func() { _ = bridge.Close() }()
	service := deskbridgev1.NewSessionEventServiceClient(bridge)
	info, err := service.GetJournalInfo(ctx, &deskbridgev1.GetJournalInfoRequest{})
	if err != nil {
		return err
	}
	if c.Output == "json" {
		return printJSON(console, info)
	}
	return printInfo(console, info)
}

func printInfo(console *console, info *deskbridgev1.GetJournalInfoResponse) error {
	table := tabwriter.NewWriter(console.out, 0, 0, 2, ' ', 0)
	row := func(name, format string, values ...any) { // the table reports a failure at its Flush
		_, _ = fmt.Fprintf(table, name+"\t"+format+"\n", values...)
	}
	row("epoch", "%s", render.Escape(info.GetEpoch()))
	row("events", "%d", info.GetEventCount())
	row("size", "%s", byteSize(info.GetSizeBytes()))
	row("earliest", "%s", point(info.GetEarliest()))
	row("latest", "%s", point(info.GetLatest()))
	row("earliest cursor", "%s", render.Escape(info.GetEarliestCursor()))
	row("latest cursor", "%s", render.Escape(info.GetLatestCursor()))
	return table.Flush()
}

func point(p *deskbridgev1.JournalPoint) string {
	if p == nil {
		return "none"
	}
	stored := p.GetStoreTime().AsTime().Local().Format(time.RFC3339)
	return fmt.Sprintf("position %d, stored %s", p.GetPosition(), stored)
}

func byteSize(n uint64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	value, prefix := float64(n)/unit, 0
	for value >= unit && prefix < len("KMGTPE")-1 {
		value /= unit
		prefix++
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGTPE"[prefix])
}
