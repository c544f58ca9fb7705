package journal

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"
)

// Sync says when an acknowledged entry is on disk.
type Sync string

const (
	// SyncAlways is before Append returns. Neither a crash nor a power cut loses an acknowledged entry.
	SyncAlways Sync = "always"
	// SyncInterval is within a second. A crash of the process loses nothing; a power cut loses what was acknowledged in
	// that last second, for many times the throughput on slow disks.
	SyncInterval Sync = "interval"
)

// syncInterval is what SyncInterval can lose.
const syncInterval = time.Second

// Defaults of Config.
const (
	// DefaultDedupeWindow covers a vendor that repeats a callback within minutes. Each key costs some 70 bytes of heap
	// for as long as the window is, and all keys of the window are read back at the start: at 1,000 events a second ten
	// minutes are 42 MB and a third of a second of start-up, a day would be 6 GB.
	DefaultDedupeWindow = 10 * time.Minute
	// DefaultRetention is how long a record is kept.
	DefaultRetention = 30 * 24 * time.Hour
	// DefaultAckTimeout leaves half a second of the vendor's two for the way there and back.
	DefaultAckTimeout = 1500 * time.Millisecond
	// minMaxBytes is some block files of the log engine: it trims by whole files.
	minMaxBytes = 64 << 20
	// DefaultQuarantineBytes bounds the quarantine.
	DefaultQuarantineBytes = 256 << 20
	// DefaultReplicas survive the loss of one server.
	DefaultReplicas = 3
	// DefaultSpoolBytes are some hours at a hundred events a second.
	DefaultSpoolBytes = 1 << 30
)

// Config of a journal. Zero values mean the defaults; Dir is required.
type Config struct {
	// Dir is the data directory. It is made when missing and belongs to one process at a time.
	Dir string
	// Sync is SyncAlways by default.
	Sync Sync
	// DedupeWindow is how long a DedupeKey is remembered, across restarts.
	DedupeWindow time.Duration
	// Retention is how long a record is kept; negative means for ever.
	Retention time.Duration
	// MaxBytes bounds the files of the events, at least 64 MiB; the oldest go first, some megabytes at a time. 0 means
	// no bound but the disk.
	MaxBytes int64
	// QuarantineBytes bounds the quarantine, whose records never go by themselves.
	QuarantineBytes int64
	// DiskReserve is the room in bytes that is left on the disk: with less, nothing is stored until there is room
	// again. 0 means a twentieth of the filesystem, between 64 MiB and 1 GiB.
	DiskReserve int64
	// AckTimeout bounds Append.
	AckTimeout time.Duration
	// Cluster holds the records when it has URLs. Dir has the spool and the quarantine then.
	Cluster Cluster
	// SpoolBytes bounds what may wait for the cluster; with more, Append fails with ErrFull.
	SpoolBytes int64
	// Logger receives the journal's own messages and those of the log engine; nil discards them.
	Logger *slog.Logger
}

// Cluster is how to reach an external NATS cluster with JetStream. What its servers have acknowledged is as safe as
// they keep it: they sync to disk every two minutes unless they run with "sync_interval: always", and a power cut that
// hits a majority of them within that time loses what was acknowledged.
type Cluster struct {
	// URLs of the servers, comma separated. The client learns of others from those it reaches.
	URLs string
	// CredentialsFile holds a user's JWT and seed.
	CredentialsFile string
	// CAFile, CertFile and KeyFile hold PEM: whose signature the servers' certificates need, and the client's own.
	CAFile, CertFile, KeyFile string
	// Replicas of each record: 1, 3 or 5.
	Replicas int
}

func (c Cluster) validate() error {
	switch {
	case c.Replicas != 1 && c.Replicas != 3 && c.Replicas != 5:
		return fmt.Errorf("journal: Replicas is %d, want 1, 3 or 5", c.Replicas)
	case (c.CertFile == "") != (c.KeyFile == ""):
		return errors.New("journal: a client certificate needs CertFile and KeyFile")
	}
	return nil
}

func (c Config) withDefaults() Config {
	setDefault(&c.Sync, SyncAlways)
	setDefault(&c.DedupeWindow, DefaultDedupeWindow)
	setDefault(&c.Retention, DefaultRetention)
	setDefault(&c.QuarantineBytes, DefaultQuarantineBytes)
	setDefault(&c.AckTimeout, DefaultAckTimeout)
	setDefault(&c.Cluster.Replicas, DefaultReplicas)
	setDefault(&c.SpoolBytes, DefaultSpoolBytes)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// forSpool is for the local log that is the spool: nothing in it goes before it is drained.
func (c Config) forSpool() Config {
	c.Dir, c.Retention, c.MaxBytes = filepath.Join(c.Dir, spoolDir), -1, 0
	return c
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (c Config) validate() error {
	switch {
	case c.Dir == "":
		return errors.New("journal: Dir is empty")
	case c.Sync != SyncAlways && c.Sync != SyncInterval:
		return fmt.Errorf("journal: Sync is %q, want %q or %q", c.Sync, SyncAlways, SyncInterval)
	case c.DedupeWindow < c.AckTimeout:
		return fmt.Errorf("journal: DedupeWindow is %s, shorter than the AckTimeout, %s",
			c.DedupeWindow, c.AckTimeout)
	case c.MaxBytes != 0 && c.MaxBytes < minMaxBytes:
		return fmt.Errorf("journal: MaxBytes is %d, want at least %d", c.MaxBytes, minMaxBytes)
	case c.DiskReserve < 0:
		return fmt.Errorf("journal: DiskReserve is negative: %d", c.DiskReserve)
	case c.QuarantineBytes < 0:
		return fmt.Errorf("journal: QuarantineBytes is negative: %d", c.QuarantineBytes)
	case c.AckTimeout < 0:
		return fmt.Errorf("journal: AckTimeout is negative: %s", c.AckTimeout)
	case c.SpoolBytes < 0:
		return fmt.Errorf("journal: SpoolBytes is negative: %d", c.SpoolBytes)
	}
	return c.Cluster.validate()
}
