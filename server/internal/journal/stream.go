package journal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// engineWindow is for how long an embedded log engine itself remembers what it has: for what is published once more to
// learn whether it is there. At the start it reads as much back, slowly.
func engineWindow(config Config) time.Duration { return config.AckTimeout + time.Second }

func eventsConfig(config Config) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        eventsStream,
		Subjects:    []string{eventsPrefix + ">"},
		Storage:     jetstream.FileStorage,
		Retention:   jetstream.LimitsPolicy,
		Discard:     jetstream.DiscardOld,
		MaxBytes:    -1,
		Duplicates:  engineWindow(config),
		AllowDirect: true,
		Replicas:    1,
		Metadata:    map[string]string{},
	}
}

// clusterConfig has the servers trim: they keep their own files.
func clusterConfig(config Config) jetstream.StreamConfig {
	c := eventsConfig(config)
	c.Duplicates = config.DedupeWindow
	c.Replicas, c.MaxAge, c.MaxBytes = config.Cluster.Replicas, max(config.Retention, 0), orNone(config.MaxBytes)
	c.AllowAtomicPublish = true
	return c
}

func quarantineConfig(config Config) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        quarantineStream,
		Subjects:    []string{quarantineStream},
		Storage:     jetstream.FileStorage,
		Retention:   jetstream.LimitsPolicy,
		Discard:     jetstream.DiscardNew,
		MaxBytes:    config.QuarantineBytes,
		Duplicates:  engineWindow(config),
		AllowDirect: true,
		Replicas:    1,
		Metadata:    map[string]string{},
	}
}

// openStream opens the stream with the wanted configuration, and makes it when it may be new. It keeps its epoch.
func openStream(
	ctx context.Context, js jetstream.JetStream, config jetstream.StreamConfig, mayBeNew bool,
) (stream jetstream.Stream, made bool, err error) {
	stream, err = js.Stream(ctx, config.Name)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound) && mayBeNew:
		made, config.Metadata[epochKey] = true, newEpoch()
		stream, err = js.CreateStream(ctx, config)
	case errors.Is(err, jetstream.ErrStreamNotFound):
		err = fmt.Errorf("%w: the log engine can't open it; its log says why", ErrDamaged)
	case err == nil:
		stream, err = updateStream(ctx, js, stream, config)
	}
	if err != nil {
		return nil, false, fmt.Errorf("stream %q: %w", config.Name, engineError(err))
	}
	return stream, made, nil
}

// openShared opens a stream that other processes use too, with the wanted configuration.
func openShared(
	ctx context.Context, js jetstream.JetStream, config jetstream.StreamConfig,
) (jetstream.Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, clusterTimeout)
	defer cancel()
	stream, err := findShared(ctx, js, config)
	if err != nil {
		return nil, err
	}
	if stream, err = updateStream(ctx, js, stream, config); err != nil {
		return nil, fmt.Errorf("stream %q: %w", config.Name, engineError(err))
	}
	return stream, nil
}

// findShared finds the stream, or makes it. Other processes may be making it at the same moment: one of them wins, and
// all have its epoch.
func findShared(
	ctx context.Context, js jetstream.JetStream, config jetstream.StreamConfig,
) (stream jetstream.Stream, err error) {
	ctx, cancel := context.WithTimeout(ctx, clusterTimeout)
	defer cancel()
	stream, err = js.Stream(ctx, config.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		config.Metadata[epochKey] = newEpoch()
		_, err = js.CreateStream(ctx, config)
		if err == nil || errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			stream, err = js.Stream(ctx, config.Name)
		}
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			err = fmt.Errorf("%w: %w", ErrUnavailable, err) // it is being made
		}
	}
	if err != nil {
		return nil, fmt.Errorf("stream %q: %w", config.Name, engineError(err))
	}
	return stream, nil
}

// updateStream gives the stream other settings where they differ: on a full disk the log engine couldn't write them.
func updateStream(
	ctx context.Context, js jetstream.JetStream, stream jetstream.Stream, config jetstream.StreamConfig,
) (jetstream.Stream, error) {
	have := stream.CachedInfo().Config
	if hasSettings(have, config) {
		return stream, nil
	}
	config.Metadata = have.Metadata
	return js.UpdateStream(ctx, config)
}

// hasSettings compares what an operator can set, or a former version may have set in another way.
func hasSettings(have, want jetstream.StreamConfig) bool {
	return have.Replicas == want.Replicas && have.MaxAge == want.MaxAge && have.MaxBytes == want.MaxBytes &&
		have.Duplicates == want.Duplicates && have.AllowAtomicPublish == want.AllowAtomicPublish &&
		have.AllowDirect == want.AllowDirect && have.Discard == want.Discard &&
		slices.Equal(have.Subjects, want.Subjects)
}

// orNone is how the log engine stores a bound.
func orNone(bound int64) int64 {
	if bound == 0 {
		return -1
	}
	return bound
}
