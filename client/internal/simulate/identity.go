package simulate

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// startOfPast is where made-up times in the past begin, in Unix seconds: they must not depend on the clock.
const startOfPast = 1_735_689_600

func (s *story) bytes(n int) []byte {
	b := make([]byte, 0, n+8)
	for len(b) < n {
		b = binary.BigEndian.AppendUint64(b, s.random.Uint64())
	}
	return b[:n]
}

func (s *story) hex(digits int) string { return hex.EncodeToString(s.bytes((digits + 1) / 2))[:digits] }

func (s *story) uuid() string {
	b := s.bytes(16)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func (s *story) userID() string { return fmt.Sprintf("buyer_%04d", s.random.IntN(10_000)) }

func (s *story) agentID() string {
	return pick(s, "amy", "bob", "chen.wei", "dora", "emre", "farah") + "@example.com"
}

// ipAddress is from the networks set aside for documentation.
func (s *story) ipAddress() string {
	return fmt.Sprintf("%s.%d", pick(s, "203.0.113", "198.51.100"), 1+s.random.IntN(254))
}

func (s *story) messageKey() string {
	s.messages++
	return fmt.Sprintf("%d_%d_%d", s.messages, s.random.Uint32(), s.pastSeconds())
}

func (s *story) pastSeconds() int { return startOfPast + s.random.IntN(10_000_000) }

func (s *story) fileKey() string { return "1600012345-" + s.user + "-" + s.hex(32) }

func (s *story) fileURL(kind string) string {
	return "https://cos.example.com/1600012345/" + s.hex(4) + "/" + kind + "-" + s.hex(12)
}
