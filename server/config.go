package server

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/deskbridge/deskbridge/server/internal/journal"
)

// Config is every setting of the bridge, its documentation and its default. The daemon reads it from flags, from the
// environment (DESKBRIDGE_ and the flag's name in capitals) and from a file; tests fill it in.
//
//nolint:lll // a setting is one line: name, default and meaning together
type Config struct {
	HTTPAddr       string `name:"http-addr" default:"127.0.0.1:8080" help:"Address of the HTTP listener: the webhook, and the event stream as JSON. Port 0 picks a free one."`
	GRPCAddr       string `name:"grpc-addr" default:"127.0.0.1:9090" help:"Address of the gRPC listener. Port 0 picks a free one."`
	MetricsAddr    string `name:"metrics-addr" help:"Address of the listener for Prometheus, at every path but /livez and /readyz. None: no metrics are served."`
	TracesEndpoint string `name:"traces-endpoint" help:"URL of an OpenTelemetry collector (OTLP over gRPC) that gets a trace of each callback, up to its delivery, for instance http://127.0.0.1:4317. None: as OTEL_EXPORTER_OTLP_ENDPOINT says; without that too, no traces."`
	DataDir        string `name:"data-dir" default:"data" type:"path" help:"Directory of the journal. One process at a time."`
	LogFormat      string `name:"log-format" default:"text" enum:"text,json" help:"Form of the log on standard error: text or json."`
	LogLevel       string `name:"log-level" default:"info" enum:"debug,info,warn,error" help:"Least severe log lines that are written."`

	TLSCert   string `name:"tls-cert-file" type:"path" help:"PEM file of the certificate, and its chain, of the HTTP and gRPC listeners. Read again when it changes. None: no TLS."`
	TLSKey    string `name:"tls-key-file" type:"path" help:"PEM file of the certificate's key."`
	ClientCAs string `name:"tls-client-ca-file" type:"path" help:"PEM file of the authorities that sign the certificates of clients, which a principal of the access file may have in place of a token."`
	Access    string `name:"access-file" type:"path" help:"YAML file of those who may read events: their tokens or certificates, and what each may read. Read again when it changes. None: everyone may read everything."`
	CallRate  int    `name:"max-call-rate" default:"100" help:"Calls a second that a principal of the access file may make, event streams apart."`
	MaxConns  int    `name:"max-connections" default:"16384" help:"Connections open at once at the HTTP and at the gRPC listener, each; more are closed at once."`
	Insecure  bool   `name:"insecure" help:"Listen beyond loopback without TLS, or without an access file, or use NATS servers there without TLS: anyone who reaches the port, or the network, can read everything."`

	SDKAppIDs       []string      `name:"sdk-app-id" help:"App whose callbacks are accepted (SdkAppid of the URL); repeatable. None: any app, on loopback only."`
	CallbackTokens  string        `name:"callback-token-file" type:"path" help:"File with the token of the vendor's webhook authentication; a second line holds a second one, for rotation. Every callback must be signed with one of them then. Read again when it changes."`
	CallbackSkew    time.Duration `name:"callback-max-skew" default:"60s" help:"Largest distance of a signature's RequestTime from now."`
	UnsignedOK      bool          `name:"allow-unsigned-callbacks" help:"Listen for callbacks beyond loopback without a token: anyone who reaches the port can make up events."`
	CallbackBody    int64         `name:"callback-max-body" default:"1048576" help:"Largest body of a callback, in bytes."`
	CallbackTimeout time.Duration `name:"callback-body-timeout" default:"2s" help:"Longest time that the body of a callback may take to arrive."`
	CallbackLimit   int           `name:"callback-max-concurrent" default:"4096" help:"Callbacks under way at once; more are answered with 503."`

	DedupeWindow time.Duration `name:"dedupe-window" default:"10m" help:"A callback that is repeated within this time is stored once. Costs some 70 bytes of memory for each event of the window; with a cluster 200, on its servers."`
	AckTimeout   time.Duration `name:"ack-timeout" default:"1500ms" help:"A callback is stored within this time or answered with 503. The vendor waits two seconds."`
	Sync         string        `name:"sync" default:"always" enum:"always,interval" help:"When the journal reaches the disk: always (before the answer), or interval (faster; a power cut loses what was acknowledged last)."`
	Retention    time.Duration `name:"retention" default:"720h" help:"Events older than this are trimmed. 0 keeps them for ever."`
	MaxBytes     int64         `name:"max-bytes" default:"0" help:"The journal is trimmed from its oldest events to stay below this size in bytes. 0 sets no bound."`

	NATSURL         string `name:"nats-url" help:"NATS servers with JetStream to keep the journal on, comma separated, so that several bridges share it; with tls:// for TLS. None: it is in the data directory."`
	NATSCredentials string `name:"nats-credentials-file" type:"path" help:"File with the JWT and the seed of a NATS user."`
	NATSCA          string `name:"nats-ca-file" type:"path" help:"PEM file of the authorities that sign the certificates of the NATS servers, for TLS also without tls://. None: those of the system."`
	NATSCert        string `name:"nats-cert-file" type:"path" help:"PEM file of the bridge's own certificate for the NATS servers."`
	NATSKey         string `name:"nats-key-file" type:"path" help:"PEM file of that certificate's key."`
	Replicas        int    `name:"replicas" default:"3" help:"NATS servers that keep each event: 1, 3 or 5. An event is stored when most of them have it."`
	SpoolMaxBytes   int64  `name:"spool-max-bytes" default:"1073741824" help:"Events that the NATS servers can't take wait in the data directory, up to this size in bytes; then callbacks are answered with 503."`

	MaxStreams    int           `name:"max-streams" default:"10000" help:"Event streams open at once, gRPC and HTTP together; more are refused. One costs some 22 KiB, and its connection as much again."`
	MaxStreamAge  time.Duration `name:"max-stream-age" default:"0s" help:"A stream that has lasted this long, give or take a tenth, is told to reconnect, so that streams spread over the bridges behind a balancer. 0 sets no bound."`
	WindowBytes   int64         `name:"window-bytes" default:"67108864" help:"Memory in bytes for recent events, which all live streams read. A stream that is further behind reads the journal."`
	SendTimeout   time.Duration `name:"send-timeout" default:"30s" help:"A stream whose reader takes nothing for this long is cut."`
	ShutdownDelay time.Duration `name:"shutdown-delay" default:"0s" help:"On a shutdown the bridge says that it is not ready, and serves on, for this long: as long as a balancer takes to notice."`
	DrainTimeout  time.Duration `name:"drain-timeout" default:"10s" help:"Longest time that a shutdown waits for callbacks and streams to end, behind --shutdown-delay."`
	DrainSpread   time.Duration `name:"drain-spread" default:"2s" help:"On a shutdown readers are told to reconnect after a random delay of up to this."`
}

// maxCallbackBody is what the quarantine can keep of one callback, less room for what is kept beside its body.
const maxCallbackBody = journal.MaxQuarantineBytes - 128<<10

// DefaultConfig is a Config with its defaults.
func DefaultConfig() Config {
	var config Config
	if err := kong.ApplyDefaults(&config); err != nil {
		panic(err) // a tag above is malformed
	}
	return config
}

// Validate checks what a parser of flags can't see. Its errors name the setting.
func (c *Config) Validate() error {
	var errs []error
	for _, bound := range []struct {
		name  string
		value int64
	}{
		{"callback-max-body", c.CallbackBody},
		{"callback-body-timeout", int64(c.CallbackTimeout)},
		{"callback-max-concurrent", int64(c.CallbackLimit)},
		{"callback-max-skew", int64(c.CallbackSkew)},
		{"dedupe-window", int64(c.DedupeWindow)},
		{"ack-timeout", int64(c.AckTimeout)},
		{"max-streams", int64(c.MaxStreams)},
		{"max-call-rate", int64(c.CallRate)},
		{"max-connections", int64(c.MaxConns)},
		{"window-bytes", c.WindowBytes},
		{"send-timeout", int64(c.SendTimeout)},
		{"drain-timeout", int64(c.DrainTimeout)},
		{"spool-max-bytes", c.SpoolMaxBytes},
	} {
		if bound.value <= 0 {
			errs = append(errs, fmt.Errorf("--%s must be greater than 0", bound.name))
		}
	}
	if c.CallbackBody > maxCallbackBody {
		errs = append(errs, fmt.Errorf("--callback-max-body must be at most %d", maxCallbackBody))
	}
	if c.MaxStreamAge < 0 || c.DrainSpread < 0 || c.ShutdownDelay < 0 {
		errs = append(errs, errors.New("--max-stream-age, --drain-spread and --shutdown-delay must not be negative"))
	}
	errs = append(errs, c.validateNATS(), c.validateSecurity())
	if len(c.SDKAppIDs) == 0 && !isLoopback(c.HTTPAddr) {
		errs = append(errs, fmt.Errorf("--http-addr %s is not on loopback: name the apps to accept with --sdk-app-id",
			c.HTTPAddr))
	}
	if c.CallbackTokens == "" && !c.UnsignedOK && !isLoopback(c.HTTPAddr) {
		errs = append(errs, fmt.Errorf("--http-addr %s is not on loopback: give the webhook's token with "+
			"--callback-token-file, or --allow-unsigned-callbacks", c.HTTPAddr))
	}
	return errors.Join(errs...)
}

func (c *Config) validateNATS() error {
	files := c.NATSCredentials + c.NATSCA + c.NATSCert + c.NATSKey
	switch {
	case c.NATSURL == "" && files != "":
		return errors.New("--nats-credentials-file, --nats-ca-file, --nats-cert-file and --nats-key-file need --nats-url")
	case (c.NATSCert == "") != (c.NATSKey == ""):
		return errors.New("--nats-cert-file and --nats-key-file need each other")
	case c.Replicas != 1 && c.Replicas != 3 && c.Replicas != 5:
		return fmt.Errorf("--replicas must be 1, 3 or 5, not %d", c.Replicas)
	}
	return nil
}

func (c *Config) validateSecurity() error {
	switch {
	case (c.TLSCert == "") != (c.TLSKey == ""):
		return errors.New("--tls-cert-file and --tls-key-file need each other")
	case c.ClientCAs != "" && (c.TLSCert == "" || c.Access == ""):
		return errors.New("--tls-client-ca-file needs --tls-cert-file, and --access-file to say who the clients are")
	}
	if missing := c.missingSecurity(); len(missing) > 0 && !c.Insecure {
		return fmt.Errorf("%s: give what is missing, or --insecure", strings.Join(missing, ", and "))
	}
	return nil
}

// missingSecurity says what listeners beyond loopback lack, and NATS servers there.
func (c *Config) missingSecurity() []string {
	var missing []string
	for _, listener := range []struct{ name, addr string }{{"http", c.HTTPAddr}, {"grpc", c.GRPCAddr}} {
		if isLoopback(listener.addr) {
			continue
		}
		if c.TLSCert == "" {
			missing = append(missing, fmt.Sprintf("--%s-addr %s is not on loopback and there is no --tls-cert-file: "+
				"what passes can be read and altered on the way", listener.name, listener.addr))
		}
		if c.Access == "" {
			missing = append(missing, fmt.Sprintf("--%s-addr %s is not on loopback and there is no --access-file: "+
				"anyone who reaches it can read every event", listener.name, listener.addr))
		}
	}
	if c.natsInTheOpen() {
		missing = append(missing, "--nats-url is not on loopback, and has neither tls:// nor a --nats-ca-file: "+
			"what passes can be read and altered on the way") // without the URL, which may hold a password
	}
	return missing
}

// natsInTheOpen tells whether a NATS server is reached over a network without TLS. One URL with tls:// has the client
// want it of all servers, and so has a file of authorities or a certificate.
func (c *Config) natsInTheOpen() bool {
	if c.NATSCA != "" || c.NATSCert != "" {
		return false
	}
	beyond := false
	for address := range strings.SplitSeq(c.NATSURL, ",") {
		address = strings.TrimSpace(address)
		if !strings.Contains(address, "://") {
			address = "nats://" + address
		}
		server, err := url.Parse(address)
		switch {
		case err != nil || server.Host == "": // the client refuses it, or skips it
		case server.Scheme == "tls" || server.Scheme == "wss":
			return false
		default:
			beyond = beyond || !isLoopbackHost(server.Hostname())
		}
	}
	return beyond
}

// readTokens reads a token a line. A file without a token is a mistake.
func readTokens(path string) ([]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	tokens := strings.Fields(string(text))
	if len(tokens) == 0 || len(tokens) > 2 {
		return nil, fmt.Errorf("%s has %d tokens, want one or two, each on a line", path, len(tokens))
	}
	return tokens, nil
}

// callbackMode says in words what is asked of a callback.
func (c *Config) callbackMode(signed bool) string {
	switch {
	case signed:
		return "must be signed"
	case isLoopback(c.HTTPAddr):
		return "unsigned, on loopback only"
	default:
		return "UNSIGNED, FROM ANYWHERE"
	}
}

// isLoopback tells whether an address to listen on can be reached from this machine only.
func isLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	return err == nil && isLoopbackHost(host)
}

func isLoopbackHost(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// retention is Retention in the journal's terms, where negative means for ever.
func (c *Config) retention() time.Duration {
	if c.Retention == 0 {
		return -1
	}
	return c.Retention
}
