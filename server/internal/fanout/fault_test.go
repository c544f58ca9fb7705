package fanout

import (
	"context"
	"sync"

	"github.com/deskbridge/deskbridge/server/internal/journal"
)

// faulty is a real journal whose readers can be made to fail.
type faulty struct {
	Journal
	mu      sync.Mutex
	err     error
	changed chan struct{}
}

func newFaulty(j Journal) *faulty { return &faulty{Journal: j, changed: make(chan struct{})} }

// fail makes reads fail from now on, those that wait included; nil ends that.
func (f *faulty) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *faulty) state() (changed <-chan struct{}, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changed, f.err
}

func (f *faulty) NewReader(after uint64) Reader { return &faultyReader{f.Journal.NewReader(after), f} }

type faultyReader struct {
	Reader
	journal *faulty
}

func (r *faultyReader) Next(ctx context.Context) ([]journal.Record, error) {
	for {
		changed, err := r.journal.state()
		if err != nil {
			return nil, err
		}
		bounded, cancel := context.WithCancel(ctx)
		stop := make(chan struct{})
		go func() {
			defer cancel()
			select {
			case <-changed:
			case <-stop:
			}
		}()
		records, err := r.Reader.Next(bounded)
		close(stop)
		<-bounded.Done()
		if err == nil || ctx.Err() != nil {
			return records, err
		}
		if _, now := r.journal.state(); now == nil && bounded.Err() == nil {
			return nil, err
		}
	}
}
