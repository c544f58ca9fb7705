package bridgetest

import (
	"net"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// Reject cuts all connections and answers the next gRPC call, whatever its method, with a status: as the bridge does
// when it has a detail, or as something in between when that is nil. Called several times, it answers that many calls,
// in that order. The calls after them get through.
func (p *Proxy) Reject(code codes.Code, detail *deskbridgev1.ErrorDetail) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rejections = append(p.rejections, rejection(code, detail))
	p.cutLocked()
}

func rejection(code codes.Code, detail *deskbridgev1.ErrorDetail) error {
	s := status.New(code, "rejected by the test")
	if detail != nil {
		var err error
		if s, err = s.WithDetails(proto.CloneOf(detail)); err != nil {
			panic("bridgetest: Reject: " + err.Error()) // the code was OK
		}
	}
	return s.Err()
}

// nextRejection returns how to answer a call, and whether there are more.
func (p *Proxy) nextRejection() (more bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.rejections) == 0 {
		return false, status.Error(codes.Unavailable, "connect again")
	}
	err = p.rejections[0]
	p.rejections = p.rejections[1:]
	return len(p.rejections) > 0, err
}

// reject speaks gRPC with the client of a link, until the rejections are used up.
func (p *Proxy) reject(l *link) {
	var server *grpc.Server
	var stopping sync.WaitGroup
	server = grpc.NewServer(grpc.WaitForHandlers(true), grpc.UnknownServiceHandler(func(any, grpc.ServerStream) error {
		more, err := p.nextRejection()
		if !more {
			stopping.Go(server.GracefulStop) // the next call shall use a new connection
		}
		return err
	}))
	_ = server.Serve(newSingleListener(l.client)) // ends with the connection
	server.Stop()
	stopping.Wait()
}

// singleListener has one connection to accept, and ends with it.
type singleListener struct {
	addr   net.Addr
	once   sync.Once
	closed chan struct{}
	ready  chan net.Conn
}

func newSingleListener(conn net.Conn) *singleListener {
	l := &singleListener{addr: conn.LocalAddr(), closed: make(chan struct{}), ready: make(chan net.Conn, 1)}
	l.ready <- &closingConn{Conn: conn, closed: l.Close}
	return l
}

func (l *singleListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.ready:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *singleListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *singleListener) Addr() net.Addr { return l.addr }

// closingConn tells when gRPC is done with it.
type closingConn struct {
	net.Conn
	closed func() error
}

func (c *closingConn) Close() error {
	_ = c.closed()
	return c.Conn.Close()
}
