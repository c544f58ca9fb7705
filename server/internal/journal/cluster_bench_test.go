package journal_test

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/deskbridge/deskbridge/server/internal/journal"
	"github.com/deskbridge/deskbridge/server/internal/journal/journaltest"
)

// BenchmarkClusterAppend has three servers in this process, which sync always.
func BenchmarkClusterAppend(b *testing.B) {
	cluster := journaltest.StartCluster(b, 3)
	j := open(b, journal.Config{DiskReserve: 1 << 20, Cluster: journal.Cluster{URLs: cluster.URLs()}})
	for _, callers := range []int{2, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			var n, spooled atomic.Int64
			b.SetParallelism(max(1, callers/runtime.GOMAXPROCS(0)))
			b.RunParallel(func(pb *testing.PB) {
				session := fmt.Sprint(callers, n.Add(1))
				for pb.Next() {
					receipt, err := j.Append(b.Context(), journal.Entry{SessionID: session, Data: make([]byte, 400)})
					if err != nil {
						b.Error(err)
					}
					if receipt.Spooled {
						spooled.Add(1)
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entries/s")
			b.ReportMetric(float64(spooled.Load()), "spooled")
		})
	}
}
