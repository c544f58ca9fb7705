package rpc

import (
	"errors"
	"testing"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
	"github.com/deskbridge/deskbridge/server/internal/fanout"
)

func TestAdmissionCountsAndCloses(t *testing.T) {
	t.Parallel()
	a := newAdmission(2)
	for range 2 {
		if err := a.enter(); err != nil {
			t.Fatal(err)
		}
	}
	var refused *callError
	if err := a.enter(); !errors.As(err, &refused) ||
		refused.detail.GetReason() != deskbridgev1.ErrorReason_ERROR_REASON_LIMIT_EXCEEDED {
		t.Errorf("beyond the limit: %v", err)
	}
	a.leave()
	if err := a.enter(); err != nil {
		t.Errorf("in the place of one that left: %v", err)
	}
	empty := a.close()
	if a.closing.Err() == nil {
		t.Error("the streams are not told to end")
	}
	a.leave()
	if err := a.enter(); !errors.Is(err, fanout.ErrStopped) {
		t.Errorf("after close: %v", err)
	}
	select {
	case <-empty:
		t.Error("empty, with a stream open")
	default:
	}
	a.leave()
	<-empty
	<-newAdmission(1).close()
}
