package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/deskbridge/deskbridge/client/internal/player"
)

type simulateCommand struct {
	webhookFlags
	Sessions    uint64        `help:"How many sessions to play; 0: until interrupted." default:"20"`
	Rate        float64       `help:"Posts in one second over all sessions; 0: no limit." default:"20"`
	Concurrency int           `help:"How many sessions are under way at once." default:"16"`
	Seed        *uint64       `help:"What the sessions are made from. Random when absent." placeholder:"N"`
	Duplicates  float64       `help:"Share of callbacks to post a second time, 0 to 1." default:"0"`
	Retry       time.Duration `help:"How long to post again what was not acknowledged." default:"0s"`
	Record      string        `help:"File to append a line to for each acknowledged callback." placeholder:"FILE"`
}

// Help is shown above the flags.
func (c *simulateCommand) Help() string {
	return `Callbacks of one session are posted one after the other, each after the answer to the one before.
The seed decides everything but the times. It decides the RequestIDs too: a second run with one seed on one bridge
looks like a vendor that uses RequestIDs twice. A callback that is posted again, by --retry or --duplicates, keeps its
RequestID and its body.`
}

// Validate is called by the parser.
func (c *simulateCommand) Validate() error {
	switch {
	case c.Rate < 0:
		return fmt.Errorf("--rate: %v is negative", c.Rate)
	case c.Concurrency < 1:
		return fmt.Errorf("--concurrency: %d is less than 1", c.Concurrency)
	case c.Duplicates < 0 || c.Duplicates > 1:
		return fmt.Errorf("--duplicates: %v is not between 0 and 1", c.Duplicates)
	case c.Timeout <= 0:
		return fmt.Errorf("--timeout: %v is not positive", c.Timeout)
	}
	return nil
}

// Run fails when a callback was not acknowledged in the end.
func (c *simulateCommand) Run(ctx context.Context, console *console) (err error) {
	config, err := c.config()
	if err != nil {
		return err
	}
	defer config.Poster.Close()
	if c.Record != "" {
		file, err := os.OpenFile(c.Record, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
		if err != nil {
			return fmt.Errorf("--record: %w", err)
		}
		defer func() { _ = file.Close() }() // each line is written when it is added
		config.Record = player.NewRecord(file)
	}
	console.notef("playing with --seed %d", config.Seed)
	bar := c.progressBar(console)
	config.SessionDone = func() { _ = bar.Add(1) }
	summary, err := player.New(config).Run(ctx)
	_ = bar.Exit()
	printSummary(console.out, summary)
	if err != nil {
		return err
	}
	if summary.Unacknowledged > 0 {
		return fmt.Errorf("%d callbacks were not acknowledged", summary.Unacknowledged)
	}
	return nil
}

func (c *simulateCommand) config() (player.Config, error) {
	poster, err := c.poster(c.Concurrency)
	if err != nil {
		return player.Config{}, err
	}
	seed := uint64(rand.Uint32()) //nolint:gosec // nothing to guess
	if c.Seed != nil {
		seed = *c.Seed
	}
	return player.Config{
		Poster: poster, Seed: seed, Sessions: c.Sessions, Concurrency: c.Concurrency, Rate: c.Rate,
		Timeout: c.Timeout, RetryFor: c.Retry, Duplicates: c.Duplicates,
	}, nil
}

// progressBar counts sessions. Nobody sees it unless there is a terminal.
func (c *simulateCommand) progressBar(console *console) *progressbar.ProgressBar {
	total := int64(c.Sessions)
	if total == 0 {
		total = -1
	}
	return progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(console.err),
		progressbar.OptionSetVisibility(console.interactive),
		progressbar.OptionSetDescription("sessions"),
		progressbar.OptionShowCount(),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(),
	)
}

func printSummary(out io.Writer, s player.Summary) {
	line := func(name, format string, values ...any) {
		_, _ = fmt.Fprintf(out, "%-16s"+format+"\n", append([]any{name}, values...)...)
	}
	line("sent", "%d", s.Sent)
	line("acknowledged", "%d", s.Acknowledged)
	line("duplicates", "%d", s.Duplicates)
	line("unacknowledged", "%d", s.Unacknowledged)
	for _, kind := range slices.Sorted(maps.Keys(s.Failures)) {
		line("failed posts", "%d × %s", s.Failures[kind], kind)
	}
	line("time", "%v", s.Elapsed.Round(time.Millisecond))
	line("rate", "%.1f posts/s", float64(s.Sent)/s.Elapsed.Seconds())
	line("latency", "p50 %v, p99 %v, max %v", rounded(s.P50), rounded(s.P99), rounded(s.Max))
}

func rounded(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }
