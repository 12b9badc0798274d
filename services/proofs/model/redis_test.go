package model

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// backup is a copy of all that Redis held of the canvas.
type backup struct {
	log      *timeline
	hashes   map[string]map[string]string
	texts    map[string]string
	lifetime map[string]time.Duration
	entries  []redis.XMessage
}

const (
	tag     = "{canvas:" + mainCanvas + "}"
	metaKey = tag + ":meta"
	logKey  = tag + ":log"
)

func (w *world) takeBackup() {
	w.still(func(ctx context.Context) {
		w.capture()
		if !w.history.named {
			return
		}
		b, err := w.copyOf(ctx)
		w.must(err)
		b.log = w.history.now.copy()
		w.backup = b
		w.note("a backup is taken at %d", b.log.head())
	})
}

func (w *world) copyOf(ctx context.Context) (*backup, error) {
	b := &backup{hashes: map[string]map[string]string{}, texts: map[string]string{}, lifetime: map[string]time.Duration{}}
	keys, err := w.admin.Keys(ctx, tag+":*").Result()
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		switch strings.TrimPrefix(key, tag+":") {
		case "meta", "checkpoint":
			b.hashes[key], err = w.admin.HGetAll(ctx, key).Result()
		case "log":
			b.entries, err = w.admin.XRange(ctx, key, "-", "+").Result()
		default:
			b.texts[key], err = w.admin.Get(ctx, key).Result()
			b.lifetime[key] = max(0, w.admin.PTTL(ctx, key).Val())
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
	}
	return b, nil
}

// restore has Redis come back with what it held when a backup was taken. As
// another run of the server names itself otherwise, the run that meta names is
// not that of the server.
func (w *world) restore() {
	b := w.backup
	if b == nil {
		return
	}
	w.still(func(ctx context.Context) {
		w.capture()
		tx := w.admin.TxPipeline()
		tx.FlushAll(ctx)
		for key, fields := range b.hashes {
			tx.HSet(ctx, key, fields)
		}
		for key, text := range b.texts {
			tx.Set(ctx, key, text, b.lifetime[key])
		}
		for _, e := range b.entries {
			tx.XAdd(ctx, &redis.XAddArgs{Stream: logKey, ID: e.ID, Values: e.Values})
		}
		tx.HSet(ctx, metaKey, "run", "0123456789abcdef0123456789abcdef01234567")
		_, err := tx.Exec(ctx)
		w.must(err)
		w.note("Redis is restored from the backup: its log ends at %d instead of %d", b.log.head(), w.history.now.head())
		w.history.replace(b.log)
		w.losses++
	})
}

// loseEverything has Redis come back empty.
func (w *world) loseEverything() {
	w.still(func(ctx context.Context) {
		w.capture()
		w.must(w.admin.FlushAll(ctx).Err())
		w.history.replace(newTimeline(w.settings.spec))
		w.losses++
		w.note("Redis comes back empty")
	})
	// Who finds the canvas gone makes it again.
	ctx, cancel := w.deadline()
	defer cancel()
	_, _, err := w.store.Create(ctx, mainCanvas, w.settings.spec, 0)
	w.must(err)
}

// anotherRun has Redis restart without a loss, which nobody can know: a new
// epoch begins as soon as somebody asks.
func (w *world) anotherRun() {
	w.still(func(ctx context.Context) {
		w.capture()
		w.must(w.admin.HSet(ctx, metaKey, "run", "fedcba9876543210fedcba9876543210fedcba98").Err())
		w.history.replace(w.history.now)
		w.note("Redis is restarted; it may have lost something")
	})
}
