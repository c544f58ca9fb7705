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
	TLSCA     string `name:"tls-ca" help:"PEM file to trust instead of the system's." placeholder:"FILE" xor:"tls"`
	Plaintext bool   `help:"No TLS, though the address is on another machine." env:"DESKCTL_PLAINTEXT" xor:"tls"`
}

func (f *connectionFlags) dial() (*client.Client, error) {
	config := client.Config{Address: f.Addr, Plaintext: f.Plaintext}
	if f.TokenFile != "" {
		config.Token = client.TokenFile(f.TokenFile)
	}
	if f.TLSCA != "" {
		roots, err := readCertificates(f.TLSCA)
		if err != nil {
			return nil, err
		}
		config.TLS = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	return client.New(config)
}

func readCertificates(path string) (*x509.CertPool, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--tls-ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(content) {
		return nil, usagef("--tls-ca: %s holds no PEM certificate", path)
	}
	return pool, nil
}
