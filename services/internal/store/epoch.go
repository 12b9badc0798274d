package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/cloud-pixel/playground/services/canvas"
)

// admitted calls a script that begins with the checks of admit (state.lua),
// and turns their verdicts into errors. Finding another run of the server, it
// notes that first, with a new epoch where it must, and calls again: once, for
// a server that changes its identity twice in a row is better waited for.
func (s *Store) admitted(ctx context.Context, id, what string, at canvas.Position, call func() ([]string, error)) ([]string, error) {
	for again := false; ; again = true {
		reply, err := call()
		if err != nil {
			return nil, s.failed(what, err)
		}
		if len(reply) == 0 {
			return nil, fmt.Errorf("%w: an empty reply to %s", ErrMalformed, what)
		}
		switch reply[0] {
		case "missing":
			return nil, ErrNotFound
		case "stale":
			now, err := parsePosition(reply)
			if err != nil {
				return nil, err
			}
			if now.Seq < at.Seq {
				// Whether by this call or one before: the log lost its end.
				s.log.Error("The log is behind what was seen; the epoch has changed",
					"canvas", id, "seen", at.String(), "now", now.String())
				s.metrics.rolledBack.Inc()
			}
			return nil, &StaleError{Current: now}
		case "run":
			if again {
				return nil, fmt.Errorf("%w: %s: the server changes its run id", ErrUnavailable, what)
			}
			if len(reply) != 3 {
				return nil, fmt.Errorf("%w: reply %q to %s", ErrMalformed, reply, what)
			}
			if err := s.adoptRun(ctx, id, reply[1], reply[2]); err != nil {
				return nil, err
			}
		default:
			return reply, nil
		}
	}
}

// adoptRun notes in meta that another run of the server holds the canvas. The
// epoch changes with it unless the server is known to lose nothing.
func (s *Store) adoptRun(ctx context.Context, id, known, actual string) error {
	durable, err := s.durable(ctx, id)
	if err != nil {
		return s.failed("epoch", err)
	}
	candidate := ""
	if !durable {
		candidate = canvas.NewEpoch().String()
	}
	reply, err := s.run(ctx, epochScript, keysOf(id).state(), known, actual, candidate)
	if err != nil {
		return s.failed("epoch", err)
	}
	switch {
	case len(reply) == 1 && reply[0] == "missing":
		return ErrNotFound
	case len(reply) == 1 && reply[0] == "raced":
		return nil // the caller asks again, and learns what another one did
	}
	now, err := parsePosition(reply)
	if err != nil {
		return err
	}
	if durable {
		s.log.Info("Redis was restarted; it writes every append to disk, so the epoch stays",
			"canvas", id, "position", now.String())
		return nil
	}
	s.metrics.restarted.Inc()
	s.log.Warn("Redis was restarted and may have lost operations; the epoch has changed",
		"canvas", id, "position", now.String())
	return nil
}

// durable tells whether the server that holds the canvas is known to have lost
// nothing that it acknowledged: it writes each command to disk before it
// answers, and it was never promoted (a replica may lack what its master
// acknowledged). A server that will not tell is not known to.
func (s *Store) durable(ctx context.Context, id string) (bool, error) {
	var c redis.Cmdable = s.client
	if s.cluster != nil {
		node, err := s.cluster.MasterForKey(ctx, keysOf(id).meta())
		if err != nil {
			return false, err
		}
		c = node
	}
	for setting, want := range map[string]string{"appendonly": "yes", "appendfsync": "always"} {
		config, err := c.ConfigGet(ctx, setting).Result()
		if untold(err) || err == nil && config[setting] != want {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
	info, err := c.Info(ctx, "replication").Result()
	if untold(err) {
		return false, nil
	}
	return err == nil && strings.Contains(info, "master_replid2:"+strings.Repeat("0", 40)), err
}

// untold tells whether the server refused to answer, now and later.
func untold(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply) && !isUnavailable(reply.Error())
}

// parsePosition reads a reply {status, epoch, head, …}.
func parsePosition(reply []string) (canvas.Position, error) {
	if len(reply) < 3 {
		return canvas.Position{}, fmt.Errorf("%w: reply %q", ErrMalformed, reply)
	}
	epoch, err := canvas.ParseEpoch(reply[1])
	if err != nil {
		return canvas.Position{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	seq, err := parseNumbers(reply[2:3])
	if err != nil {
		return canvas.Position{}, err
	}
	return canvas.Position{Epoch: epoch, Seq: seq[0]}, nil
}

// parseNumbers reads decimal texts of at most 53 bits.
func parseNumbers(texts []string) ([]uint64, error) {
	numbers := make([]uint64, len(texts))
	for i, text := range texts {
		n, err := strconv.ParseUint(text, 10, 53)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		numbers[i] = n
	}
	return numbers, nil
}
