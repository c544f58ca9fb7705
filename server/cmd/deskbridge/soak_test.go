//go:build soak

package main_test

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

var soakDuration = flag.Duration("soak.duration", time.Minute, "how long TestSoak measures, once the daemon is warm")

const (
	soakMaxBytes = 64 << 20
	// soakWarm is what has been taken when trimming has run and the window of recent events is full.
	soakWarm    = 3 * soakMaxBytes
	soakReaders = 8
)

// soakFigures are what must not grow, and by how much the end may exceed the beginning besides a quarter: what comes and
// goes with a garbage collection, a reader or a file of the journal.
var soakFigures = []struct {
	name  string
	slack float64
}{
	{"process_resident_memory_bytes", 32 << 20},
	{"go_memstats_heap_inuse_bytes", 32 << 20},
	{"go_goroutines", 50},
	{"process_open_fds", 20},
	{"disk_bytes", 32 << 20},
}

// TestSoak runs the daemon under a steady load, with readers that come and go and a journal that is trimmed all the
// time, and compares the second quarter with the last.
func TestSoak(t *testing.T) {
	metrics := freeAddress(t)
	d := startDaemon(t, "--metrics-addr", metrics, "--max-bytes", strconv.Itoa(soakMaxBytes), "--dedupe-window", "5s")
	s := &soak{t: t, daemon: d, metrics: "http://" + metrics + "/metrics", client: newHTTPClient(t)}
	ctx, cancel := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	defer readers.Wait()
	defer cancel()
	for i := range soakReaders {
		readers.Go(func() { s.readAndLeave(ctx, i) })
	}
	player := start(t, nil, nil, "deskctl", "simulate", "--url", d.webhook(), "--sessions", "0", "--rate", "300",
		"--retry", "1h", "--duplicates", "0.02")
	for i := range 4 {
		s.postBulky(i)
	}
	warm := func() bool { return s.scrape()["deskbridge_callback_body_bytes_total"] > soakWarm }
	for deadline := time.Now().Add(5 * time.Minute); !warm(); time.Sleep(time.Second) {
		if time.Now().After(deadline) {
			t.Fatal("the daemon has not taken enough to be warm")
		}
	}
	s.measure()
	cancel()
	readers.Wait()
	if code := player.end(syscall.SIGINT); code != 0 {
		t.Errorf("deskctl simulate ended with %d: %s", code, player.watch)
	}
	if code := d.end(syscall.SIGTERM); code != 0 {
		t.Errorf("the daemon ended with %d: %s", code, d.watch)
	}
}

type soak struct {
	t       *testing.T
	daemon  *daemon
	metrics string
	client  *http.Client
	samples []map[string]float64
}

// postBulky posts large callbacks, so that the journal is trimmed.
func (s *soak) postBulky(i int) {
	padding := strings.Repeat("x", 50<<10)
	p := &poster{
		target: s.daemon.webhook() + "?SdkAppid=" + app,
		make: func(n int) callback {
			id := fmt.Sprintf("soak-%d-%d", i, n)
			return callback{id, `{"SessionId":"` + id + `","Event":"SessionBegin","CloudCustomData":"` + padding + `"}`}
		},
		pause: 40 * time.Millisecond,
	}
	p.start(s.t)
}

// readAndLeave subscribes for some moments, again and again, every time over a new connection.
func (s *soak) readAndLeave(ctx context.Context, i int) {
	for n := 0; ctx.Err() == nil; n++ {
		stay, cancel := context.WithTimeout(ctx, time.Duration(1+(i+n)%4)*500*time.Millisecond)
		request := &deskbridgev1.SubscribeRequest{Name: fmt.Sprintf("soak-%d", i)}
		if n%2 == 0 {
			request.Start = fromEarliest()
		}
		if n%3 == 0 {
			request.Filter = &deskbridgev1.EventFilter{TypeNames: []string{"SessionEnd"}}
		}
		s.read(stay, request)
		cancel()
	}
}

func (s *soak) read(ctx context.Context, request *deskbridgev1.SubscribeRequest) {
	conn, err := grpc.NewClient(s.daemon.grpcAddr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		s.t.Error(err)
		return
	}
	defer conn.Close()
	stream, err := deskbridgev1.NewSessionEventServiceClient(conn).Subscribe(ctx, request)
	for err == nil {
		_, err = stream.Recv()
	}
}

// measure takes a sample a second, prints the figures, and compares.
func (s *soak) measure() {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for began := time.Now(); time.Since(began) < *soakDuration; <-ticker.C {
		sample := s.scrape()
		sample["disk_bytes"] = s.diskBytes()
		s.samples = append(s.samples, sample)
	}
	first, last := s.samples[0], s.samples[len(s.samples)-1]
	fmt.Printf("soak: %v, %.0f events stored, %.0f delivered, %.0f streams ended\n", *soakDuration,
		last["deskbridge_journal_head_position"]-first["deskbridge_journal_head_position"],
		last["deskbridge_stream_events_total"]-first["deskbridge_stream_events_total"],
		last["deskbridge_streams_ended_total"]-first["deskbridge_streams_ended_total"])
	quarter := len(s.samples) / 4
	for _, figure := range soakFigures {
		before := s.median(figure.name, s.samples[quarter:2*quarter])
		after := s.median(figure.name, s.samples[3*quarter:])
		fmt.Printf("%-30s second quarter %12.0f, last %12.0f\n", figure.name, before, after)
		if limit := before*1.25 + figure.slack; after > limit {
			s.t.Errorf("%s grows: %.0f in the second quarter, %.0f in the last", figure.name, before, after)
		}
	}
}

func (s *soak) median(name string, samples []map[string]float64) float64 {
	var values []float64
	for _, sample := range samples {
		if value, ok := sample[name]; ok {
			values = append(values, value)
		}
	}
	if len(values) == 0 {
		s.t.Fatalf("no samples of %s", name)
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// scrape returns the metrics by name, the sum of their series.
func (s *soak) scrape() map[string]float64 {
	response, err := s.client.Get(s.metrics)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	values := map[string]float64{}
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		name, _, _ = strings.Cut(name, "{")
		if number, err := strconv.ParseFloat(value, 64); err == nil {
			values[name] += number
		}
	}
	return values
}

// diskBytes is what the data directory takes. Files may go while it is counted.
func (s *soak) diskBytes() (sum float64) {
	_ = filepath.WalkDir(s.daemon.dataDir, func(path string, entry fs.DirEntry, _ error) error {
		if info, err := os.Stat(path); err == nil && entry != nil && !entry.IsDir() {
			sum += float64(info.Size())
		}
		return nil
	})
	return sum
}
