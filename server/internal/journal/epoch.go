package journal

import (
	"crypto/rand"
	"strings"
)

// Keys of the stream's metadata.
const (
	epochKey = "deskbridge-epoch"
	// formerEpochsKey holds the last cursor of each former epoch, the newest first, with commas between.
	formerEpochsKey = "deskbridge-former-epochs"
)

const (
	epochLength = 12
	// maxFormerEpochs bounds what is stored. Cursors of older epochs are foreign.
	maxFormerEpochs = 64
)

// epochs are the lives of a journal.
//
// A backup that is restored goes on from where it was made, and gives positions again that readers have seen with other
// records. So it goes on in a new epoch. What lies before is the same in both: the new one remembers where the old one
// ended, and a reader who had come no further simply goes on.
type epochs struct {
	current string
	former  []Cursor
}

func epochsOf(metadata map[string]string) epochs {
	e := epochs{current: metadata[epochKey]}
	for text := range strings.SplitSeq(metadata[formerEpochsKey], ",") {
		if cursor, err := ParseCursor(text); err == nil {
			e.former = append(e.former, cursor)
		}
	}
	return e
}

// renewEpoch ends the current epoch of a stream at a position, and begins another.
func renewEpoch(metadata map[string]string, end uint64) {
	former := []string{Cursor{Epoch: metadata[epochKey], Position: end}.String()}
	for _, cursor := range epochsOf(metadata).former {
		if len(former) < maxFormerEpochs {
			former = append(former, Cursor{cursor.Epoch, min(cursor.Position, end)}.String())
		}
	}
	metadata[epochKey], metadata[formerEpochsKey] = newEpoch(), strings.Join(former, ",")
}

func newEpoch() string { return strings.ToLower(rand.Text())[:epochLength] }
