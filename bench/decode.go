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

// benchDecode runs the decoder's own benchmark, which stands beside its code, and prints its ratios.
func benchDecode(ctx context.Context, _ options, r *report) error {
	command := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^BenchmarkDecode$", "-benchmem",
		"./server/internal/callback")
	command.Stderr = os.Stderr
	out, err := command.Output()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	figures, err := parseBenchmark(out)
	if err != nil {
		return err
	}
	ours, peer := figures["deskbridge"], figures["protojson"]
	if ours == nil || peer == nil {
		return fmt.Errorf("the benchmark printed no figures for deskbridge and protojson:\n%s", out)
	}
	r.table("Decoding a callback", "decoder", "throughput over protojson's", "allocations over protojson's", "MB/s",
		"allocations")
	for _, name := range []string{"deskbridge", "protojson", "encoding-json"} {
		if f := figures[name]; f != nil {
			r.row(name, ratio(f["MB/s"]/peer["MB/s"]), ratio(f["allocs/op"]/peer["allocs/op"]),
				fmt.Sprintf("%.0f", f["MB/s"]), fmt.Sprintf("%.0f", f["allocs/op"]))
		}
	}
	return nil
}

// parseBenchmark reads go test's lines: the last part of each benchmark's name, and its figures by unit.
func parseBenchmark(out []byte) (map[string]map[string]float64, error) {
	figures := map[string]map[string]float64{}
	for scanner := bufio.NewScanner(bytes.NewReader(out)); scanner.Scan(); {
		fields := strings.Fields(scanner.Text())
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		name := fields[0][strings.LastIndexByte(fields[0], '/')+1:]
		if dash := strings.LastIndexByte(name, '-'); dash > 0 {
			if _, err := strconv.Atoi(name[dash+1:]); err == nil {
				name = name[:dash]
			}
		}
		figures[name] = map[string]float64{}
		for i := 2; i+1 < len(fields); i += 2 {
			value, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				return nil, err
			}
			figures[name][fields[i+1]] = value
		}
	}
	return figures, nil
}
