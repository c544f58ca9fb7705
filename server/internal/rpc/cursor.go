package rpc

import "github.com/deskbridge/deskbridge/server/internal/journal"

// earliestCursor lies before the oldest retained record.
func earliestCursor(bounds journal.Bounds) journal.Cursor {
	return journal.Cursor{Epoch: bounds.Epoch, Position: beforeEarliest(bounds)}
}

// latestCursor lies behind the newest record.
func latestCursor(bounds journal.Bounds) journal.Cursor {
	return journal.Cursor{Epoch: bounds.Epoch, Position: bounds.Latest}
}

func beforeEarliest(bounds journal.Bounds) uint64 {
	if bounds.Earliest == 0 {
		return 0
	}
	return bounds.Earliest - 1
}
