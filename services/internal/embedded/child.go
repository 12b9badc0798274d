package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

const (
	stopTime  = 10 * time.Second
	askEvery  = 10 * time.Millisecond // whether the child answers, while it starts
	portTries = 10
)

// child is redis-server as a child of this process.
type child struct {
	program string
	dir     string
	opt     Options
	port    atomic.Int64 // 0 until it was started
	bus     int          // port for the other nodes of a Cluster
	process atomic.Pointer[process]
}

// process is one run of the program.
type process struct {
	cmd     *exec.Cmd
	printed tail
	started chan error    // one value
	ended   chan struct{} // closed when it was waited for
}

func (c *child) addr() string { return hostPort(int(c.port.Load())) }

func (c *child) pid() int {
	if p := c.process.Load(); p != nil {
		return p.cmd.Process.Pid
	}
	return 0
}

// start starts the program and waits until it answers. The first time it looks
// for a free port. Between finding one and taking it somebody else may take it,
// so it tries several.
func (c *child) start(ctx context.Context) error {
	if c.process.Load() != nil {
		return nil
	}
	if port := c.port.Load(); port != 0 {
		return c.startOn(ctx, int(port))
	}
	var err error
	for range portTries {
		var ports [2]int
		if ports, err = freePorts(ctx); err != nil {
			return err
		}
		c.bus = ports[1]
		if err = c.startOn(ctx, ports[0]); !errors.Is(err, errPortTaken) {
			return err
		}
	}
	return err
}

var errPortTaken = errors.New("embedded: the port is taken")

func (c *child) startOn(ctx context.Context, port int) error {
	p := &process{started: make(chan error, 1), ended: make(chan struct{})}
	p.cmd = exec.Command(c.program, c.args(port)...)
	p.cmd.Stdout = &p.printed
	if c.opt.Stdout != nil {
		p.cmd.Stdout = io.MultiWriter(c.opt.Stdout, &p.printed)
	}
	p.cmd.Stderr = p.cmd.Stdout
	dieWithParent(p.cmd)
	go p.run()
	if err := <-p.started; err != nil {
		return fmt.Errorf("embedded: %w", err)
	}
	c.port.Store(int64(port))
	c.process.Store(p)
	if err := c.ready(ctx, p); err != nil {
		_ = c.kill() // it is of no use; the first error says why
		if strings.Contains(p.printed.String(), "Address already in use") {
			return errPortTaken
		}
		return fmt.Errorf("%w; its last words: %s", err, p.printed.String())
	}
	return nil
}

// run starts the process and waits for it, on one thread from beginning to end:
// Linux counts the *thread* that started a child as its parent, and a thread of
// Go's may end at any time unless a goroutine keeps it.
func (p *process) run() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(p.ended)
	err := p.cmd.Start()
	p.started <- err
	if err == nil {
		_ = p.cmd.Wait() // how it ended does not matter to anybody
	}
}

func (c *child) args(port int) []string {
	fsync := c.opt.AppendFsync
	if fsync == "" {
		fsync = "everysec"
	}
	args := []string{
		"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--protected-mode", "yes",
		"--dir", c.dir, "--save", "", "--appendonly", "yes", "--appendfsync", fsync,
		"--maxmemory-policy", "noeviction", "--daemonize", "no",
	}
	if c.opt.Cluster {
		args = append(args, "--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(c.bus))
	}
	return append(args, c.opt.Args...)
}

// ready waits until the child, and no other server on its port, answers and has
// loaded its data.
func (c *child) ready(ctx context.Context, p *process) error {
	client := redis.NewClient(&redis.Options{
		Addr: c.addr(), Protocol: 2, MaxRetries: -1, DialerRetries: 1, ContextTimeoutEnabled: true, DisableIdentity: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	defer func() { _ = client.Close() }()
	pid := fmt.Sprintf("process_id:%d\r", p.cmd.Process.Pid)
	for {
		// The client would complain in the log of each try to connect.
		listens, err := new(net.Dialer).DialContext(ctx, "tcp", c.addr())
		var info string
		if err == nil {
			_ = listens.Close() // it carried nothing
			info, err = client.Info(ctx, "server", "persistence").Result()
		}
		switch {
		case err == nil && !strings.Contains(info, pid):
			return errPortTaken
		case err == nil && strings.Contains(info, "\nloading:0\r"):
			if !c.opt.Cluster {
				return nil
			}
			if ok, err := formCluster(ctx, client); ok || err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("embedded: redis-server does not answer: %w", context.Cause(ctx))
		case <-p.ended:
			return errors.New("embedded: redis-server ended while it started")
		case <-time.After(askEvery):
		}
	}
}

// formCluster gives the node all slots, unless it has them, and tells whether
// the Cluster is whole.
func formCluster(ctx context.Context, client *redis.Client) (bool, error) {
	info, err := client.ClusterInfo(ctx).Result()
	if err != nil {
		return false, fmt.Errorf("embedded: %w", err)
	}
	if strings.Contains(info, "cluster_slots_assigned:0\r") {
		if err := client.ClusterAddSlotsRange(ctx, 0, 16383).Err(); err != nil {
			return false, fmt.Errorf("embedded: %w", err)
		}
	}
	return strings.Contains(info, "cluster_state:ok"), nil
}

func (c *child) stop(ctx context.Context) error {
	p := c.process.Load()
	if p == nil {
		return nil
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return errors.Join(err, c.kill()) // systems without signals
	}
	select {
	case <-p.ended:
		c.process.Store(nil)
		return nil
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("embedded: redis-server does not stop: %w", context.Cause(ctx)), c.kill())
	}
}

func (c *child) kill() error {
	p := c.process.Load()
	if p == nil {
		return nil
	}
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("embedded: %w", err)
	}
	<-p.ended
	c.process.Store(nil)
	return nil
}

// freePorts returns two ports that were free a moment ago.
func freePorts(ctx context.Context) (ports [2]int, err error) {
	for i := range ports {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", hostPort(0))
		if err != nil {
			return ports, fmt.Errorf("embedded: %w", err)
		}
		defer func() { _ = l.Close() }() // it carried nothing
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports, nil
}

// tail keeps the end of what is written to it.
type tail struct {
	mu sync.Mutex
	b  []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	const most = 2 << 10
	t.b = append(t.b, p...)
	t.b = t.b[max(0, len(t.b)-most):]
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.b))
}
