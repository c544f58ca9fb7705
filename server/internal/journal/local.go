package journal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// local is a log in this process, on an embedded server and a directory of its own. All methods may be called
// concurrently.
type local struct {
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
	epochs     epochs
	durable    *mark
	publisher  *publisher // the committer's
	committer  atomic.Pointer[committer]
	keeper     atomic.Pointer[committer] // of the quarantine

	closing sync.Once
	over    chan struct{} // closed by Close
	closers []func() error
}

// openLocal opens the log in config.Dir, or makes a new one there.
//
// ErrDamaged means that acknowledged records are missing at the end, and that their positions would be given again.
// Once the file "checkpoint" in the directory is removed, the log opens without them, under a new epoch.
func openLocal(ctx context.Context, config Config) (*local, error) {
	config = config.withDefaults()
	if err := config.validate(); err != nil {
		return nil, err
	}
	over := make(chan struct{})
	l := &local{config: config, durable: newMark(over), over: over}
	for _, step := range []func(context.Context) error{
		l.openDirectory, l.salvage, l.startServer, l.connect, l.openStreams, l.recover, l.startCommitters, l.startMaintenance,
	} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(fmt.Errorf("journal %s: %w", config.Dir, err), l.Close())
		}
	}
	return l, nil
}

// Close implements log.
func (l *local) Close() (err error) {
	l.closing.Do(func() {
		close(l.over)
		// In the reverse order of opening: 1. Nothing is trimmed any more. 2. What is being stored is synced and
		// answered. 3. The connections go. 4. The server writes its state. 5. The directory is free.
		for _, closer := range slices.Backward(l.closers) {
			err = errors.Join(err, closer())
		}
	})
	return err
}

func (l *local) onClose(closer func() error) { l.closers = append(l.closers, closer) }

func (l *local) isClosed() bool {
	select {
	case <-l.over:
		return true
	default:
		return false
	}
}

// Epoch implements log.
func (l *local) Epoch() string { return l.epochs.current }

// Ready implements log.
func (l *local) Ready() error {
	if l.isClosed() {
		return ErrClosed
	}
	return cmp.Or(errors.Join(l.refusal(), l.disk.err()), engineHealth(l.embedded))
}

// Accepts implements log.
func (l *local) Accepts() error { return l.Ready() }

// Disk implements log.
func (l *local) Disk() DiskStats { return l.disk.stats() }

func (l *local) openDirectory(context.Context) (err error) {
	if l.directory, err = openDirectory(l.config.Dir); err != nil {
		return err
	}
	l.onClose(func() error { return errors.Join(l.checkpoint.close(), l.directory.close()) })
	l.disk = &disk{path: l.config.Dir, reserve: l.config.DiskReserve}
	if err := l.disk.check(); err != nil {
		return err
	}
	l.checkpoint, err = openCheckpoint(l.config.Dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

func (l *local) startServer(ctx context.Context) (err error) {
	if l.embedded, err = startEmbedded(ctx, l.directory.streams(), l.config.Logger); err != nil {
		return err
	}
	l.onClose(func() error {
		stopEmbedded(l.embedded)
		return nil
	})
	return nil
}

func (l *local) connect(context.Context) (err error) {
	if l.writing, l.writer, err = l.connection("writing"); err != nil {
		return err
	}
	l.reading, l.reader, err = l.connection("reading")
	return err
}

func (l *local) connection(name string) (*nats.Conn, jetstream.JetStream, error) {
	connection, err := connectEmbedded(l.embedded, name, l.config.Logger)
	if err != nil {
		return nil, nil, err
	}
	l.onClose(func() error {
		connection.Close()
		return nil
	})
	js, err := jetstream.New(connection, jetstream.WithDefaultTimeout(requestLimit))
	return connection, js, err
}

func (l *local) startCommitters(ctx context.Context) error {
	if err := l.replaceCommitters(ctx); err != nil {
		return err
	}
	l.onClose(func() error {
		err := l.closeCommitters(ErrClosed)
		if err == nil {
			err = l.checkpoint.setBoot(0) // all is synced
		}
		return err
	})
	return nil
}

func (l *local) replaceCommitters(ctx context.Context) error {
	if err := l.startKeeper(ctx); err != nil {
		return err
	}
	if err := l.startCommitter(ctx); err != nil {
		return errors.Join(err, l.keeper.Load().close(ErrClosed))
	}
	return nil
}

func (l *local) closeCommitters(reason error) error {
	return errors.Join(l.committer.Load().close(reason), l.keeper.Load().close(reason))
}

// refusal is why nothing is stored until the committers are replaced.
func (l *local) refusal() error {
	return cmp.Or(l.committer.Load().refusal(), l.keeper.Load().refusal())
}

// startCommitter starts the events' committer behind what is stored, all of it synced.
func (l *local) startCommitter(ctx context.Context) error {
	head, _ := l.durable.load()
	blocks, err := openBlockSync(l.directory.blocks(eventsStream))
	if err != nil {
		return err
	}
	config := committerConfig{sync: blocks.sync, advance: l.advance, release: blocks.close, logger: l.config.Logger}
	if l.config.Sync == SyncInterval {
		ticker := time.NewTicker(syncInterval)
		config.interval = ticker.C
		config.release = func() error {
			ticker.Stop()
			return blocks.close()
		}
	}
	if l.publisher, err = l.newPublisher(l.events, head, l.config.DedupeWindow); err != nil {
		return errors.Join(err, blocks.close())
	}
	config.publish = l.publisher.publish
	l.committer.Store(startCommitter(ctx, config))
	return nil
}

// newPublisher returns one for a stream that ends at head. A former one may have messages on their way: it is unsure.
func (l *local) newPublisher(stream jetstream.Stream, head uint64, window time.Duration) (*publisher, error) {
	recent, err := openRecent(l.directory.blocks(stream.CachedInfo().Config.Name), window, time.Now())
	if err != nil {
		return nil, err
	}
	return &publisher{
		connection: l.writing, jetstream: l.writer, stream: stream, recent: recent, head: head, unsure: true, highest: head,
	}, nil
}

// advance lets readers see what is acknowledged. What can't be written down is not acknowledged; the next group may be.
func (l *local) advance(position uint64) error {
	if err := l.checkpoint.raiseHead(position); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	l.durable.advance(position)
	return nil
}

func (l *local) startMaintenance(ctx context.Context) error {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var maintenance sync.WaitGroup
	maintenance.Go(func() { l.maintain(ctx) })
	l.onClose(func() error {
		cancel()
		maintenance.Wait()
		return nil
	})
	return nil
}
