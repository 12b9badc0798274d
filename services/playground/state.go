package main

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"slices"
	"sync"

	"github.com/cloud-pixel/playground/services/fleet"
)

// board keeps the state, and the file that shows it, up to date. Safe for
// concurrent use.
type board struct {
	path string // empty: no file
	mu   sync.Mutex
	now  fleet.State
}

// up notes an instance that listens, instead of the one of its name before.
func (b *board) up(p fleet.Process) error {
	return b.change(func(all []fleet.Process) []fleet.Process {
		return append(without(all, p.Pod), p)
	})
}

// down notes that an instance has ended.
func (b *board) down(pod string) error {
	return b.change(func(all []fleet.Process) []fleet.Process { return without(all, pod) })
}

// redis notes that the store has another process.
func (b *board) redis(r fleet.Redis) error {
	return b.change(func(all []fleet.Process) []fleet.Process { b.now.Redis = r; return all })
}

func without(all []fleet.Process, pod string) []fleet.Process {
	return slices.DeleteFunc(all, func(p fleet.Process) bool { return p.Pod == pod })
}

func (b *board) change(f func([]fleet.Process) []fleet.Process) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now.Processes = f(b.now.Processes)
	slices.SortFunc(b.now.Processes, func(p, q fleet.Process) int { return cmp.Compare(p.Pod, q.Pod) })
	if b.path == "" {
		return nil
	}
	return fleet.WriteState(b.path, b.now)
}

// snapshot returns a copy of the state.
func (b *board) snapshot() fleet.State {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.now
	s.Processes = slices.Clone(s.Processes)
	return s
}

// remove deletes the file: what it tells is no longer true.
func (b *board) remove() error {
	if b.path == "" {
		return nil
	}
	if err := os.Remove(b.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
