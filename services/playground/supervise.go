package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/cloud-pixel/playground/services/fleet"
)

const (
	// probeEvery is how often an instance is asked whether it is ready, until
	// it is. Then it is asked less often, which costs it less, yet often
	// enough that one that drains is known before it stops accepting.
	probeEvery, probeReadyEvery = 100 * time.Millisecond, 200 * time.Millisecond
	// The wait before an instance that died is started again. It grows only
	// while the instance dies before it listens.
	firstWait, longestWait = 100 * time.Millisecond, 5 * time.Second
)

// anyPort lets the system choose.
const anyPort = "127.0.0.1:0"

// instance is one copy of a service, running as a goroutine or a process.
type instance struct {
	service, pod string
	// launch runs it to its end, at the given addresses, and calls up once it
	// listens. The end of ctx asks it to stop; launch returns when it has.
	launch func(ctx context.Context, at listening, up func(listening)) error
}

// supervisor keeps instances running. Each group has a life of its own, so
// that they can be stopped in order.
type supervisor struct {
	log   *slog.Logger
	board *board
	pools map[string]*pool
	probe *http.Client
	// restart: an instance that ends is started again; otherwise its end is
	// passed to fatal.
	restart bool
	fatal   func(error)

	mu      sync.Mutex
	unready map[string]string // pod → why it was never ready yet
	ready   chan struct{}     // closed when each was ready once
}

func newSupervisor(log *slog.Logger, b *board, pools map[string]*pool, restart bool, fatal func(error)) *supervisor {
	return &supervisor{
		log: log, board: b, pools: pools, restart: restart, fatal: fatal,
		// Connections are kept: a new one for each probe was a sixth of what a
		// gateway did for a hundred quiet clients.
		probe:   &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 1}},
		unready: make(map[string]string), ready: make(chan struct{}),
	}
}

// expect names an instance that ready waits for. Call it for all before the
// first is started.
func (s *supervisor) expect(i instance) { s.unready[i.pod] = "is starting" }

// waiting tells for each instance that was not ready yet why.
func (s *supervisor) waiting() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[string]string, len(s.unready))
	for pod, why := range s.unready {
		all[pod] = why
	}
	return all
}

func (s *supervisor) note(pod string, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.unready[pod]; !ok {
		return // was ready once
	}
	if why != nil {
		s.unready[pod] = why.Error()
		return
	}
	if delete(s.unready, pod); len(s.unready) == 0 {
		close(s.ready)
	}
}

// start keeps the instances running until stop is called, which returns when
// all have ended.
func (s *supervisor) start(group []instance) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, i := range group {
		running.Go(func() { s.keep(ctx, i) })
	}
	return func() { cancel(); running.Wait() }
}

func (s *supervisor) keep(ctx context.Context, i instance) {
	at, wait := listening{Addr: anyPort, Debug: anyPort}, firstWait
	for {
		listened, err := s.once(ctx, i, &at)
		if ctx.Err() != nil {
			if err != nil {
				s.log.Warn("did not stop cleanly", "pod", i.pod, "error", err)
			}
			return
		}
		if !s.restart {
			s.fatal(fmt.Errorf("%s ended: %w", i.service, orEnd(err)))
			return
		}
		if listened {
			wait = firstWait
		} else {
			// The port may be somebody else's by now.
			at = listening{Addr: anyPort, Debug: anyPort}
		}
		s.note(i.pod, fmt.Errorf("ended: %w", orEnd(err)))
		s.log.Warn("ended, starting it again", "pod", i.pod, "cause", orEnd(err), "after", wait.String())
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = min(2*wait, longestWait)
	}
}

func orEnd(err error) error {
	if err == nil {
		return fmt.Errorf("without an error")
	}
	return err
}

// once runs the instance to its end. It tells whether it listened; at is then
// where, for the next time.
func (s *supervisor) once(ctx context.Context, i instance, at *listening) (listened bool, err error) {
	watch, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	err = i.launch(ctx, *at, func(l listening) {
		listened, *at = true, l
		s.show(s.board.up(fleet.Process{Service: i.service, Pod: i.pod, PID: l.pid, Addr: l.Addr, DebugAddr: l.Debug}))
		watching.Go(func() { s.watch(watch, i, l.Addr) })
	})
	cancel()
	watching.Wait()
	if listened {
		s.show(s.board.down(i.pod))
	}
	return listened, err
}

func (s *supervisor) show(err error) {
	if err != nil {
		s.log.Error("cannot write the state file", "error", err)
	}
}

// watch tells the pool whether the instance is ready, until ctx ends.
func (s *supervisor) watch(ctx context.Context, i instance, addr string) {
	p := s.pools[i.service]
	defer p.set(addr, false)
	next := time.NewTimer(0)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
		}
		err := s.isReady(ctx, addr)
		if ctx.Err() != nil {
			return
		}
		p.set(addr, err == nil)
		s.note(i.pod, err)
		if err == nil {
			next.Reset(probeReadyEvery)
		} else {
			next.Reset(probeEvery)
		}
	}
}

func (s *supervisor) isReady(ctx context.Context, addr string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/readyz", nil)
	if err != nil {
		return err
	}
	answer, err := s.probe.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close() //nolint:errcheck // nothing to do about it
	if answer.StatusCode == http.StatusOK {
		_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, 4096)) // so that the connection can be used again
		return nil
	}
	var why struct{ Reason string }
	if json.NewDecoder(io.LimitReader(answer.Body, 4096)).Decode(&why) != nil || why.Reason == "" {
		why.Reason = answer.Status
	}
	return fmt.Errorf("is not ready: %s", why.Reason)
}
