package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/deskbridge/deskbridge/client"
	"github.com/deskbridge/deskbridge/client/cmd/deskctl/internal/render"
)

// console is where a command reads and writes. Results go to out, all else to err, so that out can be piped.
type console struct {
	in       io.Reader
	out, err io.Writer
	// colour: out is a terminal, and the user has not declined colours. interactive: err is a terminal.
	colour, interactive bool
}

func newConsole(in, out, err *os.File) *console {
	_, declined := os.LookupEnv("NO_COLOR")
	return &console{
		in: in, out: out, err: err,
		colour:      isTerminal(out) && !declined && os.Getenv("TERM") != "dumb",
		interactive: isTerminal(err),
	}
}

func isTerminal(file *os.File) bool { return term.IsTerminal(int(file.Fd())) }

// complain writes an error for people. Parts of it may come from a peer: what a terminal would obey is escaped.
func (c *console) complain(err error) {
	for line := range strings.Lines(err.Error()) {
		c.notef("%s", render.Escape(strings.TrimSuffix(line, "\n")))
	}
	if e, ok := errors.AsType[*client.Error](err); ok && e.EarliestCursor != "" {
		c.notef("events can be had behind %s to %s", render.Escape(e.EarliestCursor), render.Escape(e.LatestCursor))
	}
}

// notef writes a line about what is going on, beside the results. There is nobody to tell when that fails.
func (c *console) notef(format string, args ...any) {
	_, _ = fmt.Fprintf(c.err, "deskctl: "+format+"\n", args...)
}
