package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"

	"github.com/deskbridge/deskbridge/client"
)

// connectionFlags say how to reach the bridge's gRPC port.
type connectionFlags struct {
	Addr      string `help:"Address of the bridge's gRPC port." default:"127.0.0.1:9090" env:"DESKCTL_ADDR"`
	TokenFile string `help:"File with the bearer token to send." env:"DESKCTL_TOKEN_FILE" placeholder:"FILE"`
	TLSCA     string `name:"tls-ca" help:"PEM file to trust, not the system's." env:"DESKCTL_TLS_CA" placeholder:"FILE"`
	TLSCert   string `name:"tls-cert" help:"PEM file of a client certificate." env:"DESKCTL_TLS_CERT" placeholder:"FILE"`
	TLSKey    string `name:"tls-key" help:"PEM file of its key." env:"DESKCTL_TLS_KEY" placeholder:"FILE"`
	Plaintext bool   `help:"No TLS, though the address is on another machine." env:"DESKCTL_PLAINTEXT"`
}

func (f *connectionFlags) dial() (*client.Client, error) {
	config := client.Config{Address: f.Addr, Plaintext: f.Plaintext}
	if f.TokenFile != "" {
		config.Token = client.TokenFile(f.TokenFile)
	}
	if f.Plaintext && f.TLSCA+f.TLSCert+f.TLSKey != "" {
		return nil, usagef("--plaintext and the flags of TLS can't be used together")
	}
	var err error
	if config.TLS, err = f.tls(); err != nil {
		return nil, err
	}
	return client.New(config)
}

// tls is nil without flags about it.
func (f *connectionFlags) tls() (*tls.Config, error) {
	if (f.TLSCert == "") != (f.TLSKey == "") {
		return nil, usagef("--tls-cert and --tls-key need each other")
	}
	if f.TLSCA == "" && f.TLSCert == "" {
		return nil, nil //nolint:nilnil // no configuration is one
	}
	config, err := trusting(f.TLSCA)
	if err != nil || f.TLSCert == "" {
		return config, err
	}
	own, err := tls.LoadX509KeyPair(f.TLSCert, f.TLSKey)
	if err != nil {
		return nil, fmt.Errorf("--tls-cert: %w", err)
	}
	config.Certificates = []tls.Certificate{own}
	return config, nil
}

// trusting is a configuration for servers that the authorities in a file vouch for; the system's without a file.
func trusting(path string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if path == "" {
		return config, nil
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--tls-ca: %w", err)
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(content) {
		return nil, usagef("--tls-ca: %s holds no PEM certificate", path)
	}
	return config, nil
}
