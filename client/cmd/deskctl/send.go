package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/deskbridge/deskbridge/client"
	"github.com/deskbridge/deskbridge/client/cmd/deskctl/internal/render"
	"github.com/deskbridge/deskbridge/client/internal/webhook"
)

// webhookFlags say where callbacks go, and as whose.
type webhookFlags struct {
	URL       string        `help:"The webhook." default:"http://127.0.0.1:8080/v1/callbacks/desk" env:"DESKCTL_URL"`
	SdkAppID  string        `name:"sdk-app-id" help:"The app that callbacks are from." default:"1600012345"`
	TokenFile string        `help:"File with the webhook token: signs the URL." placeholder:"FILE"`
	TLSCA     string        `name:"tls-ca" help:"PEM file to trust, not the system's." env:"DESKCTL_TLS_CA"`
	Timeout   time.Duration `help:"How long to wait for an answer. The vendor waits two seconds." default:"2s"`
}

func (f *webhookFlags) poster(connections int) (*webhook.Poster, error) {
	config := webhook.Config{URL: f.URL, SdkAppID: f.SdkAppID, Connections: connections}
	if f.TokenFile != "" {
		config.Token = client.TokenFile(f.TokenFile)
	}
	var err error
	if config.TLS, err = trusting(f.TLSCA); err != nil {
		return nil, err
	}
	poster, err := webhook.New(config)
	if err != nil {
		return nil, usagef("--url: %w", err)
	}
	return poster, nil
}

type sendCommand struct {
	webhookFlags
	File      string `arg:"" help:"File with the callback's body; - for standard input."`
	RequestID string `name:"request-id" help:"RequestID to send; none when empty." placeholder:"ID"`
	Command   string `help:"CallbackCommand to send." default:"${sessionEventCommand}"`
}

// Run prints the answer, and fails unless it acknowledges.
func (c *sendCommand) Run(ctx context.Context, console *console) error {
	body, err := readBody(c.File, console.in)
	if err != nil {
		return err
	}
	poster, err := c.poster(1)
	if err != nil {
		return err
	}
	defer poster.Close()
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	answer, err := poster.Post(ctx, webhook.Callback{Command: c.Command, RequestID: c.RequestID, Body: body})
	if err != nil {
		return err
	}
	text := render.Escape(string(bytes.TrimSpace(answer.Text)))
	if _, err := fmt.Fprintln(console.out, text); err != nil {
		return err
	}
	if !answer.Acknowledged() {
		return fmt.Errorf("not acknowledged: HTTP status %d", answer.HTTPStatus)
	}
	return nil
}

func readBody(path string, stdin io.Reader) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(stdin)
	}
	return os.ReadFile(path)
}
