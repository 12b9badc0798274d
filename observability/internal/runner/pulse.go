package runner

import (
	"context"
	"sync"
	"time"
)

// A pulse beats a hundred times a second and sees how late each beat is. Nothing
// else is done in between: what makes it late is that the processors are busy
// with something, and then everything in the run is late, too.
type pulse struct {
	stop func()

	mu         sync.Mutex
	late, beat int
}

const (
	beatEvery = 10 * time.Millisecond
	// lateBy is half of what the strictest objective of time allows.
	lateBy = 25 * time.Millisecond
	// starved is the share of late beats from which on the machine has too
	// little time for the run.
	starved = 0.02
)

func startPulse(ctx context.Context) *pulse {
	ctx, cancel := context.WithCancel(ctx)
	p := &pulse{}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			due := time.Now().Add(beatEvery)
			if pause(ctx, beatEvery) != nil {
				return
			}
			p.mu.Lock()
			if p.beat++; time.Since(due) > lateBy {
				p.late++
			}
			p.mu.Unlock()
		}
	})
	p.stop = func() { cancel(); running.Wait() }
	return p
}

// share returns how many of all beats were late, from 0 to 1.
func (p *pulse) share() float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return float64(p.late) / float64(max(p.beat, 1))
}
