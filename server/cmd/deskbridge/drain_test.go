package main_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/deskbridge/deskbridge/server/internal/journal/journaltest"
)

// TestChaosWhileTheSpoolDrains cuts the daemon from its NATS server under load, and kills it soon after the server is
// back: some of what waited in the spool is on the server then, some is not, and some is but was not crossed off.
func TestChaosWhileTheSpoolDrains(t *testing.T) {
	server := journaltest.StartCluster(t, 1)
	proxy := journaltest.StartProxy(t, server.Addr(0))
	c := newChaos(t, "", "--nats-url", proxy.URL(), "--replicas", "1")
	c.begin()
	c.subscribe()
	const rounds = 4
	for range rounds {
		proxy.Cut()
		if err := c.awaitLoad(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.pause(time.Second)
		proxy.Heal()
		c.pause(1500 * time.Millisecond) // the daemon is back on the server within two seconds
		c.daemon.end(syscall.SIGKILL)
		c.launch()
		if err := c.subscribers.failed(); err != nil {
			t.Fatal(err)
		}
	}
	c.endLoad()
	c.awaitStored()
	c.check(c.read("kills", rounds))
}

// awaitStored waits until the journal has as many events as were acknowledged: the last ones may wait in the spool.
func (c *chaos) awaitStored() {
	c.t.Helper()
	acknowledged, err := c.load.acknowledged()
	if err != nil {
		c.t.Fatal(err)
	}
	err = eventually(c.t.Context(), "an empty spool", func() bool {
		stored, err := readAll(c.t.Context(), c.daemon.grpcAddr)
		return err == nil && len(stored) >= len(acknowledged)
	})
	if err != nil {
		c.t.Error(err) // and then see what is missing
	}
}
