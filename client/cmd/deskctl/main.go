// Command deskctl watches, feeds and inspects a deskbridge from the command line. It is built on package client and the
// generated code alone, and must not import anything of the server.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/deskbridge/deskbridge/client/internal/webhook"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

const description = `Watch, feed and inspect a deskbridge.

Exit codes: 0 done, also when tail or simulate was interrupted; 1 failed; 2 wrong usage.`

type commandLine struct {
	Tail          tailCommand          `cmd:"" help:"Print session events as they arrive."`
	Info          infoCommand          `cmd:"" help:"Show where the journal begins and ends."`
	Subscriptions subscriptionsCommand `cmd:"" help:"List who reads events, and how far behind."`
	Simulate      simulateCommand      `cmd:"" help:"Play realistic sessions through the webhook."`
	Send          sendCommand          `cmd:"" help:"Post one callback to the webhook."`
	Quarantine    quarantineCommand    `cmd:"" help:"List, show, redrive or drop callbacks in quarantine."`
	Token         tokenCommand         `cmd:"" help:"Make tokens for those who read events."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process the hard way
	os.Exit(run(ctx, os.Args[1:], newConsole(os.Stdin, os.Stdout, os.Stderr)))
}

// run is the whole program but for the process: it returns the exit code.
func run(ctx context.Context, args []string, console *console) int {
	exit := -1 // set by kong for --help
	parser, err := kong.New(&commandLine{},
		kong.Name("deskctl"),
		kong.Description(description),
		kong.Writers(console.out, console.err),
		kong.Exit(func(code int) { exit = code }),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(console),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Vars{"sessionEventCommand": webhook.SessionEventCommand},
	)
	if err != nil {
		console.complain(err)
		return exitFailed
	}
	command, err := parser.Parse(args)
	switch {
	case exit >= 0:
		return exit
	case err != nil:
		console.complain(err)
		return exitUsage
	}
	return exitCode(console, command.Run())
}

func exitCode(console *console, err error) int {
	if err == nil {
		return exitOK
	}
	console.complain(err)
	if _, ok := errors.AsType[usageError](err); ok {
		return exitUsage
	}
	return exitFailed
}

// usageError is a fault of the command line that the parser could not see.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }
