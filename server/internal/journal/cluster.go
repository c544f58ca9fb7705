package journal

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
)

const (
	// clusterTimeout bounds a request to the cluster.
	clusterTimeout = 2 * time.Second
	// attachTimeout is how long Open waits for the cluster before it goes on without.
	attachTimeout = 5 * time.Second
	// watchInterval is how often the stream is looked at, once it was reached.
	watchInterval = 2 * time.Second
	// pingInterval and two missing answers are when a connection counts as lost.
	pingInterval = time.Second

	minBackoff = 100 * time.Millisecond
	maxBackoff = 2 * time.Second
)

// cluster is a stream on external servers, shared with other processes. It comes and goes.
//
// Stored is what a majority of the replicas have. Any replica answers direct gets, also one that is behind: whatever
// says that there is nothing more, or that something is missing, is asked of the stream's leader.
type cluster struct {
	config  Config
	writing *nats.Conn // of its own, so that no replay delays an acknowledgement
	reading *nats.Conn
	writer  jetstream.JetStream
	reader  jetstream.JetStream
	// seen is the highest position known: a leader that has been replaced and doesn't know yet may have an older head.
	seen     *mark
	attached atomic.Pointer[attachment]
	replaced atomic.Bool // the stream is another one by now
	over     chan struct{}
	stop     context.CancelFunc
	running  sync.WaitGroup
}

// attachment is the stream, once it was reached.
type attachment struct {
	events jetstream.Stream
	epoch  string
}

func openCluster(ctx context.Context, config Config) (*cluster, error) {
	over := make(chan struct{})
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	c := &cluster{config: config, seen: newMark(over), over: over, stop: stop}
	err := c.connect()
	if err == nil {
		err = c.attachFirst(ctx)
	}
	if err != nil {
		c.close()
		return nil, err
	}
	c.running.Go(func() { c.keepAttaching(running) })
	return c, nil
}

func (c *cluster) close() {
	close(c.over)
	c.stop()
	c.running.Wait()
	for _, connection := range []*nats.Conn{c.writing, c.reading} {
		if connection != nil {
			connection.Close()
		}
	}
}

func (c *cluster) connect() (err error) {
	if c.writing, c.writer, err = c.connection("writing"); err != nil {
		return err
	}
	c.reading, c.reader, err = c.connection("reading")
	return err
}

func (c *cluster) connection(name string) (*nats.Conn, jetstream.JetStream, error) {
	if path := c.config.Cluster.CredentialsFile; path != "" {
		if _, err := os.ReadFile(path); err != nil { // the client would try again for ever
			return nil, nil, err
		}
	}
	connection, err := nats.Connect(c.config.Cluster.URLs, c.options(name)...)
	if parse := new(url.Error); errors.As(err, &parse) {
		err = parse.Err // without the URL, which may hold a password
	}
	if err != nil {
		return nil, nil, fmt.Errorf("connect to the cluster: %w", err)
	}
	js, err := jetstream.New(connection, jetstream.WithDefaultTimeout(clusterTimeout),
		jetstream.WithPublishAsyncTimeout(clusterTimeout))
	return connection, js, err
}

func (c *cluster) options(name string) []nats.Option {
	options := []nats.Option{
		nats.Name("deskbridge " + name), nats.Timeout(clusterTimeout),
		nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.IgnoreAuthErrorAbort(),
		nats.CustomReconnectDelay(reconnectDelay),
		nats.ReconnectBufSize(-1), // what can't be sent now fails now
		nats.PingInterval(pingInterval), nats.MaxPingsOutstanding(2),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if !c.isClosed() {
				c.config.Logger.Warn("the cluster is out of reach", "connection", name, "error", err)
			}
		}),
		nats.ReconnectHandler(func(connection *nats.Conn) {
			c.config.Logger.Info("connected to the cluster", "connection", name, "server", connection.ConnectedServerName())
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			c.config.Logger.Warn("log engine client", "connection", name, "error", err)
		}),
	}
	files := c.config.Cluster
	if files.CredentialsFile != "" {
		options = append(options, nats.UserCredentials(files.CredentialsFile))
	}
	if files.CAFile != "" {
		options = append(options, nats.RootCAs(files.CAFile))
	}
	if files.CertFile != "" {
		options = append(options, nats.ClientCert(files.CertFile, files.KeyFile))
	}
	return options
}

// reconnectDelay is jittered: the bridges lose a server at the same moment.
func reconnectDelay(attempts int) time.Duration {
	delay := min(minBackoff<<min(attempts, 10), maxBackoff)
	return delay/2 + rand.N(delay/2) //nolint:gosec // nothing to guess here
}

// attachFirst gives a cluster that is there the time to answer.
func (c *cluster) attachFirst(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, attachTimeout)
	defer cancel()
	for {
		err := c.attach(ctx)
		if err == nil {
			return nil
		}
		if !isAway(err) {
			return err
		}
		if !sleep(ctx, minBackoff) {
			c.config.Logger.Warn("the cluster is out of reach: events are spooled, and none can be read", "error", err)
			return nil
		}
	}
}

// keepAttaching goes on until the cluster was reached. From then on the client reconnects, and the stream is watched.
func (c *cluster) keepAttaching(ctx context.Context) {
	delay := minBackoff
	for sleep(ctx, delay) {
		step := c.attach
		if delay = min(2*delay, maxBackoff); c.attached.Load() != nil {
			step, delay = c.watch, watchInterval
		}
		if err := step(ctx); err != nil && ctx.Err() == nil && !isAway(err) {
			c.config.Logger.Error("the cluster refuses the journal", "error", err)
		}
	}
}

// watch notices when somebody has replaced the stream: positions mean something else then, and only opening the journal
// anew will help. A stream that is gone is made anew for that, as events would wait in the spool for ever.
func (c *cluster) watch(ctx context.Context) error {
	events, err := findShared(ctx, c.reader, clusterConfig(c.config))
	if err != nil {
		return err
	}
	if epoch := events.CachedInfo().Config.Metadata[epochKey]; epoch != c.Epoch() && !c.replaced.Swap(true) {
		c.config.Logger.Error("the stream in the cluster was replaced by another one", "epoch", c.Epoch(), "now", epoch)
	}
	return nil
}

func isAway(err error) bool { return errors.Is(err, ErrUnavailable) }

func (c *cluster) attach(ctx context.Context) error {
	if c.reading.Status() != nats.CONNECTED || c.writing.Status() != nats.CONNECTED {
		return fmt.Errorf("%w: no connection to the cluster: %w", ErrUnavailable, c.reading.LastError())
	}
	if need := int64(MaxRecordBytes + headerRoom); c.writing.MaxPayload() < need {
		return fmt.Errorf("the cluster's max_payload is %d, want at least %d", c.writing.MaxPayload(), need)
	}
	events, err := openShared(ctx, c.reader, clusterConfig(c.config))
	if err != nil {
		return err
	}
	info := events.CachedInfo()
	epoch := info.Config.Metadata[epochKey]
	if epoch == "" {
		return fmt.Errorf("stream %q in the cluster was not made by deskbridge: it has no epoch", eventsStream)
	}
	c.seen.advance(info.State.LastSeq)
	c.attached.Store(&attachment{events: events, epoch: epoch})
	return nil
}

func (c *cluster) isClosed() bool {
	select {
	case <-c.over:
		return true
	default:
		return false
	}
}

func (c *cluster) attachment() (*attachment, error) {
	if c.isClosed() {
		return nil, ErrClosed
	}
	attached := c.attached.Load()
	if attached == nil {
		return nil, fmt.Errorf("%w: the cluster was not reached yet", ErrUnavailable)
	}
	return attached, nil
}

// info asks the leader. Other positions than those that were handed out have another epoch: this process is of no use
// for them.
func (c *cluster) info(ctx context.Context) (*jetstream.StreamInfo, error) {
	attached, err := c.attachment()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, clusterTimeout)
	defer cancel()
	info, err := attached.events.Info(ctx)
	if err != nil {
		return nil, c.failure(err)
	}
	if info.State.Msgs == 0 {
		info.State.FirstSeq = info.State.LastSeq + 1
	}
	return info, nil
}

// failure: whatever the cluster fails with, it may do better later.
func (c *cluster) failure(err error) error {
	switch err = engineError(err); {
	case c.isClosed():
		return ErrClosed
	case err == nil, errors.Is(err, ErrFull), errors.Is(err, ErrDamaged), errors.Is(err, context.Canceled),
		errors.Is(err, ErrUnavailable):
		return err
	default:
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
}

// ready is nil when both connections stand, and the stream is the one that was reached first.
func (c *cluster) ready() error {
	if _, err := c.attachment(); err != nil {
		return err
	}
	if c.replaced.Load() {
		return fmt.Errorf("%w: %w: the stream in the cluster was replaced by another one", ErrUnavailable, ErrBroken)
	}
	if !c.writing.IsConnected() || !c.reading.IsConnected() {
		return fmt.Errorf("%w: no connection to the cluster", ErrUnavailable)
	}
	return nil
}

// Epoch implements log.
func (c *cluster) Epoch() string {
	if attached := c.attached.Load(); attached != nil {
		return attached.epoch
	}
	return ""
}

// publish sets the result of every entry, until the deadline. What fails is not followed by a later entry of its
// session: messages go out in runs that hold each session once, and the first run with a failure is the last.
func (c *cluster) publish(ctx context.Context, group []*pending) {
	_, err := c.attachment()
	for len(group) > 0 {
		if err != nil {
			fail(group, c.failure(err))
			return
		}
		var run []*pending
		run, group = cutRun(group)
		publishEach(ctx, c.writer, run, noRetry)
		for _, e := range run {
			if e.result.err != nil {
				err = e.result.err
				e.result = result{err: c.failure(err)}
			}
			c.seen.advance(e.result.receipt.Position)
		}
	}
}

// deliver is publish for entries of which none is likely to be there: it asks for all in one, which costs as much as
// one run. A duplicate, or a server older than 2.12, makes the cluster refuse that.
func (c *cluster) deliver(ctx context.Context, group []*pending) {
	err := c.publishBatch(ctx, group)
	switch {
	case err == nil:
	case isAway(err):
		fail(group, err)
	default:
		c.publish(ctx, group)
	}
}

func (c *cluster) publishBatch(ctx context.Context, group []*pending) error {
	if _, err := c.attachment(); err != nil {
		return err
	}
	messages := make([]*nats.Msg, len(group))
	for i, e := range group { // copies: it leaves its traces in them
		messages[i] = &nats.Msg{Subject: e.message.Subject, Header: maps.Clone(e.message.Header), Data: e.message.Data}
	}
	_, err := jetstreamext.PublishMsgBatch(ctx, c.writer, messages)
	return engineError(err)
}

// cutRun splits before the first message whose subject comes again.
func cutRun(group []*pending) (run, rest []*pending) {
	subjects := make(map[string]bool, len(group))
	for i, e := range group {
		if subjects[e.message.Subject] {
			return group[:i], group[i:]
		}
		subjects[e.message.Subject] = true
	}
	return group, nil
}

// sleep reports whether the time has passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
