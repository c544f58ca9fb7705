package journal

import (
	"context"
	"time"
)

// Journal is open from Open to Close. All methods may be called concurrently.
type Journal struct {
	log   log
	spool *spool // nil when the log is local
}

// log is where records are: on an embedded server, or in a cluster. Journal has the contract.
type log interface {
	Append(ctx context.Context, entry Entry) (Receipt, error)
	NewReader(after uint64) Reader
	Bounds(ctx context.Context) (Bounds, error)
	PositionAt(ctx context.Context, t time.Time) (uint64, error)
	Session(ctx context.Context, appID, sessionID string, after uint64, limit int) (_ []Record, more bool, _ error)
	Record(ctx context.Context, position uint64) (Record, error)
	Quarantine() *Quarantine
	Epoch() string
	Ready() error
	Accepts() error
	Disk() DiskStats
	Close() error
}

// Reader follows the journal from a position for ever: every record, in order, each once. It is for one goroutine;
// only Close may be called by another.
type Reader interface {
	// Next returns the records that are ready, at least one: it waits for the first. The slice is the caller's.
	//
	// Errors: ErrTrimmed when the next record is no longer retained, ErrDamaged when it can't be read though it should
	// be there, ErrClosed, ErrUnavailable, or the context's. ErrUnavailable comes within some two seconds when the
	// cluster can't be reached. After it or the context's error the next call goes on where this one stopped; after the
	// others it fails the same way.
	Next(ctx context.Context) ([]Record, error)
	// Close ends a waiting Next with ErrClosed.
	Close() error
}

// Open opens the journal: the one in config.Dir, which is made when missing, or the one in the cluster that
// config.Cluster names. The context bounds the opening only.
//
// ErrDamaged means that acknowledged records are missing at the end, and that their positions would be given again.
// Once the file "checkpoint" in the data directory is removed, the journal opens without them, under a new epoch.
//
// ErrSpooled means that the data directory was used with a cluster, which has not had all events yet: they wait until
// the journal is opened with the cluster again.
//
// A cluster that is away is no error: the journal takes entries into its spool, and can be read once the cluster has
// come. One that refuses the settings is.
func Open(ctx context.Context, config Config) (*Journal, error) {
	if config.Cluster.URLs == "" {
		if err := checkSpool(ctx, config); err != nil {
			return nil, err
		}
		l, err := openLocal(ctx, config)
		if err != nil {
			return nil, err
		}
		return &Journal{log: l}, nil
	}
	s, err := openSpooled(ctx, config)
	if err != nil {
		return nil, err
	}
	return &Journal{log: s, spool: s.spool}, nil
}

// Append stores the entry and returns when it is on disk (see Config.Sync), within Config.AckTimeout. After
// ErrUnavailable the entry may still come to be stored: appending it again with the same DedupeKey is the right answer,
// and makes it a duplicate. When one Append has returned before another of the same process starts, its entry has the
// lower position.
//
// Errors: ErrTooLarge, ErrFull, ErrUnavailable, ErrClosed, or the context's.
func (j *Journal) Append(ctx context.Context, entry Entry) (Receipt, error) {
	return j.log.Append(ctx, entry)
}

// NewReader returns a reader of everything behind the position after. It costs nothing until the first Next.
func (j *Journal) NewReader(after uint64) Reader { return j.log.NewReader(after) }

// Bounds says where the journal begins and ends. It asks the log engine: some 100 µs.
func (j *Journal) Bounds(ctx context.Context) (Bounds, error) { return j.log.Bounds(ctx) }

// PositionAt returns the position p such that the first record stored at or after t is the first one behind p: the
// head when there is none yet. Store times are those of the machine's clock: when it was set back, times around that
// moment are ambiguous. ErrDamaged when the records that could be the first can't be read.
func (j *Journal) PositionAt(ctx context.Context, t time.Time) (uint64, error) {
	return j.log.PositionAt(ctx, t)
}

// Session returns the retained records of one session behind the position after, oldest first and at most limit of
// them; fewer when they are large. When there may be more it says so: they are behind the last one's position. With
// appID "" it is the session of that id in any app. The records come together with ErrDamaged when others, perhaps of
// this session, can't be read.
func (j *Journal) Session(
	ctx context.Context, appID, sessionID string, after uint64, limit int,
) (records []Record, more bool, err error) {
	return j.log.Session(ctx, appID, sessionID, after, limit)
}

// Record returns the record at a position. Errors: ErrNotFound when it was trimmed or is still to come, ErrDamaged,
// ErrUnavailable, ErrClosed, or the context's.
func (j *Journal) Record(ctx context.Context, position uint64) (Record, error) {
	return j.log.Record(ctx, position)
}

// Quarantine returns the quarantine. It is on this machine, with a cluster too.
func (j *Journal) Quarantine() *Quarantine { return j.log.Quarantine() }

// Epoch names this life of the journal. It survives restarts, and changes when the data directory or the cluster's
// stream is deleted, when acknowledged records are lost, and when the directory is a copy: Bounds.Former then has what
// cursors of the epochs before are still good for. It is "" while a cluster has never been reached.
func (j *Journal) Epoch() string { return j.log.Epoch() }

// Ready is nil when the journal can be written and read. With a cluster that is away it is ErrUnavailable, though
// Append spools.
func (j *Journal) Ready() error { return j.log.Ready() }

// Accepts is nil when Append would take an entry. With a cluster that is away it is nil as long as the spool has room.
// ErrBroken in it means that only opening the journal anew will help.
func (j *Journal) Accepts() error { return j.log.Accepts() }

// Disk says how much room the data directory's filesystem had at the last look, within a second.
func (j *Journal) Disk() DiskStats { return j.log.Disk() }

// SpoolStats says what waits for the cluster; nothing ever does without one.
func (j *Journal) SpoolStats(ctx context.Context) (SpoolStats, error) {
	if j.spool == nil {
		return SpoolStats{}, nil
	}
	return j.spool.stats(ctx)
}

// Close ends every Reader and waiting Append with ErrClosed, and gives the data directory free. What is spooled stays
// there for the next Open. Closing twice is fine.
func (j *Journal) Close() error { return j.log.Close() }
