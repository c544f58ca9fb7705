package rpc

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// GetJournalInfo implements SessionEventServiceServer.
func (s *SessionEvents) GetJournalInfo(
	ctx context.Context, _ *deskbridgev1.GetJournalInfoRequest,
) (*deskbridgev1.GetJournalInfoResponse, error) {
	bounds, err := s.config.Journal.Bounds(ctx)
	if err != nil {
		return nil, classify(err)
	}
	info := &deskbridgev1.GetJournalInfoResponse{
		Epoch:          bounds.Epoch,
		EarliestCursor: earliestCursor(bounds).String(),
		LatestCursor:   latestCursor(bounds).String(),
		EventCount:     bounds.Count,
		SizeBytes:      bounds.Bytes,
	}
	if bounds.Count > 0 {
		info.Earliest = journalPoint(bounds.Earliest, bounds.EarliestTime)
		info.Latest = journalPoint(bounds.Latest, bounds.LatestTime)
	}
	return info, nil
}

func journalPoint(position uint64, stored time.Time) *deskbridgev1.JournalPoint {
	return &deskbridgev1.JournalPoint{Position: position, StoreTime: timestamppb.New(stored)}
}
