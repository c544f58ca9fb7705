package journal

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

func eventsConfig(config Config) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        eventsStream,
		Subjects:    []string{eventsPrefix + ">"},
		Storage:     jetstream.FileStorage,
		Retention:   jetstream.LimitsPolicy,
		Discard:     jetstream.DiscardOld,
		Duplicates:  config.DedupeWindow,
		AllowDirect: true,
		Replicas:    1,
		Metadata:    map[string]string{},
	}
}

// clusterConfig has the servers trim: they keep their own files.
func clusterConfig(config Config) jetstream.StreamConfig {
	c := eventsConfig(config)
	c.Replicas, c.MaxAge, c.MaxBytes = config.Cluster.Replicas, max(config.Retention, 0), config.MaxBytes
	if c.MaxBytes == 0 {
		c.MaxBytes = -1
	}
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
		config.Metadata = stream.CachedInfo().Config.Metadata
		stream, err = js.UpdateStream(ctx, config)
	}
	if err != nil {
		return nil, false, fmt.Errorf("stream %q: %w", config.Name, engineError(err))
	}
	return stream, made, nil
}

// openShared opens a stream that other processes may be making at the same moment: one of them wins, and all have its
// epoch.
func openShared(
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
	if err == nil && !hasSettings(stream.CachedInfo().Config, config) {
		config.Metadata = stream.CachedInfo().Config.Metadata
		stream, err = js.UpdateStream(ctx, config)
	}
	if err != nil {
		return nil, fmt.Errorf("stream %q: %w", config.Name, engineError(err))
	}
	return stream, nil
}

// hasSettings compares what an operator can set.
func hasSettings(have, want jetstream.StreamConfig) bool {
	return have.Replicas == want.Replicas && have.MaxAge == want.MaxAge && have.MaxBytes == want.MaxBytes &&
		have.Duplicates == want.Duplicates && have.AllowAtomicPublish == want.AllowAtomicPublish
}
