// Package replicatest has sources for tests of what uses replicas.
package replicatest

import (
	"context"

	"github.com/cloud-pixel/playground/services/internal/replica"
	"github.com/cloud-pixel/playground/services/internal/store"
)

// Deaf is a source on whose subscriptions nothing arrives: a replica learns of
// what is appended by its looks at the head alone. It may be used by several
// goroutines if the source below may.
type Deaf struct{ replica.Source }

// Subscribe confirms a subscription on which nothing follows.
func (Deaf) Subscribe(context.Context, string) replica.Subscription {
	events := make(silence, 1)
	events <- store.Event{Kind: store.Confirmed}
	return events
}

type silence chan store.Event

func (s silence) Events() <-chan store.Event { return s }
func (s silence) Close() error               { return nil }
