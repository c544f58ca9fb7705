package journal

import (
	"crypto/sha256"
	"slices"
	"time"
)

// recent is the dedupe window: the positions of what was stored within it, by message ID. It is derived from the block
// files, several of which are read at once. The log engine could do the same, and would read a million messages one by
// one at the start: more than a second. It is for one goroutine.
type recent struct {
	directory blockDirectory
	window    time.Duration
	positions map[key]uint64
	byTime    []stored // oldest first
}

// key stands for a message ID: there are millions of them, and these the garbage collector need not look at.
type key [16]byte

func keyOf(id []byte) key {
	sum := sha256.Sum256(id)
	return key(sum[:len(key{})])
}

// stored is a message in the log.
type stored struct {
	key      key
	position uint64
	time     int64 // nanoseconds since 1970
}

// openRecent reads back what was stored within the window that ends now.
func openRecent(directory blockDirectory, window time.Duration, now time.Time) (*recent, error) {
	r := &recent{directory: directory, window: window, positions: map[key]uint64{}}
	indexes, err := directory.indexes()
	if err != nil {
		return nil, err
	}
	oldest := now.Add(-window)
	first := len(indexes)
	for first > 0 {
		first--
		if record := directory.firstRecord(indexes[first]); record != nil && record.storeTime().Before(oldest) {
			break
		}
	}
	err = r.load(indexes[first:], 0)
	for r.forget(now) {
	}
	return r, err
}

// catchUp reads what was stored behind a position.
func (r *recent) catchUp(after uint64) error {
	indexes, err := r.directory.indexes()
	if err != nil {
		return err
	}
	return r.load(indexes[max(r.directory.upTo(after+1, indexes)-1, 0):], after)
}

// load adds what some files have behind a position.
func (r *recent) load(indexes []int, after uint64) error {
	files := make([][]stored, len(indexes))
	err := r.directory.readFiles(indexes, func(i int, file *records) { files[i] = storedBehind(after, file) })
	if err != nil {
		return err
	}
	read := slices.Concat(files...)
	if len(r.positions) == 0 {
		r.positions = make(map[key]uint64, len(read)) // growing would take longer than reading
	}
	r.byTime = slices.Grow(r.byTime, len(read))
	for _, s := range read {
		r.add(s)
	}
	return nil
}

// storedBehind returns what a file has behind a position, without what is damaged: nobody can receive that, so its
// repeat is stored.
func storedBehind(after uint64, file *records) (all []stored) {
	for len(file.rest) > 0 {
		record, ok := file.next()
		if !ok {
			file.rest = file.rest[1:]
			continue
		}
		file.take(record)
		if !record.isMessage() || record.position() <= after {
			continue
		}
		id, ok := record.id()
		if _, err := record.record(); ok && err == nil {
			all = append(all, stored{keyOf(id), record.position(), record.storeTime().UnixNano()})
		}
	}
	return all
}

// add makes everything with the message's ID a repeat of it.
func (r *recent) add(s stored) {
	r.positions[s.key] = s.position
	r.byTime = append(r.byTime, s)
}

// forgetLimit bounds how long an entry waits for old ones to be forgotten.
const forgetLimit = 8192

// forget drops what is no longer in the window that ends now. There may be more to forget: that is remembered somewhat
// longer.
func (r *recent) forget(now time.Time) (more bool) {
	oldest := now.Add(-r.window).UnixNano()
	gone := 0
	for gone < min(len(r.byTime), forgetLimit) && r.byTime[gone].time < oldest {
		if s := r.byTime[gone]; r.positions[s.key] == s.position {
			delete(r.positions, s.key)
		}
		gone++
	}
	r.byTime = r.byTime[gone:]
	return gone == forgetLimit
}

// settle answers the entries that are repeats, and returns the others.
func (r *recent) settle(group []*pending) []*pending {
	r.forget(time.Now())
	return slices.DeleteFunc(slices.Clone(group), func(p *pending) bool {
		position, known := r.positions[p.key]
		if known {
			p.result.receipt = Receipt{Position: position, Duplicate: true}
		}
		return known
	})
}

// remember adds what was stored.
func (r *recent) remember(group []*pending) {
	now := time.Now().UnixNano()
	for _, p := range group {
		if p.result.err == nil {
			r.add(stored{p.key, p.result.receipt.Position, now})
		}
	}
}
