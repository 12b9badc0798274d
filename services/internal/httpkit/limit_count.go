package httpkit

import (
	"net/netip"
	"sync"
)

// CountLimiter bounds how much one client address holds at the same time,
// connections for example. Its memory is bounded by what is held. A nil
// *CountLimiter allows everything. Safe for concurrent use.
type CountLimiter struct {
	max  int
	mu   sync.Mutex
	held map[netip.Addr]int
}

// NewCountLimiter returns a limiter of most for each address; nil, which limits
// nothing, when most is 0 or less.
func NewCountLimiter(most int) *CountLimiter {
	if most <= 0 {
		return nil
	}
	return &CountLimiter{max: most, held: make(map[netip.Addr]int)}
}

// Acquire takes one for the address. When it returns true, release must be
// called at the end; calling it again does nothing.
func (l *CountLimiter) Acquire(addr netip.Addr) (release func(), ok bool) {
	if l == nil {
		return func() {}, true
	}
	addr = limitKey(addr)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held[addr] >= l.max {
		return nil, false
	}
	l.held[addr]++
	return sync.OnceFunc(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.held[addr]--; l.held[addr] == 0 {
			delete(l.held, addr)
		}
	}), true
}
