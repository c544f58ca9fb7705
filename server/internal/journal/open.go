package journal

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Journal is open from Open to Close. All methods may be called concurrently.
type Journal struct {
	config     Config
	directory  *directory
	embedded   *server.Server
	writing    *nats.Conn // of its own, so that no replay delays an acknowledgement
	reading    *nats.Conn
	writer     jetstream.JetStream
	reader     jetstream.JetStream
	events     jetstream.Stream
	quarantine jetstream.Stream
	epoch      string
	durable    *mark
	blocks     *blockFiles
	committer  *committer
	ticker     *time.Ticker // of SyncInterval
	closing    sync.Once
	over       chan struct{} // closed by Close
}

// Open opens the journal in config.Dir, or makes a new one there. The context bounds the opening only.
func Open(ctx context.Context, config Config) (*Journal, error) {
	config = config.withDefaults()
	if err := config.validate(); err != nil {
		return nil, err
	}
	over := make(chan struct{})
	j := &Journal{config: config, durable: newMark(over), over: over}
	if err := j.open(ctx); err != nil {
		return nil, errors.Join(err, j.Close())
	}
	return j, nil
}

func (j *Journal) open(ctx context.Context) (err error) {
	if j.directory, err = openDirectory(j.config.Dir); err != nil {
		return err
	}
	if j.embedded, err = startEmbedded(ctx, j.directory.streams(), j.config); err != nil {
		return err
	}
	if j.writing, err = connectEmbedded(j.embedded, "writing"); err != nil {
		return err
	}
	if j.reading, err = connectEmbedded(j.embedded, "reading"); err != nil {
		return err
	}
	return j.openStreams(ctx)
}

func (j *Journal) openStreams(ctx context.Context) (err error) {
	if j.writer, err = jetstream.New(j.writing); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	if j.reader, err = jetstream.New(j.reading); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	if j.events, err = openStream(ctx, j.reader, eventsConfig(j.config)); err != nil {
		return err
	}
	if j.quarantine, err = openStream(ctx, j.reader, quarantineConfig(j.config)); err != nil {
		return err
	}
	if err := syncTree(j.directory.streams()); err != nil {
		return err
	}
	info := j.events.CachedInfo()
	j.epoch = info.Config.Metadata[epochKey]
	j.durable.advance(info.State.LastSeq)
	j.startCommitter(ctx, info.State.LastSeq)
	return nil
}

func (j *Journal) startCommitter(ctx context.Context, head uint64) {
	p := &publisher{connection: j.writing, jetstream: j.writer, alone: true, head: head}
	j.blocks = newBlockFiles(j.directory.blocks(eventsStream))
	var interval <-chan time.Time
	if j.config.Sync == SyncInterval {
		j.ticker = time.NewTicker(syncInterval)
		interval = j.ticker.C
	}
	j.committer = startCommitter(ctx, p, j.blocks.sync, interval, j.durable)
}

// Close ends every Reader and waiting Append with ErrClosed, and gives the data directory free. Closing twice is fine.
func (j *Journal) Close() (err error) {
	j.closing.Do(func() { err = j.close() })
	return err
}

func (j *Journal) isClosed() bool {
	select {
	case <-j.over:
		return true
	default:
		return false
	}
}

func (j *Journal) close() error {
	// 1. Readers stop. 2. What is being stored is answered. 3. No more requests. 4. The server writes its state.
	// 5. The next process may come.
	close(j.over)
	var errs []error
	if j.committer != nil {
		errs = append(errs, j.committer.close(), j.blocks.close())
	}
	if j.ticker != nil {
		j.ticker.Stop()
	}
	for _, connection := range []*nats.Conn{j.writing, j.reading} {
		if connection != nil {
			connection.Close()
		}
	}
	if j.embedded != nil {
		stopEmbedded(j.embedded)
	}
	if j.directory != nil {
		errs = append(errs, j.directory.close())
	}
	return errors.Join(errs...)
}

// Epoch names this life of the journal. It survives restarts, and changes when the data directory is deleted.
func (j *Journal) Epoch() string { return j.epoch }

// Ready is nil when the journal can be written.
func (j *Journal) Ready() error {
	if j.isClosed() {
		return ErrClosed
	}
	if err := j.committer.err(); err != nil {
		return err
	}
	if health := j.embedded.Healthz(nil); health.StatusCode != http.StatusOK {
		return fmt.Errorf("%w: %s", ErrUnavailable, health.Error)
	}
	return nil
}
