package journal

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
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
	checkpoint *checkpoint
	disk       *disk
	embedded   *server.Server
	writing    *nats.Conn // of its own, so that no replay delays an acknowledgement
	reading    *nats.Conn
	writer     jetstream.JetStream
	reader     jetstream.JetStream
	events     jetstream.Stream
	quarantine jetstream.Stream
	epoch      string
	durable    *mark
	committer  *committer

	closing sync.Once
	over    chan struct{} // closed by Close
	closers []func() error
}

// Open opens the journal in config.Dir, or makes a new one there. The context bounds the opening only.
//
// ErrDamaged means that acknowledged records are missing at the end, and that their positions would be given again.
// Once the file "checkpoint" in the data directory is removed, the journal opens without them, under a new epoch.
func Open(ctx context.Context, config Config) (*Journal, error) {
	config = config.withDefaults()
	if err := config.validate(); err != nil {
		return nil, err
	}
	over := make(chan struct{})
	j := &Journal{config: config, durable: newMark(over), over: over}
	for _, step := range []func(context.Context) error{
		j.openDirectory, j.startServer, j.connect, j.openStreams, j.recover, j.startCommitter, j.startMaintenance,
	} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(fmt.Errorf("journal %s: %w", config.Dir, err), j.Close())
		}
	}
	return j, nil
}

// Close ends every Reader and waiting Append with ErrClosed, and gives the data directory free. Closing twice is fine.
func (j *Journal) Close() (err error) {
	j.closing.Do(func() {
		close(j.over)
		// In the reverse order of opening: 1. Nothing is trimmed any more. 2. What is being stored is synced and
		// answered. 3. The connections go. 4. The server writes its state. 5. The directory is free.
		for _, closer := range slices.Backward(j.closers) {
			err = errors.Join(err, closer())
		}
	})
	return err
}

func (j *Journal) onClose(closer func() error) { j.closers = append(j.closers, closer) }

func (j *Journal) isClosed() bool {
	select {
	case <-j.over:
		return true
	default:
		return false
	}
}

// Epoch names this life of the journal. It survives restarts, and changes when the data directory is deleted and when
// acknowledged records are lost.
func (j *Journal) Epoch() string { return j.epoch }

// Ready is nil when the journal can be written.
func (j *Journal) Ready() error {
	if j.isClosed() {
		return ErrClosed
	}
	if err := errors.Join(j.committer.err(), j.disk.err()); err != nil {
		return err
	}
	if health := j.embedded.Healthz(nil); health.StatusCode != http.StatusOK {
		return fmt.Errorf("%w: %s", ErrUnavailable, health.Error)
	}
	return nil
}

func (j *Journal) openDirectory(context.Context) (err error) {
	if j.directory, err = openDirectory(j.config.Dir); err != nil {
		return err
	}
	j.onClose(func() error { return errors.Join(j.checkpoint.close(), j.directory.close()) })
	j.disk = &disk{path: j.config.Dir, reserve: j.config.DiskReserve}
	if err := j.disk.check(); err != nil {
		return err
	}
	j.checkpoint, err = openCheckpoint(j.config.Dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

func (j *Journal) startServer(ctx context.Context) (err error) {
	if j.embedded, err = startEmbedded(ctx, j.directory.streams(), j.config.Logger); err != nil {
		return err
	}
	j.onClose(func() error {
		stopEmbedded(j.embedded)
		return nil
	})
	return nil
}

func (j *Journal) connect(context.Context) (err error) {
	if j.writing, j.writer, err = j.connection("writing"); err != nil {
		return err
	}
	j.reading, j.reader, err = j.connection("reading")
	return err
}

func (j *Journal) connection(name string) (*nats.Conn, jetstream.JetStream, error) {
	connection, err := connectEmbedded(j.embedded, name, j.config.Logger)
	if err != nil {
		return nil, nil, err
	}
	j.onClose(func() error {
		connection.Close()
		return nil
	})
	js, err := jetstream.New(connection, jetstream.WithDefaultTimeout(requestLimit))
	return connection, js, err
}

func (j *Journal) startCommitter(ctx context.Context) error {
	head, _ := j.durable.load()
	blocks := &blockSync{directory: j.directory.blocks(eventsStream)}
	var interval <-chan time.Time
	if j.config.Sync == SyncInterval {
		ticker := time.NewTicker(syncInterval)
		j.onClose(func() error {
			ticker.Stop()
			return j.checkpoint.setBoot(0)
		})
		interval = ticker.C
	}
	j.committer = startCommitter(ctx, committerConfig{
		publisher: &publisher{connection: j.writing, jetstream: j.writer, alone: true, head: head, highest: head},
		sync:      blocks.sync,
		interval:  interval,
		advance:   j.advance,
		logger:    j.config.Logger,
	})
	j.onClose(func() error { return errors.Join(j.committer.close(), blocks.close()) })
	return nil
}

// advance lets readers see what is acknowledged.
func (j *Journal) advance(position uint64) error {
	if err := j.checkpoint.raiseHead(position); err != nil {
		return err
	}
	j.durable.advance(position)
	return nil
}

func (j *Journal) startMaintenance(ctx context.Context) error {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var maintenance sync.WaitGroup
	maintenance.Go(func() { j.maintain(ctx) })
	j.onClose(func() error {
		cancel()
		maintenance.Wait()
		return nil
	})
	return nil
}
