package client

import "google.golang.org/grpc"

// connection is a gRPC connection, and how many calls are on it. Its Client's mutex guards the number.
type connection struct {
	*grpc.ClientConn
	calls int
}

// begin returns the connection for a call, which must end there.
func (c *Client) begin() *connection {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current.calls++
	return c.current
}

// end closes a connection that was replaced, behind its last call.
func (c *Client) end(conn *connection) {
	c.mu.Lock()
	conn.calls--
	_, isRetired := c.retired[conn]
	isUnused := isRetired && conn.calls == 0
	if isUnused {
		delete(c.retired, conn)
	}
	c.mu.Unlock()
	if isUnused {
		_ = conn.Close()
	}
}

// replace has the next calls use a new connection, for the caller's is dead or can't be made; unless another
// subscription has seen to that already.
//
// A connection whose far end vanished without a word looks healthy for as long as TCP keeps trying: a new stream on it
// would be as silent as the old one. And one that could not be made waits out gRPC's own backoff, and fails all calls
// meanwhile, although the bridge may be back. With a new one the next attempt dials at once, at the pace of our backoff
// alone.
//
// Nobody else's call is cut for that: the connection may serve others well, as when a proxy has a stream wait until
// others on its connection end.
func (c *Client) replace(conn *connection) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current != conn || c.isClosed() {
		return
	}
	fresh, err := c.dial()
	if err != nil {
		return // can't happen, as New dialed the same; the old one still reconnects by itself
	}
	c.current = &connection{ClientConn: fresh}
	c.retired[conn] = struct{}{}
}
