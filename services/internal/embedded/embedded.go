// Package embedded runs a Redis that belongs to this process: redis-server as a
// child where that program is installed, else an imitation in memory
// (miniredis). The all-in-one program uses it when no Redis is configured, and
// tests use it for a real server of their own that they can stop, kill and
// start again.
//
// A server listens on the loopback address only, on a port that is free, and
// keeps port and data when it is started again. On Linux a child dies with this
// process, however that ends; elsewhere it needs [Server.Close].
package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
)

// Kinds of servers.
const (
	KindRedis  = "redis-server"
	KindMemory = "miniredis"
)

// ErrNotInstalled tells that there is no redis-server on the PATH.
var ErrNotInstalled = errors.New("embedded: redis-server is not installed (no such program on the PATH)")

// Options of a [Server]. The zero value is a server with a data folder of its
// own that goes when the server is closed.
type Options struct {
	// Dir is the data folder; it is made where it does not exist. Empty: a
	// temporary one, removed by Close. One process at a time may use a folder.
	Dir string
	// AppendFsync says when redis-server writes to disk: "always" (before it
	// answers), "everysec" (the default) or "no".
	AppendFsync string
	// Cluster makes redis-server a Cluster of one node.
	Cluster bool
	// Args are further arguments of redis-server, like "--maxmemory", "10mb".
	Args []string
	// Stdout takes what redis-server prints; nil drops it.
	Stdout io.Writer
}

// Validate returns an error that says what is wrong with the options.
func (o Options) Validate() error {
	switch o.AppendFsync {
	case "", "always", "everysec", "no":
		return nil
	}
	return fmt.Errorf("embedded: appendfsync %q is none of always, everysec, no", o.AppendFsync)
}

// backend is what a Server starts and stops.
type backend interface {
	start(ctx context.Context) error
	stop(ctx context.Context) error // in an orderly way; nothing when it does not run
	kill() error                    // at once
	addr() string                   // host:port
	pid() int
}

// Server is a Redis of this process. Its methods are safe for concurrent use.
type Server struct {
	kind    string
	dir     string
	cluster bool
	backend backend

	mu      sync.Mutex
	closers []func() error // in the order of making
}

// Start starts redis-server where it is installed, else an imitation in memory,
// and returns when the server answers. ctx bounds the start only.
func Start(ctx context.Context, o Options) (*Server, error) {
	s, err := StartRedis(ctx, o)
	if errors.Is(err, ErrNotInstalled) {
		return StartMemory(ctx, o)
	}
	return s, err
}

// StartRedis starts redis-server, or returns [ErrNotInstalled].
func StartRedis(ctx context.Context, o Options) (s *Server, err error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	program, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, ErrNotInstalled
	}
	s = &Server{kind: KindRedis, cluster: o.Cluster}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.dir = o.Dir; s.dir == "" {
		if s.dir, err = os.MkdirTemp("", "pixel-redis-"); err != nil {
			return nil, fmt.Errorf("embedded: %w", err)
		}
		s.closers = append(s.closers, func() error { return os.RemoveAll(s.dir) })
	}
	if s.dir, err = filepath.Abs(s.dir); err != nil {
		return s, fmt.Errorf("embedded: %w", err)
	}
	if err = os.MkdirAll(s.dir, 0o700); err != nil {
		return s, fmt.Errorf("embedded: %w", err)
	}
	unlock, err := lock(filepath.Join(s.dir, ".lock"))
	if err != nil {
		return s, fmt.Errorf("embedded: the data folder %s is in use by another process: %w", s.dir, err)
	}
	s.closers = append(s.closers, unlock)
	s.backend = &child{program: program, dir: s.dir, opt: o}
	return s, s.backend.start(ctx)
}

// StartMemory starts an imitation of Redis in this process. Its data go with
// the process. Of the options none concerns it.
func StartMemory(ctx context.Context, _ Options) (*Server, error) {
	s := &Server{kind: KindMemory, backend: newMemory()}
	if err := s.backend.start(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// Kind returns [KindRedis] or [KindMemory].
func (s *Server) Kind() string { return s.kind }

// Addr returns host and port.
func (s *Server) Addr() string { return s.backend.addr() }

// URL returns what the store takes as its URL.
func (s *Server) URL() string {
	if s.cluster {
		return "redis://" + s.Addr() + "?cluster=true"
	}
	return "redis://" + s.Addr()
}

// PID returns the process id of the child, 0 when there is none.
func (s *Server) PID() int { return s.backend.pid() }

// Dir returns the data folder, empty for one that keeps its data in memory.
func (s *Server) Dir() string { return s.dir }

// Start starts a server again that was stopped or killed: same port, same data.
func (s *Server) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.backend.start(ctx)
}

// Stop stops the server in an orderly way: it writes what it has to disk. When
// ctx ends before that is done, it is killed.
func (s *Server) Stop(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.backend.stop(ctx)
}

// Kill stops the server at once, as kill -9 does.
func (s *Server) Kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.backend.kill()
}

// Close stops the server, within 10 s, and removes a temporary data folder.
func (s *Server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	if s.backend != nil {
		ctx, cancel := context.WithTimeout(context.Background(), stopTime)
		defer cancel()
		errs = append(errs, s.backend.stop(ctx))
	}
	for i := len(s.closers) - 1; i >= 0; i-- {
		errs = append(errs, s.closers[i]())
	}
	s.closers = nil
	return errors.Join(errs...)
}

func hostPort(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }
