// Command deskbridge is the daemon: it reads its settings from flags, the environment and a file, and runs the bridge
// until SIGINT or SIGTERM. It exits with 0 after a clean end, 1 after a failure and 2 for unusable settings.
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
	kongyaml "github.com/alecthomas/kong-yaml"

	"github.com/deskbridge/deskbridge/server"
)

// Exit codes.
const (
	exitFailure = 1
	exitUsage   = 2
)

type cli struct {
	File kong.ConfigFlag `name:"config" help:"Read settings from this YAML file; flags and the environment win over it."`

	server.Config `embed:""`

	ShowVersion bool     `name:"version" env:"-" help:"Print the version and leave."`
	Serve       struct{} `cmd:"" default:"1" help:"Run the bridge."`
	Version     struct{} `cmd:"" help:"Print the version and leave."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var cli cli
	parser := kong.Must(&cli,
		kong.Name("deskbridge"),
		kong.Description("Takes Tencent Cloud Desk callbacks in and streams them out over gRPC."),
		kong.DefaultEnvars("DESKBRIDGE"),
		kong.Configuration(loadFile),
	)
	parsed, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintln(stderr, "deskbridge:", err)
		return exitUsage
	}
	if cli.ShowVersion || parsed.Command() == "version" {
		fmt.Fprintln(stdout, version())
		return 0
	}
	if err := cli.Validate(); err != nil {
		fmt.Fprintln(stderr, "deskbridge:", err)
		return exitUsage
	}
	logger := newLogger(stderr, cli.LogFormat, cli.LogLevel)
	logger.Info("deskbridge is starting", "build", version())
	if err := serve(ctx, cli, logger); err != nil {
		logger.Error("deskbridge failed", "error", err)
		return exitFailure
	}
	logger.Info("deskbridge has stopped")
	return 0
}

func serve(ctx context.Context, cli cli, logger *slog.Logger) error {
	bridge, err := server.New(ctx, cli.Config, logger)
	if err != nil {
		return err
	}
	return bridge.Run(ctx)
}

func newLogger(w io.Writer, format, level string) *slog.Logger {
	var least slog.Level
	_ = least.UnmarshalText([]byte(level)) // the parser admits known levels only
	options := &slog.HandlerOptions{Level: least}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// loadFile reads the file for what neither flags nor the environment have set: kong asks it only for the former.
func loadFile(r io.Reader) (kong.Resolver, error) {
	file, err := kongyaml.Loader(r)
	if err != nil {
		return nil, err
	}
	return kong.ResolverFunc(func(ctx *kong.Context, parent *kong.Path, flag *kong.Flag) (any, error) {
		for _, name := range flag.Envs {
			if _, set := os.LookupEnv(name); set {
				return nil, nil
			}
		}
		return file.Resolve(ctx, parent, flag)
	}), nil
}
