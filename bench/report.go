package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// report writes Markdown tables.
type report struct{ w io.Writer }

func newReport(w io.Writer) *report {
	r := &report{w: w}
	r.printf("# Benchmarks\n\nOn %d cores of %s, %s, %s. Client and server share the machine.\n",
		runtime.NumCPU(), processor(), runtime.Version(), time.Now().UTC().Format(time.DateOnly))
	return r
}

func (r *report) printf(format string, args ...any) { fmt.Fprintf(r.w, format, args...) }

// table starts a table with these columns.
func (r *report) table(title string, columns ...string) {
	r.printf("\n## %s\n\n| %s |\n|%s\n", title, strings.Join(columns, " | "), strings.Repeat(" --- |", len(columns)))
}

// row adds a row; the cells' forms are chosen by their types.
func (r *report) row(cells ...any) {
	var texts []string
	for _, cell := range cells {
		texts = append(texts, cellText(cell))
	}
	r.printf("| %s |\n", strings.Join(texts, " | "))
}

func cellText(cell any) string {
	switch v := cell.(type) {
	case time.Duration:
		return fmt.Sprintf("%.2f ms", float64(v)/float64(time.Millisecond))
	case perSecond:
		return fmt.Sprintf("%.0f /s", float64(v))
	case ratio:
		return fmt.Sprintf("%.2f", float64(v))
	default:
		return fmt.Sprint(v)
	}
}

type (
	perSecond float64
	ratio     float64
)

func processor() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// median is that of a figure over rounds: what is compared runs one behind the other, and a busy machine disturbs one
// of them now and then.
func median[R any, T cmp.Ordered](rounds []R, figure func(R) T) T {
	var values []T
	for _, round := range rounds {
		values = append(values, figure(round))
	}
	slices.Sort(values)
	return values[len(values)/2]
}
