package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/cloud-pixel/playground/services/canvas"
)

const (
	podAlive    = 6 * time.Second  // a pod that was silent for longer is ignored
	podForget   = time.Hour        // … and for longer than this, dropped
	usersTTL    = 60 * time.Second // of what a pod told
	usersRepeat = 20 * time.Second // when it is told again though nothing changed

	activeForget = 24 * time.Hour
)

// Heartbeat notes that pod is alive and returns all pods that gave a heartbeat
// in the last 6 s (by Redis's clock), pod included, the longest silent first.
// mine is what pod tells about its users, by canvas; it is written when changed
// is set, when it was written more than 20 s ago, or when Redis has lost it.
// Call it every 2 s. Pods whose users are not known (yet) have nil Canvases.
func (s *Store) Heartbeat(ctx context.Context, pod string, mine map[string]PodUsers, changed bool) (pods []Pod, err error) {
	defer s.metrics.observe(opHeartbeat, time.Now(), &err)
	if changed || s.untoldSince(pod) > usersRepeat {
		text, err := json.Marshal(mine)
		if err != nil {
			return nil, fmt.Errorf("store: users of pod %q: %w", pod, err)
		}
		if err := s.client.Set(ctx, podKey(pod), text, usersTTL).Err(); err != nil {
			s.forgetTold(pod) // a change must not be lost with the write
			return nil, s.failed("heartbeat", err)
		}
		s.podsMu.Lock()
		s.told[pod] = time.Now()
		s.podsMu.Unlock()
	}
	names, err := s.seen(ctx, podsKey, pod, podAlive, podForget)
	if err != nil {
		s.forgetTold(pod)
		return nil, s.failed("heartbeat", err)
	}
	// The keys lie in different slots of a Cluster: a pipeline, not an MGET.
	pipe := s.client.Pipeline()
	texts := make([]*redis.StringCmd, len(names))
	for i, name := range names {
		texts[i] = pipe.Get(ctx, podKey(name))
	}
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return nil, s.failed("heartbeat", err)
	}
	for i, name := range names {
		p := Pod{Name: name}
		text, err := texts[i].Bytes()
		switch {
		case err == nil:
			if err := json.Unmarshal(text, &p.Canvases); err != nil {
				s.log.Warn("Cannot read the users of a pod", "pod", name, "error", err)
			}
		case !errors.Is(err, redis.Nil):
			return nil, s.failed("heartbeat", err)
		case name == pod:
			s.forgetTold(pod)
		}
		pods = append(pods, p)
	}
	return pods, nil
}

// Leave removes pod and its users from what the others see.
func (s *Store) Leave(ctx context.Context, pod string) (err error) {
	defer s.metrics.observe(opHeartbeat, time.Now(), &err)
	s.forgetTold(pod)
	pipe := s.client.Pipeline()
	pipe.ZRem(ctx, podsKey, pod)
	pipe.Del(ctx, podKey(pod))
	_, err = pipe.Exec(ctx)
	return s.failed("leave", err)
}

// NoteActive notes that somebody uses the canvas.
func (s *Store) NoteActive(ctx context.Context, id string) (err error) {
	defer s.metrics.observe(opActive, time.Now(), &err)
	if canvas.CheckID(id) != nil {
		return ErrNotFound
	}
	_, err = s.seen(ctx, activeKey, id, 0, activeForget)
	return s.failed("note active", err)
}

// Active returns the canvases that were noted as active within the given time
// (by Redis's clock, at most a day).
func (s *Store) Active(ctx context.Context, within time.Duration) (ids []string, err error) {
	defer s.metrics.observe(opActive, time.Now(), &err)
	ids, err = s.seen(ctx, activeKey, "", within, activeForget)
	return ids, s.failed("active", err)
}

func (s *Store) seen(ctx context.Context, key, name string, within, forget time.Duration) ([]string, error) {
	return s.run(ctx, seenScript, []string{key}, name, within.Milliseconds(), forget.Milliseconds())
}

func (s *Store) untoldSince(pod string) time.Duration {
	s.podsMu.Lock()
	defer s.podsMu.Unlock()
	return time.Since(s.told[pod])
}

func (s *Store) forgetTold(pod string) {
	s.podsMu.Lock()
	defer s.podsMu.Unlock()
	delete(s.told, pod)
}
