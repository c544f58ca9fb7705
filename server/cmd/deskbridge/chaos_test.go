package main_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

var (
	chaosKills = flag.Int("chaos.kills", 3, "how often TestChaos kills the daemon")
	chaosCuts  = flag.Int("chaos.cuts", 3, "how often TestPowerCut cuts the power")
	chaosSeed  = flag.Uint64("chaos.seed", 0, "seed of the faults and of the load; random when 0")
	chaosRate  = flag.Float64("chaos.rate", 200, "callbacks a second from each of two players")
)

// chaos is a daemon under load that is struck again and again.
type chaos struct {
	t           *testing.T
	seed        uint64
	random      *rand.Rand // of the goroutine that strikes
	directory   string
	daemon      *daemon
	load        *load
	subscribers *subscribers
	strikes     int
}

func newChaos(t *testing.T, dataDir string, args ...string) *chaos {
	t.Helper()
	seed := *chaosSeed
	for seed == 0 {
		seed = uint64(rand.Uint32())
	}
	t.Logf("seed %d", seed)
	c := &chaos{t: t, seed: seed, random: rand.New(rand.NewPCG(seed, 0)), directory: workspace(t)}
	if dataDir == "" {
		dataDir = filepath.Join(c.directory, "data")
	}
	c.daemon = &daemon{
		httpAddr: freeAddress(t), grpcAddr: freeAddress(t), dataDir: dataDir, args: args,
		log: createLog(t, filepath.Join(c.directory, "daemon.log")),
	}
	return c
}

// begin starts the daemon, the load and the subscribers.
func (c *chaos) begin() {
	c.t.Helper()
	c.launch()
	c.t.Cleanup(func() { c.daemon.end(syscall.SIGKILL) })
	if err := c.daemon.awaitReady(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
	c.load = startLoad(c.t, c.directory, c.daemon, c.seed, 2, *chaosRate)
}

func (c *chaos) launch() {
	c.t.Helper()
	if err := c.daemon.launch(); err != nil {
		c.t.Fatal(err)
	}
}

// subscribe starts readers of every kind. Those of sessions need to know some.
func (c *chaos) subscribe() {
	c.t.Helper()
	sessions := c.someSessions(20)
	all := func(event) bool { return true }
	human := func(e event) bool { return strings.HasPrefix(e.Type, "Human.") }
	chosen := func(e event) bool { return sessions[e.Session] }
	low := func(e event) bool { return e.Session < "8" }
	humanOnly := &deskbridgev1.EventFilter{TypeNames: []string{"Human.*"}}
	address := c.daemon.grpcAddr
	random := func(n uint64) *rand.Rand { return rand.New(rand.NewPCG(c.seed, n)) }
	c.subscribers = startSubscribers(c.t,
		following("all", address, nil, all),
		following("human", address, humanOnly, human),
		following("sessions", address, &deskbridgev1.EventFilter{SessionIds: sortedKeys(sessions)}, chosen),
		following("half", address, &deskbridgev1.EventFilter{Expression: `event.session_id < "8"`}, low),
		returning("returning", address, c.directory, random(1), nil, all),
		returning("returning-human", address, c.directory, random(2), humanOnly, human),
		tailing("tail", address, c.directory, random(3), "Human.*", human),
		tailing("tail-all", address, c.directory, random(4), "*", all),
	)
}

func (c *chaos) someSessions(count int) map[string]bool {
	c.t.Helper()
	sessions := map[string]bool{}
	err := eventually(c.t.Context(), "the first sessions", func() bool {
		acknowledged, err := c.load.recorded()
		if err != nil {
			return false
		}
		for _, a := range acknowledged {
			if len(sessions) < count {
				sessions[a.Session] = true
			}
		}
		return len(sessions) == count
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return sessions
}

// awaitMoment returns at a random moment of the daemon's life: while it starts, as soon as it is ready, or, the first
// time and every other time, under load.
func (c *chaos) awaitMoment(ctx context.Context) error {
	c.strikes++
	switch {
	case c.strikes%2 == 1:
	case c.random.IntN(2) == 0:
		c.pause(100 * time.Millisecond)
		return nil
	default:
		err := c.daemon.awaitReady(ctx)
		c.pause(30 * time.Millisecond)
		return err
	}
	if err := c.awaitLoad(ctx); err != nil {
		return err
	}
	c.pause(1500 * time.Millisecond)
	return nil
}

// awaitLoad returns when the daemon has acknowledged something since it was started.
func (c *chaos) awaitLoad(ctx context.Context) error {
	if err := c.daemon.awaitReady(ctx); err != nil {
		return err
	}
	before := c.load.size()
	return eventually(ctx, "an acknowledgement", func() bool { return c.load.size() > before })
}

// pause makes the moment random. Nothing waits for it.
func (c *chaos) pause(limit time.Duration) { time.Sleep(time.Duration(c.random.Int64N(int64(limit)))) }

// finish stops the load and reads what there is.
func (c *chaos) finish(what string, count int) *history {
	c.t.Helper()
	c.endLoad()
	return c.read(what, count)
}

func (c *chaos) endLoad() {
	c.t.Helper()
	if err := errors.Join(c.awaitLoad(c.t.Context()), c.load.stop()); err != nil {
		c.t.Fatal(err)
	}
}

func (c *chaos) read(what string, count int) *history {
	c.t.Helper()
	h, err := take(c.t.Context(), c.daemon, c.load)
	if err != nil {
		c.t.Fatal(err)
	}
	fmt.Printf("%s: %s\n", c.t.Name(), h.summary(what, count, c.seed, c.daemon))
	return h
}

// check holds everything to the guarantees, and ends the daemon.
func (c *chaos) check(h *history) {
	c.t.Helper()
	ctx := c.t.Context()
	err := errors.Join(h.check(), checkSomeSessions(ctx, c.daemon.grpcAddr, h.stored))
	if c.subscribers != nil {
		err = errors.Join(err, c.subscribers.failed(), c.subscribers.check(ctx, h.stored))
	}
	if err != nil {
		c.t.Errorf("seed %d: %v", c.seed, err)
	}
	if code := c.daemon.end(syscall.SIGTERM); code != 0 {
		c.t.Errorf("the daemon ended with %d", code)
	}
}

// TestChaos kills the daemon at random moments under load. What was acknowledged is there, once and in order, and every
// subscriber has seen it so.
func TestChaos(t *testing.T) {
	c := newChaos(t, "")
	c.begin()
	c.subscribe()
	for range *chaosKills {
		if err := c.awaitMoment(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.daemon.end(syscall.SIGKILL)
		c.launch()
		if err := c.subscribers.failed(); err != nil {
			t.Fatal(err)
		}
	}
	c.check(c.finish("kills", *chaosKills))
}
