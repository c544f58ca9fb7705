//go:build !linux

package server

import (
	"net"
	"time"
)

// newListenConfig leaves it to the system to notice that the other side has vanished.
func newListenConfig(time.Duration) *net.ListenConfig { return &net.ListenConfig{} }

func noticeVanished(listener net.Listener) net.Listener { return listener }
