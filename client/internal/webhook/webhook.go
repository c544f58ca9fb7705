// Package webhook posts callbacks the way the vendor does: the parameters appended to the URL, signed where a token is
// set, and an answer in JSON. It decides nothing about what is posted.
package webhook

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// SessionEventCommand is the CallbackCommand of session events.
const SessionEventCommand = "Desk.SessionEventNotify"

// maxAnswerBytes bounds what is read of an answer.
const maxAnswerBytes = 64 << 10

// Config says where callbacks go.
type Config struct {
	// URL of the webhook.
	URL string
	// SdkAppID is the app that callbacks are from.
	SdkAppID string
	// Token returns the secret to sign with. Not signed when nil.
	Token func(context.Context) (string, error)
	// TLS is how to reach an https URL; as the system has it when nil.
	TLS *tls.Config
	// Connections is how many connections to keep open between callbacks; 1 when 0.
	Connections int
}

// Poster posts callbacks. Its methods may be called concurrently.
type Poster struct {
	config Config
	client *http.Client
}

// New returns a Poster; an error is one of the URL.
func New(config Config) (*Poster, error) {
	target, err := url.Parse(config.URL)
	if err != nil {
		return nil, err
	}
	if target.Scheme != "http" && target.Scheme != "https" || target.Host == "" {
		return nil, fmt.Errorf("%q is not an http or https URL", config.URL)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns = 0
	transport.TLSClientConfig = config.TLS
	transport.MaxIdleConnsPerHost = max(config.Connections, 1)
	return &Poster{config: config, client: &http.Client{Transport: transport}}, nil
}

// Close closes the idle connections.
func (p *Poster) Close() { p.client.CloseIdleConnections() }

// Callback is one callback. Empty parameters but RequestID are sent empty, as the vendor does.
type Callback struct {
	Command   string
	ClientIP  string
	Platform  string
	RequestID string
	Body      []byte
}

// Answer is what the webhook said.
type Answer struct {
	HTTPStatus   int
	ActionStatus string
	ErrorInfo    string
	ErrorCode    int
	// Text is the answer's body.
	Text []byte
}

// Acknowledged says whether the vendor would take the callback as delivered, and the webhook took it.
func (a *Answer) Acknowledged() bool {
	return a.HTTPStatus == http.StatusOK && a.ActionStatus == "OK" && a.ErrorCode == 0
}

// Post sends a callback and reads the answer. An answer that is not in the vendor's form is not an error: it is one
// that does not acknowledge.
func (p *Poster) Post(ctx context.Context, callback Callback) (*Answer, error) {
	target, err := p.target(ctx, callback)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(callback.Body))
	if err != nil {
		return nil, err
	}
	response, err := p.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes))
	if err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	return parseAnswer(response.StatusCode, text), nil
}

func parseAnswer(status int, text []byte) *Answer {
	answer := &Answer{Text: text}
	if json.Unmarshal(text, answer) != nil {
		answer = &Answer{}
	}
	answer.HTTPStatus, answer.Text = status, text
	return answer
}

// target is the URL with the parameters in the vendor's order.
func (p *Poster) target(ctx context.Context, callback Callback) (string, error) {
	parameters := []string{
		"SdkAppid=" + url.QueryEscape(p.config.SdkAppID),
		"CallbackCommand=" + url.QueryEscape(callback.Command),
		"contenttype=json",
		"ClientIP=" + url.QueryEscape(callback.ClientIP),
		"OptPlatform=" + url.QueryEscape(callback.Platform),
	}
	if callback.RequestID != "" {
		parameters = append(parameters, "RequestID="+url.QueryEscape(callback.RequestID))
	}
	if p.config.Token != nil {
		token, err := p.config.Token(ctx)
		if err != nil {
			return "", err
		}
		requestTime := strconv.FormatInt(time.Now().Unix(), 10)
		parameters = append(parameters, "Sign="+Sign(token, requestTime), "RequestTime="+requestTime)
	}
	separator := "?"
	if strings.Contains(p.config.URL, "?") {
		separator = "&"
	}
	return p.config.URL + separator + strings.Join(parameters, "&"), nil
}

// Sign returns the vendor's signature: the hex SHA-256 of the token followed by the time, in Unix seconds as text.
func Sign(token, requestTime string) string {
	sum := sha256.Sum256([]byte(token + requestTime))
	return hex.EncodeToString(sum[:])
}
