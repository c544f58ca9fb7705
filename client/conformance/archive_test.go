//go:build clients

package conformance_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/deskbridge/deskbridge/client/bridgetest"
	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// archive is a bridge with a long journal, which the clients of all languages share. Each has a proxy of its own to it.
type archive struct {
	fill func() (*bridgetest.Bridge, []*deskbridgev1.SessionEvent)
}

const archiveSize = 100_000

// newArchive fills the archive when it is first asked for.
func newArchive(t *testing.T) *archive {
	return &archive{fill: sync.OnceValues(func() (*bridgetest.Bridge, []*deskbridgev1.SessionEvent) {
		bridge := bridgetest.Start(t)
		for bridge.Journal().GetEventCount() < archiveSize {
			bridge.Play(1000)
		}
		return bridge, bridge.Events()
	})}
}

// door is a proxy that is shut at first: connections are reset.
type door struct {
	*bridgetest.Proxy
	isOpen atomic.Bool
}

func newDoor(s *stage, bridge *bridgetest.Bridge) *door {
	s.Helper()
	d := &door{}
	d.Proxy = bridgetest.NewProxy(s, func() string {
		if d.isOpen.Load() {
			return bridge.Addr()
		}
		return ""
	})
	return d
}

func (d *door) open() { d.isOpen.Store(true) }
