package model

import (
	"runtime"
	"sync/atomic"
	"testing"
)

// Who looks at a still Redis all the time keeps nobody out.
func TestGateLetsPassWhomItHeldBack(t *testing.T) {
	t.Parallel()
	g := newGate()
	var passed atomic.Bool
	held := func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.waiting > 0
	}
	g.still(func() {
		go func() {
			g.enter(func() bool { return false })
			passed.Store(true)
			g.leave()
		}()
		for !held() {
			runtime.Gosched()
		}
	})
	g.still(func() {
		if !passed.Load() {
			t.Error("Redis is still again, and who was held back is still out")
		}
	})
}
