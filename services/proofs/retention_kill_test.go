package proofs

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cloud-pixel/playground/services/client"
	"github.com/cloud-pixel/playground/services/fleet"
)

// strike waits for a script, lets as much of it pass as is wanted, and kills the
// process that sent it. It tells which one that was.
func strike(ctx context.Context, f *fleet.Fleet, trap <-chan *caught, pass func(*caught) error) (fleet.Process, error) {
	c, err := wait(ctx, trap)
	if err != nil {
		return fleet.Process{}, err
	}
	defer c.cut()
	p, err := c.caller(f)
	if err != nil {
		return p, err
	}
	if p.Service != fleet.API {
		return p, fmt.Errorf("%s writes checkpoints", p.Pod)
	}
	return p, errors.Join(pass(c), f.Signal(p.Pod, syscall.SIGKILL))
}

// caller returns the process that sent what was caught, by the kernel's account
// of its socket: the lease may be another's by now, for one that waits does not
// prolong it.
func (c *caught) caller(f *fleet.Fleet) (fleet.Process, error) {
	from, to := c.conn.here.RemoteAddr().(*net.TCPAddr), c.conn.here.LocalAddr().(*net.TCPAddr)
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return fleet.Process{}, err
	}
	inode := ""
	for line := range strings.Lines(string(table)) {
		// number, local address, remote address, state … the tenth is the inode
		if fields := strings.Fields(line); len(fields) > 9 && fields[3] == "01" &&
			strings.HasSuffix(fields[1], fmt.Sprintf(":%04X", from.Port)) && strings.HasSuffix(fields[2], fmt.Sprintf(":%04X", to.Port)) {
			inode = fields[9]
		}
	}
	s, err := f.State()
	if err != nil {
		return fleet.Process{}, err
	}
	for _, p := range s.Processes {
		folder := fmt.Sprintf("/proc/%d/fd", p.PID)
		files, err := os.ReadDir(folder)
		if err != nil {
			continue // it has ended
		}
		for _, file := range files {
			if target, err := os.Readlink(filepath.Join(folder, file.Name())); err == nil && target == "socket:["+inode+"]" {
				return p, nil
			}
		}
	}
	return fleet.Process{}, fmt.Errorf("no process has the socket %q of port %d", inode, from.Port)
}

// The api that writes checkpoints is killed as it sends a checkpoint, or the
// trimming behind it: before Redis has any of it, with a part of it there, and
// when Redis has done it. Nothing is lost, another api goes on.
func TestKilledBetweenCheckpointAndTrim(t *testing.T) {
	ctx := limit(t)
	server := redisServer(t)
	tap := startTap(t, server.Addr())
	// The retention is less than what is drawn between two checkpoints, so that
	// the log has nothing to spare.
	const retention, strokes = 5, 20
	f := startFleet(t, ctx, fleet.Options{
		Gateways: 1, APIs: 2, Redis: tap.url(), Canvas: "30x20",
		Env: []string{"CHECKPOINT_INTERVAL=300ms", "CHECKPOINT_OPERATIONS=15", fmt.Sprintf("LOG_RETENTION=%d", retention)},
	})
	k := newKeeper(t, server)
	b := &brush{Client: connect(t, ctx, client.Options{URLs: []string{wsURL(t, f)}})}
	b.paint(t, ctx, strokes)
	b.paint(t, ctx, strokes)
	k.follow(t, ctx, b)
	k.settled(t, ctx, retention)

	moments := map[string]func(*caught) error{
		"before Redis has any of it": func(*caught) error { return nil },
		"in the midst of it":         func(c *caught) error { return c.send(len(c.raw) / 2) },
		"when Redis has done it":     func(c *caught) error { return c.execute(ctx) },
	}
	for range pick(1, 8) {
		for _, script := range []string{"checkpoint", "trim"} {
			for moment, pass := range moments {
				when := fmt.Sprintf("killed at %s, %s", script, moment)
				before := k.stored(t, ctx)
				trap := tap.arm(script)
				struck := make(chan error, 1)
				var victim fleet.Process
				go func() {
					var err error
					victim, err = strike(ctx, f, trap, pass)
					struck <- err
				}()
				b.paint(t, ctx, strokes)
				if err := <-struck; err != nil {
					t.Fatalf("%s: %v", when, err)
				}
				k.follow(t, ctx, b)
				k.whole(t, ctx, when)
				if at := k.stored(t, ctx); at < before {
					t.Errorf("%s: the checkpoint went back from %d to %d", when, before, at)
				}
				// One of both takes over.
				b.paint(t, ctx, strokes)
				k.follow(t, ctx, b)
				k.settled(t, ctx, retention)
				k.whole(t, ctx, when+", and another api went on")
				replaced(t, ctx, f, false, victim)
			}
		}
	}
	killed(t, ctx, f, true, "api-0", "api-1", "gateway-0")
	k.everywhere(t, ctx, f)
}

// A trim arrives when the checkpoint that it followed is no longer the stored
// one, but an older one is: an operator has put it back, or Redis has. What the
// stored one lacks must stay in the log.
func TestTrimIsBoundByTheStoredCheckpoint(t *testing.T) {
	ctx := limit(t)
	server := redisServer(t)
	tap := startTap(t, server.Addr())
	const retention = 20
	f := startFleet(t, ctx, fleet.Options{
		Gateways: 1, APIs: 1, Redis: tap.url(), Canvas: "30x20",
		// What is held is not given up.
		Env: append(often(retention), "REDIS_TIMEOUT=20s"),
	})
	k := newKeeper(t, server)
	b := &brush{Client: connect(t, ctx, client.Options{URLs: []string{wsURL(t, f)}})}

	// While a checkpoint is on its way much is drawn, so that the one after it
	// is ahead by more than the retention.
	trap := tap.arm("checkpoint")
	b.paint(t, ctx, 10)
	checkpoint := await(t, ctx, trap)
	b.paint(t, ctx, 4*retention)
	k.look(t, ctx)
	trap = tap.arm("trim")
	must(t, checkpoint.execute(ctx))
	checkpoint.release()
	first := await(t, ctx, trap)
	old, at := k.raw.Dump(ctx, checkpointKey).Val(), k.stored(t, ctx)
	trap = tap.arm("trim")
	must(t, first.execute(ctx))
	first.release()
	second := await(t, ctx, trap)
	if now := k.stored(t, ctx); now <= at+retention {
		t.Fatalf("the checkpoint went from %d to %d only", at, now)
	}
	if err := k.raw.RestoreReplace(ctx, checkpointKey, 0, old).Err(); err != nil {
		t.Fatal(err)
	}
	must(t, second.execute(ctx))
	if oldest := k.oldest(t, ctx); oldest > at+1 {
		t.Errorf("the log was trimmed up to %d; the stored checkpoint has what is up to %d", oldest-1, at)
	}
	k.whole(t, ctx, "after a late trim")
	killed(t, ctx, f, false, "api-0", "gateway-0")
	second.cut()
	k.everywhere(t, ctx, f)
}

// A checkpoint arrives when newer ones are stored and the log is trimmed behind
// those. It must not take their place.
func TestLateCheckpointDoesNotGoBack(t *testing.T) {
	ctx := limit(t)
	server := redisServer(t)
	tap := startTap(t, server.Addr())
	const retention = 20
	f := startFleet(t, ctx, fleet.Options{
		Gateways: 1, APIs: 1, Redis: tap.url(), Canvas: "30x20",
		// The api gives the late one up soon, and sends others.
		Env: append(often(retention), "REDIS_TIMEOUT=200ms"),
	})
	k := newKeeper(t, server)
	b := &brush{Client: connect(t, ctx, client.Options{URLs: []string{wsURL(t, f)}})}
	// The first one of a process has the whole picture and depends on nothing.
	trap := tap.arm("checkpoint")
	b.paint(t, ctx, 10)
	late := await(t, ctx, trap)
	for range 6 {
		b.paint(t, ctx, retention/2)
		k.look(t, ctx)
	}
	k.settled(t, ctx, retention)
	before := k.stored(t, ctx)
	must(t, late.execute(ctx))
	if at := k.stored(t, ctx); at < before {
		t.Errorf("the checkpoint went back from %d to %d; the log begins at %d", before, at, k.oldest(t, ctx))
	}
	k.whole(t, ctx, "after a late checkpoint")
	late.cut()
	killed(t, ctx, f, false, "api-0", "gateway-0")
	k.everywhere(t, ctx, f)
}

func await(t *testing.T, ctx context.Context, trap <-chan *caught) *caught {
	t.Helper()
	c, err := wait(ctx, trap)
	must(t, err)
	return c
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
