//go:build drill

package replica

import (
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
)

// ordered is set by SIGUSR2: the next replica that is about to be looked at is
// to be damaged first. Drills have to see that this is noticed; a program that
// is not built with the tag drill has no such switch.
var ordered atomic.Bool

func init() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR2)
	go func() {
		for range signals {
			ordered.Store(true)
		}
	}()
}

// damage spoils the picture in memory, once for each order.
func (r *Replica) damage() {
	if !ordered.CompareAndSwap(true, false) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.grid.Damage(0, 0)
	r.frozen = nil
	r.o.Logger.Warn("a cell was damaged on purpose", "canvas", r.o.ID, "position", r.pos.String())
}
