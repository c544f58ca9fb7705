package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// figures are those of a Go benchmark: by the name behind the benchmark's own, and by unit.
type figures map[string]map[string]float64

// goBenchmark runs a benchmark that stands beside the code it measures.
func goBenchmark(ctx context.Context, pkg, name, times string, environment ...string) (figures, error) {
	command := exec.CommandContext(ctx, "go", "test", //nolint:gosec // fixed words
		"-run", "^$", "-bench", "^"+name+"$", "-benchmem", "-benchtime", times, "-timeout", "30m", "./"+pkg)
	command.Env = append(os.Environ(), environment...)
	command.Stderr = os.Stderr
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("%s in %s: %w: %s", name, pkg, err, out)
	}
	f, err := parseBenchmark(out, name)
	if err == nil && len(f) == 0 {
		err = fmt.Errorf("%s in %s printed no figures:\n%s", name, pkg, out)
	}
	return f, err
}

// parseBenchmark reads go test's lines.
func parseBenchmark(out []byte, name string) (figures, error) {
	all := figures{}
	for scanner := bufio.NewScanner(bytes.NewReader(out)); scanner.Scan(); {
		fields := strings.Fields(scanner.Text())
		if len(fields) < 4 || !strings.HasPrefix(fields[0], name) {
			continue
		}
		part := strings.TrimPrefix(strings.TrimPrefix(fields[0], name), "/")
		if dash := strings.LastIndexByte(part, '-'); dash >= 0 { // the number of processors
			part = part[:dash]
		}
		all[part] = map[string]float64{}
		for i := 2; i+1 < len(fields); i += 2 {
			value, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				return nil, err
			}
			all[part][fields[i+1]] = value
		}
	}
	return all, nil
}

// A million events, as the goals for replay and opening have it.
const millionEvents = "JOURNAL_EVENTS=1000000"

// benchDecode compares the decoder of callbacks.
func benchDecode(ctx context.Context, _ options, r *report) error {
	f, err := goBenchmark(ctx, "server/internal/callback", "BenchmarkDecode", "1s")
	if err != nil {
		return err
	}
	peer := f["protojson"]
	r.table("Decoding a callback", "decoder", "throughput over protojson's", "allocations over protojson's", "MB/s",
		"allocations")
	for _, name := range []string{"deskbridge", "protojson", "encoding-json"} {
		r.row(name, ratio(f[name]["MB/s"]/peer["MB/s"]), ratio(f[name]["allocs/op"]/peer["allocs/op"]),
			fmt.Sprintf("%.0f", f[name]["MB/s"]), fmt.Sprintf("%.0f", f[name]["allocs/op"]))
	}
	return nil
}

// benchDeliver compares the delivery of recent events with a bare loop over the same frames.
func benchDeliver(ctx context.Context, _ options, r *report) error {
	f, err := goBenchmark(ctx, "server/internal/rpc", "BenchmarkDeliver", "3x")
	if err != nil {
		return err
	}
	r.table("Delivery to subscribers of everything", "subscribers", "deliveries", "over a bare loop with the same frames")
	for _, subscribers := range []string{"1", "100", "1000"} {
		ours := f[subscribers+"/deskbridge"]["events/s"]
		r.row(subscribers, perSecond(ours), ratio(ours/f[subscribers+"/raw"]["events/s"]))
	}
	return nil
}

// benchReplay compares reading a million events with an ordered consumer that looks at nothing.
func benchReplay(ctx context.Context, _ options, r *report) error {
	f, err := goBenchmark(ctx, "server/internal/journal", "BenchmarkReplay", "2x", millionEvents)
	if err != nil {
		return err
	}
	stream, err := goBenchmark(ctx, "server/internal/rpc", "BenchmarkReplay", "2x")
	if err != nil {
		return err
	}
	peer := f["consumer"]["events/s"]
	r.table("Replay of a million events", "reader", "events", "over a raw ordered consumer")
	r.row("raw ordered consumer, in the process", perSecond(peer), ratio(1))
	r.row("journal, in the process", perSecond(f["journal"]["events/s"]), ratio(f["journal"]["events/s"]/peer))
	r.row("a subscriber over gRPC", perSecond(stream[""]["events/s"]), ratio(stream[""]["events/s"]/peer))
	return nil
}

// benchSessions measures what an event costs when one of many filtered subscriptions wants it.
func benchSessions(ctx context.Context, _ options, r *report) error {
	f, err := goBenchmark(ctx, "server/internal/fanout", "BenchmarkSessions", "1s")
	if err != nil {
		return err
	}
	few := f["10_sessions"]["ns/op"]
	r.table("Cost of an event for session-filtered subscriptions of which one matches", "subscriptions", "per event",
		"over 10 subscriptions")
	for _, subscriptions := range []string{"10", "1000", "10000"} {
		cost := f[subscriptions+"_sessions"]["ns/op"]
		r.row(subscriptions, fmt.Sprintf("%.0f ns", cost), ratio(cost/few))
	}
	return nil
}

// benchExpression measures filters in CEL.
func benchExpression(ctx context.Context, _ options, r *report) error {
	f, err := goBenchmark(ctx, "server/internal/filter", "BenchmarkExpression", "1s")
	if err != nil {
		return err
	}
	r.table("CEL filters", "expression", "first of an event, with its decoding", "each further one")
	for _, name := range []string{"comparison", "text"} {
		r.row(name, fmt.Sprintf("%.1f µs", f[name+"/first"]["ns/op"]/1000),
			fmt.Sprintf("%.1f µs", f[name+"/again"]["ns/op"]/1000))
	}
	return nil
}

// benchOpen measures the start of a journal of a million events, and what its index takes.
func benchOpen(ctx context.Context, _ options, r *report) error {
	f, err := goBenchmark(ctx, "server/internal/journal", "BenchmarkOpen", "2x", millionEvents)
	if err != nil {
		return err
	}
	heap, err := goBenchmark(ctx, "server/internal/journal", "BenchmarkSessionHeap", "1x")
	if err != nil {
		return err
	}
	r.table("Opening a journal of a million events", "after", "time")
	for _, row := range []struct{ name, text string }{
		{"closed", "a clean end"}, {"keys", "a clean end, all events within the dedupe window"}, {"killed", "kill -9"},
	} {
		r.row(row.text, fmt.Sprintf("%.2f s", f[row.name]["ns/op"]/1e9))
	}
	r.table("Heap of the journal", "for", "MiB")
	r.row("100,000 sessions", fmt.Sprintf("%.0f", heap[""]["B/session"]*100_000/(1<<20)))
	r.row("100,000 keys in the dedupe window", fmt.Sprintf("%.0f", heap[""]["B/event"]*100_000/(1<<20)))
	return nil
}
