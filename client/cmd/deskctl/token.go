package main

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"time"
)

type tokenCommand struct {
	New tokenNewCommand `cmd:"" help:"Make a bearer token, and its line for the bridge's access file."`
}

type tokenNewCommand struct {
	Out     string        `short:"o" help:"Write the token to this new file, not to standard output." placeholder:"FILE"`
	Expires time.Duration `help:"How long the token is good for, as in 2160h; for ever when 0." default:"0s"`
}

// Help is shown above the flags.
func (c *tokenNewCommand) Help() string {
	return `The token is printed this once and kept nowhere: the bridge knows its hash alone.`
}

// tokenPrefix lets scanners for leaked secrets know a token when they see one.
const tokenPrefix = "dsk_"

// Run prints the line, below the token where that doesn't go to a file.
func (c *tokenNewCommand) Run(console *console) error {
	if c.Expires < 0 {
		return usagef("--expires: %v is negative", c.Expires)
	}
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	token := tokenPrefix + base64.RawURLEncoding.EncodeToString(secret)
	if err := c.deliver(console, token); err != nil {
		return err
	}
	_, err := fmt.Fprintln(console.out, c.line(token))
	return err
}

func (c *tokenNewCommand) deliver(console *console, token string) error {
	if c.Out == "" {
		_, err := fmt.Fprintln(console.out, token)
		return err
	}
	file, err := os.OpenFile(c.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	if _, err = fmt.Fprintln(file, token); err != nil {
		_ = file.Close()
		return fmt.Errorf("--out: %w", err)
	}
	return file.Close()
}

// line is an entry of a principal's tokens.
func (c *tokenNewCommand) line(token string) string {
	sum := sha256.Sum256([]byte(token))
	line := "- {sha256: " + hex.EncodeToString(sum[:])
	if c.Expires > 0 {
		line += ", expires: " + time.Now().Add(c.Expires).UTC().Format(time.RFC3339)
	}
	return line + "}"
}
