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
		Name:               eventsStream,
		Subjects:           []string{eventsPrefix + ">"},
		Storage:            jetstream.FileStorage,
		Retention:          jetstream.LimitsPolicy,
		Discard:            jetstream.DiscardOld,
		Duplicates:         config.DedupeWindow,
		AllowDirect:        true,
		AllowAtomicPublish: true,
		Replicas:           1,
		Metadata:           map[string]string{},
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

// openStream opens the stream with the wanted configuration. The epoch of a stream is that of its first opening.
func openStream(
	ctx context.Context, js jetstream.JetStream, config jetstream.StreamConfig,
) (jetstream.Stream, error) {
	existing, err := js.Stream(ctx, config.Name)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		config.Metadata[epochKey] = newEpoch()
		existing, err = js.CreateStream(ctx, config)
	case err == nil:
		config.Metadata[epochKey] = existing.CachedInfo().Config.Metadata[epochKey]
		existing, err = js.UpdateStream(ctx, config)
	}
	if err != nil {
		return nil, fmt.Errorf("journal: stream %q: %w", config.Name, engineError(err))
	}
	return existing, nil
}

func newEpoch() string { return strings.ToLower(rand.Text())[:epochLength] }
