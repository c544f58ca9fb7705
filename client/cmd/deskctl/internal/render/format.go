// Package render turns events into text for people and programs. What it returns is safe to write to a terminal: an
// event is written by strangers, and must not be able to move the cursor, change colours or forge a line. It does no
// I/O.
package render

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/template"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// Format returns an event's text, with its line break.
type Format func(*deskbridgev1.SessionEvent) ([]byte, error)

const templatePrefix = "go-template="

// ParseFormat returns the format of that name: "pretty", "json" or "go-template=" and a template.
func ParseFormat(name string, colour bool) (Format, error) {
	switch {
	case name == "pretty":
		return newPretty(colour, time.Local).format, nil
	case name == "json":
		return func(event *deskbridgev1.SessionEvent) ([]byte, error) { return JSON(event) }, nil
	case strings.HasPrefix(name, templatePrefix):
		return parseTemplate(strings.TrimPrefix(name, templatePrefix))
	default:
		return nil, fmt.Errorf("unknown format %q: want pretty, json or %sTEMPLATE", name, templatePrefix)
	}
}

// JSON returns a message as one line of JSON. The same message always gives the same bytes.
func JSON(message proto.Message) ([]byte, error) {
	text, err := protojson.Marshal(message)
	if err != nil {
		return nil, err
	}
	var line bytes.Buffer // protojson varies its spaces on purpose
	if err := json.Compact(&line, text); err != nil {
		return nil, err
	}
	line.WriteByte('\n')
	return escapeControls(line.Bytes()), nil
}

// escapeControls escapes the control characters that JSON allows in strings and terminals obey: DEL and the C1 set,
// which are two bytes in UTF-8, from C2 80 to C2 9F.
func escapeControls(text []byte) []byte {
	if !bytes.ContainsRune(text, 0x7f) && !bytes.Contains(text, []byte{0xc2}) {
		return text
	}
	var safe bytes.Buffer
	for _, r := range string(text) {
		if r >= 0x7f && r <= 0x9f {
			fmt.Fprintf(&safe, `\u%04x`, r)
		} else {
			safe.WriteRune(r)
		}
	}
	return safe.Bytes()
}

// Escape returns the text with everything escaped that is not a visible character or a space.
func Escape(text string) string {
	quoted := strconv.QuoteToGraphic(text)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}

// parseTemplate makes a format of a Go template over SessionEvent. It is the user's own choice what the template
// prints: the function escape is there for what goes to a terminal.
func parseTemplate(text string) (Format, error) {
	if text == "" {
		return nil, errors.New("the template is empty")
	}
	functions := template.FuncMap{
		"content": Content,
		"escape":  Escape,
		"json":    jsonText,
	}
	parsed, err := template.New("event").Funcs(functions).Parse(text)
	if err != nil {
		return nil, err
	}
	return func(event *deskbridgev1.SessionEvent) ([]byte, error) {
		var line bytes.Buffer
		if err := parsed.Execute(&line, event); err != nil {
			return nil, err
		}
		line.WriteByte('\n')
		return line.Bytes(), nil
	}, nil
}

func jsonText(message proto.Message) (string, error) {
	line, err := JSON(message)
	return string(bytes.TrimSuffix(line, []byte{'\n'})), err
}
