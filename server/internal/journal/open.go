package journal

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
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
	connection *nats.Conn
	jetstream  jetstream.JetStream
	events     jetstream.Stream
	quarantine jetstream.Stream
	epoch      string
	durable    *mark
	blocks     *blockFiles
	committer  *committer
	ticker     *time.Ticker // of SyncInterval
	closed     atomic.Bool
}

// Open opens the journal in config.Dir, or makes a new one there. The context bounds the opening only.
func Open(ctx context.Context, config Config) (*Journal, error) {
	config = config.withDefaults()
	if err := config.validate(); err != nil {
		return nil, err
	}
	j := &Journal{config: config, durable: newMark()}
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
	if j.connection, err = connectEmbedded(j.embedded); err != nil {
		return err
	}
	return j.openStreams(ctx)
}

func (j *Journal) openStreams(ctx context.Context) (err error) {
	if j.jetstream, err = jetstream.New(j.connection); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	if j.events, err = openStream(ctx, j.jetstream, eventsConfig(j.config)); err != nil {
		return err
	}
	if j.quarantine, err = openStream(ctx, j.jetstream, quarantineConfig(j.config)); err != nil {
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
	p := &publisher{connection: j.connection, jetstream: j.jetstream, alone: true, head: head}
	j.blocks = newBlockFiles(j.directory.blocks(eventsStream))
	var interval <-chan time.Time
	if j.config.Sync == SyncInterval {
		j.ticker = time.NewTicker(syncInterval)
		interval = j.ticker.C
	}
	j.committer = startCommitter(ctx, p, j.blocks.sync, interval, j.durable)
}

// Close ends every Reader and waiting Append with ErrClosed, and gives the data directory free. Closing twice is fine.
func (j *Journal) Close() error {
	if j.closed.Swap(true) {
		return nil
	}
	// 1. Readers stop. 2. What is being stored is answered. 3. No more requests. 4. The server writes its state.
	// 5. The next process may come.
	j.durable.close()
	var errs []error
	if j.committer != nil {
		errs = append(errs, j.committer.close(), j.blocks.close())
	}
	if j.ticker != nil {
		j.ticker.Stop()
	}
	if j.connection != nil {
		j.connection.Close()
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
	switch {
	case j.closed.Load():
		return ErrClosed
	case !j.connection.IsConnected():
		return fmt.Errorf("%w: not connected", ErrUnavailable)
	}
	return nil
}
