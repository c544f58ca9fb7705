package journal

import (
	"errors"
	"io"
	"os"
	"slices"
)

const (
	// chunkBytes is how much is read at once, unless one record is larger; chunkRecords is how many records that gives.
	chunkBytes   = 256 << 10
	chunkRecords = 1024
	// probeBytes is enough for most first records.
	probeBytes = 4 << 10
	// passBytes is more than the engine puts into a file.
	passBytes = 16 << 20
)

// blockReader reads a stream's messages from its block files. What is no whole record with the right checksum is passed
// over: that something is missing shows in the positions. It is for one goroutine.
type blockReader struct {
	directory blockDirectory
	file      *os.File // nil before the first read
	index     int      // of the file, as
	hash      *blockHash
	offset    int64 // of what comes next in the file
}

// read returns records behind a position, without a gap, where all up to through are known to be written. It is a
// *DamageError when the next one can't be read. After an error it begins anew.
func (b *blockReader) read(after, through uint64) ([]Record, error) {
	records, err := b.advance(after, through)
	if err != nil {
		err = errors.Join(err, b.close())
	}
	return records, err
}

func (b *blockReader) advance(after, through uint64) ([]Record, error) {
	ok, err := true, error(nil)
	if b.file == nil {
		ok, err = b.seek(after + 1)
	}
	for ok && err == nil {
		var chunk []byte
		if chunk, err = b.chunk(chunkBytes); err != nil {
			break
		}
		if len(chunk) == 0 {
			ok, err = b.openNext()
			continue
		}
		if records, err := b.take(chunk, after, through); len(records) > 0 || err != nil {
			return records, err
		}
	}
	if err == nil {
		err = &DamageError{after + 1, through}
	}
	return nil, err
}

// chunk returns what comes next in the file, up to a limit or a whole record if there is one; nothing at the end.
func (b *blockReader) chunk(limit int64) ([]byte, error) {
	chunk, err := b.readAhead(limit)
	if err != nil || len(chunk) < blockRecordMin {
		return chunk, err
	}
	if first := blockRecord(chunk); first.plausible() && first.length() > len(chunk) {
		return b.readAhead(int64(first.length()))
	}
	return chunk, nil
}

func (b *blockReader) readAhead(limit int64) ([]byte, error) {
	info, err := b.file.Stat()
	if err != nil {
		return nil, err
	}
	chunk := make([]byte, min(limit, max(info.Size()-b.offset, 0)))
	n, err := b.file.ReadAt(chunk, b.offset)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return chunk[:n], err
}

// take returns the chunk's records behind after up to through, and moves the offset behind what it is done with.
func (b *blockReader) take(chunk []byte, after, through uint64) (records []Record, err error) {
	for from := b.offset; after < through && len(records) < chunkRecords && len(chunk) > 0; {
		next, ok := b.hash.first(chunk)
		switch {
		case !ok && b.offset > from: // cut by the chunk's end, or damaged: the next chunk begins with it
			return records, nil
		case !ok:
			return nil, b.pass(through)
		case next.isMessage() && next.position() > after:
			record, err := next.record()
			switch {
			case err == nil && record.Position == after+1:
				records, after = append(records, record), record.Position
			case len(records) > 0:
				return records, nil
			default:
				return nil, &DamageError{after + 1, max(after+1, next.position()-1)}
			}
		}
		chunk, b.offset = chunk[len(next):], b.offset+int64(len(next))
	}
	return records, nil
}

// pass moves the offset over what is damaged, to the next record or the end. The damage may be in a length, so it
// looks for a record everywhere.
func (b *blockReader) pass(through uint64) error {
	rest, err := b.readAhead(passBytes)
	if err != nil {
		return err
	}
	b.offset += int64(len(rest))
	for at := 1; at+blockRecordMin <= len(rest); at++ {
		if p := blockRecord(rest[at:]).position(); p == 0 || p > through {
			continue
		}
		if _, ok := b.hash.first(rest[at:]); ok {
			b.offset -= int64(len(rest) - at)
			return nil
		}
	}
	return nil
}

// seek opens the file that holds a position, or where there is none the one before. It is not ok when there is no file.
func (b *blockReader) seek(position uint64) (ok bool, err error) {
	indexes, err := b.directory.indexes()
	if err != nil {
		return false, err
	}
	later := b.directory.upTo(position, indexes)
	return b.openOneOf(indexes[max(later-1, 0):])
}

func (b *blockReader) openNext() (ok bool, err error) {
	indexes, err := b.directory.indexes()
	if err != nil {
		return false, err
	}
	next, found := slices.BinarySearch(indexes, b.index)
	if found {
		next++
	}
	return b.openOneOf(indexes[next:])
}

// openOneOf opens the first file that is still there.
func (b *blockReader) openOneOf(indexes []int) (ok bool, err error) {
	file, index, err := b.directory.openFirst(indexes)
	if err != nil || file == nil {
		return false, err
	}
	err = b.close()
	b.file, b.index, b.hash, b.offset = file, index, newBlockHash(b.directory.stream(), index), 0
	return true, err
}

func (b *blockReader) close() error {
	if b.file == nil {
		return nil
	}
	file := b.file
	b.file = nil
	return file.Close()
}
