package store

import (
	"context"
	"fmt"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
)

// AcquireLease takes the canvas's lease for owner, or prolongs it, and tells
// whether owner holds it now. It saves the work of writing checkpoints twice;
// no safety hangs on it, for a holder that was paused may believe in a lease
// that is another's by now.
func (s *Store) AcquireLease(ctx context.Context, id, owner string, ttl time.Duration) (held bool, err error) {
	defer s.metrics.observe(opLease, time.Now(), &err)
	if canvas.CheckID(id) != nil {
		return false, ErrNotFound
	}
	if owner == "" || ttl < time.Millisecond {
		return false, fmt.Errorf("%w: a lease of %q for %v", ErrInvalid, owner, ttl)
	}
	n, err := leaseScript.Run(ctx, s.client, []string{keysOf(id).lease()}, owner, ttl.Milliseconds()).Int()
	return n == 1, s.failed("lease", err)
}

// ReleaseLease gives the lease up if it is owner's.
func (s *Store) ReleaseLease(ctx context.Context, id, owner string) (err error) {
	defer s.metrics.observe(opLease, time.Now(), &err)
	if canvas.CheckID(id) != nil {
		return ErrNotFound
	}
	return s.failed("release lease", releaseScript.Run(ctx, s.client, []string{keysOf(id).lease()}, owner).Err())
}
