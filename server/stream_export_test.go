package server

import "github.com/deskbridge/deskbridge/server/internal/fanout"

// FanoutStats lets tests see what the streams hold.
func (s *Server) FanoutStats() fanout.Stats { return s.hub.Stats() }

// OwnServices are the names of the contract's services on the gRPC port.
func (s *Server) OwnServices() []string { return s.ownServices() }
