package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// redisServer is a real redis-server of our own, with the settings that the
// services ask for, on data that goes when it stops.
type redisServer struct {
	cmd *exec.Cmd
	dir string
	url string
}

// startRedis starts one that writes appends to disk as fsync says: always
// (before it answers) or everysec.
func startRedis(ctx context.Context, fsync string) (_ *redisServer, err error) {
	dir, err := os.MkdirTemp("", "pixel-load-redis-")
	if err != nil {
		return nil, err
	}
	r := &redisServer{dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.stop())
		}
	}()
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	log := filepath.Join(dir, "log")
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	r.url = "redis://" + addr
	r.cmd = exec.Command("redis-server", "--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--dir", dir, "--logfile", log,
		"--appendonly", "yes", "--appendfsync", fsync, "--save", "", "--maxmemory-policy", "noeviction",
		// As every process here, it goes when this one does and not when the
		// terminal says so: it has to outlive the services.
		"--daemonize", "no", "--tcp-backlog", "511")
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := r.cmd.Start(); err != nil {
		r.cmd = nil
		return nil, fmt.Errorf("%w (install redis-server)", err)
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !answers(ctx, addr) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			text, _ := os.ReadFile(log) // for people
			return nil, fmt.Errorf("redis-server does not answer: %w; its log: %s", ctx.Err(), text)
		}
	}
	return r, nil
}

func (r *redisServer) pid() int { return r.cmd.Process.Pid }

func (r *redisServer) stop() error {
	var err error
	if r.cmd != nil {
		_ = r.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		err = end(r.cmd)
	}
	return errors.Join(err, os.RemoveAll(r.dir))
}

// answers tells whether a Redis is ready at an address.
func answers(ctx context.Context, addr string) bool {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }() // it was only a question
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return false
	}
	answer := make([]byte, 64)
	n, err := conn.Read(answer)
	return err == nil && bytes.HasPrefix(answer[:n], []byte("+PONG"))
}

func freePort(ctx context.Context) (int, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	return port, l.Close()
}
