// Command bench measures the bridge beside a raw limit and a peer in the same run, and prints ratios: absolute figures
// say something about one machine only. It writes what it printed to a file.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// options are the flags.
type options struct {
	Out      string        `default:"bench/results.md" help:"File that receives the report."`
	Only     []string      `help:"Sections to run; all when absent: ${sections}."`
	Duration time.Duration `default:"3s" help:"How long each throughput figure is measured."`
	Serve    string        `hidden:"" help:"Be the bridge of a measurement, on this data directory."`
	Relay    bool          `hidden:"" help:"Be the relay that the bridge is compared with."`
}

// section is one part of the report.
type section struct {
	name string
	run  func(ctx context.Context, o options, r *report) error
}

func sections() []section {
	return []section{
		{"decode", benchDecode},
		{"callbacks", benchCallbacks},
		{"deliver", benchDeliver},
		{"replay", benchReplay},
		{"sessions", benchSessions},
		{"expression", benchExpression},
		{"open", benchOpen},
		{"latency", benchLatency},
		{"slow", benchSlow},
		{"idle", benchIdle},
		{"client", benchClient},
	}
}

func main() {
	var o options
	kong.Parse(&o, kong.Vars{"sections": sectionNames()})
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	var err error
	switch {
	case o.Serve != "":
		err = serve(ctx, o.Serve)
	case o.Relay:
		err = serveRelay(ctx)
	default:
		err = run(ctx, o)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func sectionNames() string {
	var names []string
	for _, s := range sections() {
		names = append(names, s.name)
	}
	return strings.Join(names, ", ")
}

func run(ctx context.Context, o options) error {
	var text strings.Builder
	r := newReport(io.MultiWriter(os.Stdout, &text))
	for _, s := range sections() {
		if len(o.Only) > 0 && !slices.Contains(o.Only, s.name) {
			continue
		}
		if err := s.run(ctx, o, r); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return os.WriteFile(o.Out, []byte(text.String()), 0o600)
}
