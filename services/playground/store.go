package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/cloud-pixel/playground/services/fleet"
	"github.com/cloud-pixel/playground/services/internal/config"
	"github.com/cloud-pixel/playground/services/internal/embedded"
)

// store is where the canvases are while the program runs.
type store struct {
	// env is what the services need to know in their environment to reach it.
	env []string
	// state is what scripts are told; where, in words, what people are told.
	state func() fleet.Redis
	where string
	// keep restarts an embedded server that died, until ctx ends, and calls
	// changed when it has a new process; nil for a store that is not ours.
	keep  func(ctx context.Context, log *slog.Logger, changed func())
	close func() error
}

// startStore returns the Redis that the options or the environment name, else
// starts one of its own.
func startStore(ctx context.Context, o Options, lookup func(string) (string, bool)) (*store, error) {
	if given, err := givenRedis(o, lookup); given != nil || err != nil {
		return given, err
	}
	dir, err := dataFolder(o)
	if err != nil {
		return nil, err
	}
	// Always: what a client was told to be stored is on the disk, so that a
	// restart continues with the same picture, whatever ended the program.
	settings := embedded.Options{Dir: dir, AppendFsync: "always"}
	start := embedded.Start
	if o.processes() {
		start = embedded.StartRedis // the imitation is not made for load
	}
	server, err := start(ctx, settings)
	switch {
	case errors.Is(err, embedded.ErrNotInstalled):
		return nil, errors.New("services as processes of their own need a real Redis: install redis-server (for example apt-get install redis-server, or brew install redis), or name a server by -redis redis://host:6379")
	case err != nil:
		return nil, fmt.Errorf("starting the embedded Redis: %w", err)
	}
	s := &store{
		env:   []string{"REDIS_URL=" + server.URL()},
		state: func() fleet.Redis { return fleet.Redis{URL: server.URL(), PID: server.PID()} },
		where: "in memory only (redis-server is not installed)",
		close: server.Close,
	}
	if server.Kind() == embedded.KindRedis {
		s.where = server.Dir()
		if dir == "" {
			s.where += " (temporary)"
		}
		s.keep = func(ctx context.Context, log *slog.Logger, changed func()) { keepRedis(ctx, server, log, changed) }
	}
	return s, nil
}

// givenRedis returns the Redis that the command line or the environment names;
// nil when neither does.
func givenRedis(o Options, lookup func(string) (string, bool)) (*store, error) {
	s := &store{close: func() error { return nil }}
	shown := o.Redis
	if o.Redis != "" {
		s.env = []string{"REDIS_URL=" + o.Redis, "REDIS_URL_FILE="}
	} else {
		named := false
		for _, name := range []string{"REDIS_URL", "REDIS_URL_FILE", "REDIS_HOST"} {
			value, _ := lookup(name)
			named = named || value != ""
		}
		if !named {
			return nil, nil
		}
		r := config.NewReader(lookup)
		shown = config.RedisFrom(r).String()
		if err := r.Err(); err != nil {
			return nil, &settingsError{err}
		}
	}
	s.state = func() fleet.Redis { return fleet.Redis{URL: shown} }
	s.where = shown
	return s, nil
}

// dataFolder is the one that was asked for, else one for this port, so that
// the canvas of yesterday comes back and two programs never share one. With
// port 0 nobody could find it again: empty, a temporary one.
func dataFolder(o Options) (string, error) {
	if o.Data != "" {
		return o.Data, nil
	}
	_, port, _ := net.SplitHostPort(o.Addr) // Validate has seen it
	if port == "0" || port == "" {
		return "", nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no folder for the data (name one by -data): %w", err)
	}
	return filepath.Join(cache, "cloud-pixel-playground", port), nil
}

// keepRedis starts the server again when it is dead, as a cluster would. Dead
// is one whose port nobody listens on: one that only hangs still has its port.
// A connection that is held open tells the moment of it without asking.
func keepRedis(ctx context.Context, server *embedded.Server, log *slog.Logger, changed func()) {
	dialer := net.Dialer{Timeout: time.Second}
	for ; ctx.Err() == nil; pause(ctx, probeEvery) {
		conn, err := dialer.DialContext(ctx, "tcp", server.Addr())
		if err == nil {
			untilClosed(ctx, conn)
			continue
		}
		if !errors.Is(err, syscall.ECONNREFUSED) || ctx.Err() != nil {
			continue
		}
		log.Warn("Redis ended, starting it again")
		// Stop first: the server has to learn that its process is gone.
		if err := errors.Join(server.Stop(ctx), server.Start(ctx)); err != nil {
			if ctx.Err() != nil {
				return
			}
			log.Error("cannot start Redis again", "error", err)
			continue
		}
		changed()
	}
}

// untilClosed returns when the other side has closed the connection, or ctx
// ends.
func untilClosed(ctx context.Context, conn net.Conn) {
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	_, _ = io.Copy(io.Discard, conn) // nothing is asked, so nothing is said
	_ = conn.Close()
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
