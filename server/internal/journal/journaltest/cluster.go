// Package journaltest runs NATS servers in the test's process, for tests of what a bridge does on a cluster. It knows
// the log engine and nothing of the journal.
package journaltest

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// startTimeout bounds every wait for a server.
const startTimeout = 30 * time.Second

// Cluster is NATS servers with JetStream on loopback, on disk and syncing always.
type Cluster struct {
	t       testing.TB
	options []*server.Options
	servers []*server.Server // nil while stopped
}

// StartCluster runs size servers until the test ends. One server is no cluster but serves the same. The adjustments are
// made to every server's options.
func StartCluster(t testing.TB, size int, adjustments ...func(*server.Options)) *Cluster {
	t.Helper()
	c := &Cluster{t: t, servers: make([]*server.Server, size)}
	ports, dir := freePorts(t, 2*size), t.TempDir()
	var routes []*url.URL
	for i := range size {
		routes = append(routes, &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", ports[size+i])})
	}
	for i := range size {
		name := fmt.Sprintf("server-%d", i)
		options := &server.Options{
			ServerName: name, Host: "127.0.0.1", Port: ports[i], NoSigs: true, NoLog: true,
			JetStream: true, StoreDir: filepath.Join(dir, name), SyncAlways: true,
		}
		if size > 1 {
			// Clients learn of no other server than those they are told: a proxy can stand before them.
			options.Cluster = server.ClusterOpts{
				Name: "test", Host: "127.0.0.1", Port: ports[size+i], NoAdvertise: true,
			}
			options.Routes = routes
		}
		for _, adjust := range adjustments {
			adjust(options)
		}
		c.options = append(c.options, options)
	}
	for i := range size {
		c.start(i)
	}
	t.Cleanup(func() {
		for i := range size {
			c.Stop(i)
		}
	})
	if size > 1 {
		c.awaitMetaLeader()
	}
	return c
}

// freePorts are free now; nothing else of this machine should want them in the next moment.
func freePorts(t testing.TB, count int) []int {
	t.Helper()
	var ports []int
	for range count {
		listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		ports = append(ports, listener.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

func (c *Cluster) start(i int) {
	c.t.Helper()
	s, err := server.NewServer(c.options[i].Clone())
	if err != nil {
		c.t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(startTimeout) {
		c.t.Fatalf("server %d doesn't start", i)
	}
	c.servers[i] = s
}

// Addr is the address of a server for clients.
func (c *Cluster) Addr(i int) string {
	return fmt.Sprintf("127.0.0.1:%d", c.options[i].Port)
}

// URLs names all servers, comma separated.
func (c *Cluster) URLs() string {
	var urls []string
	for i := range c.options {
		urls = append(urls, "nats://"+c.Addr(i))
	}
	return strings.Join(urls, ",")
}

// Stop stops a server in order, and does nothing when it is stopped.
func (c *Cluster) Stop(i int) {
	if s := c.servers[i]; s != nil {
		s.Shutdown()
		s.WaitForShutdown()
		c.servers[i] = nil
	}
}

// Start starts servers that were stopped, and waits until they have caught up with the others.
func (c *Cluster) Start(servers ...int) {
	c.t.Helper()
	for _, i := range servers {
		c.start(i)
	}
	c.await("the servers to be in step", func() bool {
		for _, s := range c.servers {
			if s != nil && s.Healthz(nil).StatusCode != http.StatusOK {
				return false
			}
		}
		return true
	})
}

// Leader returns which server leads a stream.
func (c *Cluster) Leader(stream string) (leader int) {
	c.t.Helper()
	c.await("a leader of "+stream, func() bool {
		for i, s := range c.servers {
			if s != nil && s.JetStreamIsStreamLeader("$G", stream) {
				leader = i
				return true
			}
		}
		return false
	})
	return leader
}

// Trim removes a stream's messages before a position.
func (c *Cluster) Trim(stream string, before uint64) {
	c.t.Helper()
	answer := c.ask("STREAM.PURGE."+stream, fmt.Sprintf(`{"seq":%d}`, before))
	if !strings.Contains(answer, `"success":true`) {
		c.t.Fatalf("trim: %s", answer)
	}
}

// Delete removes the stream with all it has.
func (c *Cluster) Delete(stream string) {
	c.t.Helper()
	if answer := c.ask("STREAM.DELETE."+stream, ""); !strings.Contains(answer, `"success":true`) {
		c.t.Fatalf("delete: %s", answer)
	}
}

// Consumers returns how many consumers a stream has.
func (c *Cluster) Consumers(stream string) int {
	c.t.Helper()
	var info struct {
		State struct {
			Consumers int `json:"consumer_count"`
		} `json:"state"`
	}
	if err := json.Unmarshal([]byte(c.ask("STREAM.INFO."+stream, "")), &info); err != nil {
		c.t.Fatal(err)
	}
	return info.State.Consumers
}

// ask makes a request of the API.
func (c *Cluster) ask(subject, request string) (answer string) {
	c.t.Helper()
	connection, err := nats.Connect(c.URLs())
	if err != nil {
		c.t.Fatal(err)
	}
	defer connection.Close()
	reply, err := connection.Request("$JS.API."+subject, []byte(request), startTimeout)
	if err != nil {
		c.t.Fatal(err)
	}
	return string(reply.Data)
}

func (c *Cluster) awaitMetaLeader() {
	c.await("a leader of the cluster", func() bool {
		for _, s := range c.servers {
			if s.JetStreamIsLeader() {
				return len(s.JetStreamClusterPeers()) == len(c.servers)
			}
		}
		return false
	})
}

func (c *Cluster) await(what string, condition func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(startTimeout); !condition(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Fatalf("no sign of %s", what)
		}
	}
}
