package access

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"

	"google.golang.org/grpc/metadata"
)

// What the HTTP listener tells the gRPC server about a caller, beside the Authorization header that it passes on. It
// counts on the connection between the two only: from anywhere else it is what the caller says of itself.
const (
	edgeRemote      = "deskbridge-remote"
	edgeCertificate = "deskbridge-certificate-bin"
)

// EdgeMetadata presents the caller of an HTTP request.
func EdgeMetadata(r *http.Request) metadata.MD {
	md := metadata.Pairs(edgeRemote, r.RemoteAddr)
	for _, certificate := range VerifiedCertificates(r.TLS) {
		md.Append(edgeCertificate, string(certificate.Raw))
	}
	return md
}

// EdgeCaller is the inverse of EdgeMetadata. It returns the caller's address, too.
func EdgeCaller(md metadata.MD) (caller Caller, remote string) {
	caller.Authorization = md["authorization"]
	for _, raw := range md[edgeCertificate] {
		if certificate, err := x509.ParseCertificate([]byte(raw)); err == nil {
			caller.Certificates = append(caller.Certificates, certificate)
		}
	}
	for _, address := range md[edgeRemote] {
		remote = address
	}
	return caller, remote
}

// VerifiedCertificates are what a connection's client has sent; none unless the connection has verified the first.
func VerifiedCertificates(state *tls.ConnectionState) []*x509.Certificate {
	if state == nil || len(state.VerifiedChains) == 0 {
		return nil
	}
	return state.PeerCertificates
}
