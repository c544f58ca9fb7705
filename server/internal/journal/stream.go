package journal

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	epochKey    = "deskbridge-epoch"
	epochLength = 12
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
		config.Metadata[epochKey] = stream.CachedInfo().Config.Metadata[epochKey]
		stream, err = js.UpdateStream(ctx, config)
	}
	if err != nil {
		return nil, false, fmt.Errorf("stream %q: %w", config.Name, engineError(err))
	}
	return stream, made, nil
}

func newEpoch() string { return strings.ToLower(rand.Text())[:epochLength] }
