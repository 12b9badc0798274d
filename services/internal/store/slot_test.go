package store

import (
	"testing"

	"github.com/cloud-pixel/playground/services/internal/embedded"
	"github.com/cloud-pixel/playground/services/protocol"
)

// The slot of a canvas leaves the node, which ends the subscription but keeps
// the connection: it must be made anew, or the canvas would stand still.
func TestSubscriptionFollowsASlot(t *testing.T) {
	e := ownRedis(t, embedded.Options{Cluster: true})
	at, session := e.create(t, "main"), protocol.NewSession()
	sub := e.subscribe(t, "main")
	e.append(t, "main", at, session, 1)
	next(t, sub, Live)
	slot := e.do(t, "CLUSTER", "KEYSLOT", "{canvas:main}")
	e.do(t, "CLUSTER", "DELSLOTS", slot)
	next(t, sub, Lost)
	e.do(t, "CLUSTER", "ADDSLOTS", slot)
	next(t, sub, Confirmed)
	until(t, "the cluster serves again", func() bool {
		_, err := e.Append(t.Context(), "main", at, paint(session, 2))
		return err == nil
	})
	next(t, sub, Live)
}
