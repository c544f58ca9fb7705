package main

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/term"
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

// complain writes an error for people.
func (c *console) complain(err error) { c.notef("%v", err) }

// notef writes a line about what is going on, beside the results. There is nobody to tell when that fails.
func (c *console) notef(format string, args ...any) {
	_, _ = fmt.Fprintf(c.err, "deskctl: "+format+"\n", args...)
}
