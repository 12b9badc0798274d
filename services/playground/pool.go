package main

import (
	"slices"
	"sync"
)

// pool knows which instances of one service are ready, and hands them out in
// turn. Safe for concurrent use.
type pool struct {
	mu    sync.Mutex
	ready []string // addresses
	turn  int
}

// set says whether the instance at an address is ready.
func (p *pool) set(addr string, ready bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.Index(p.ready, addr)
	switch {
	case ready && i < 0:
		p.ready = append(p.ready, addr)
	case !ready && i >= 0:
		p.ready = slices.Delete(p.ready, i, i+1)
		if i < p.turn { // whose turn it is stays
			p.turn--
		}
	}
}

// next returns the ready instances, the one whose turn it is first: the
// others are for when it turns out to be dead.
func (p *pool) next() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.ready) == 0 {
		return nil
	}
	first := p.turn % len(p.ready)
	p.turn = first + 1
	return slices.Concat(p.ready[first:], p.ready[:first])
}
