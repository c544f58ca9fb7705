package journal

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"os"
)

// bootID names the boot of the machine: what a process had written and not synced is lost only when it changes. Where
// the system doesn't tell, it is never the same.
func bootID() uint64 {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		text = []byte(rand.Text())
	}
	sum := sha256.Sum256(text)
	return max(1, binary.LittleEndian.Uint64(sum[:]))
}
