package journal

import (
	"context"
	"sync"
	"time"
)

const (
	// inboxBytes and inboxRecords are when the log engine has to wait; one record more may come.
	inboxBytes   = 1 << 20
	inboxRecords = 512
)

// inbox passes records from the log engine's goroutine to the reader's, as many as are there in one step.
type inbox struct {
	mu      sync.Mutex
	records []Record
	bytes   int
	err     error // comes after the records, and stays

	filled  chan struct{} // holds a token after put
	emptied chan struct{} // holds a token after take
	closed  chan struct{}
	over    <-chan struct{} // closed with the journal
}

func newInbox(over <-chan struct{}) *inbox {
	return &inbox{
		filled:  make(chan struct{}, 1),
		emptied: make(chan struct{}, 1),
		closed:  make(chan struct{}),
		over:    over,
	}
}

// close ends put and take. It may be called once.
func (i *inbox) close() { close(i.closed) }

// put adds a record, and waits until there is room for another.
func (i *inbox) put(record Record) {
	i.mu.Lock()
	if i.err == nil {
		i.records = append(i.records, record)
		i.bytes += len(record.Data)
	}
	full := i.bytes >= inboxBytes || len(i.records) >= inboxRecords
	i.mu.Unlock()
	signal(i.filled)
	for full {
		select {
		case <-i.emptied:
			full = false
		case <-i.closed:
			return
		case <-i.over:
			return
		}
	}
}

// fail makes the reader fail once it has all records before.
func (i *inbox) fail(err error) {
	i.mu.Lock()
	if i.err == nil {
		i.err = err
	}
	i.mu.Unlock()
	signal(i.filled)
}

// take returns all records, waiting for the first; none when stall has passed.
func (i *inbox) take(ctx context.Context, stall time.Duration) ([]Record, error) {
	if records, err := i.takeReady(); records != nil || err != nil {
		return records, err
	}
	timer := time.NewTimer(stall)
	defer timer.Stop()
	for {
		select {
		case <-i.filled:
			if records, err := i.takeReady(); records != nil || err != nil {
				return records, err
			}
		case <-timer.C:
			return nil, nil
		case <-i.closed:
			return nil, ErrClosed
		case <-i.over:
			return nil, ErrClosed
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (i *inbox) takeReady() ([]Record, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.records) == 0 {
		return nil, i.err
	}
	records := i.records
	i.records, i.bytes = make([]Record, 0, len(records)), 0
	signal(i.emptied)
	return records, nil
}

func signal(token chan<- struct{}) {
	select {
	case token <- struct{}{}:
	default:
	}
}
