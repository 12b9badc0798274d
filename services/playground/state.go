package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// State tells scripts what runs where.
type State struct {
	// URL of the one port.
	URL   string     `json:"url"`
	Redis RedisState `json:"redis"`
	// Processes that listen now, by pod. When everything is one process they
	// share its pid.
	Processes []ProcessState `json:"processes"`
}

// RedisState tells where the store is. URL never holds a password; PID is 0
// unless this program started the server as a process.
type RedisState struct {
	URL string `json:"url"`
	PID int    `json:"pid,omitempty"`
}

// ProcessState is one instance of a service. Addresses are host:port.
type ProcessState struct {
	Service   string `json:"service"`
	Pod       string `json:"pod"`
	PID       int    `json:"pid"`
	Addr      string `json:"addr"`
	DebugAddr string `json:"debugAddr,omitempty"`
}

// board keeps the state, and the file that shows it, up to date. Safe for
// concurrent use.
type board struct {
	path string // empty: no file
	mu   sync.Mutex
	now  State
}

// up notes an instance that listens, instead of the one of its name before.
func (b *board) up(p ProcessState) error {
	return b.change(func(all []ProcessState) []ProcessState {
		return append(without(all, p.Pod), p)
	})
}

// down notes that an instance has ended.
func (b *board) down(pod string) error {
	return b.change(func(all []ProcessState) []ProcessState { return without(all, pod) })
}

// redis notes that the store has another process.
func (b *board) redis(r RedisState) error {
	return b.change(func(all []ProcessState) []ProcessState { b.now.Redis = r; return all })
}

func without(all []ProcessState, pod string) []ProcessState {
	return slices.DeleteFunc(all, func(p ProcessState) bool { return p.Pod == pod })
}

func (b *board) change(f func([]ProcessState) []ProcessState) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now.Processes = f(b.now.Processes)
	slices.SortFunc(b.now.Processes, func(p, q ProcessState) int { return cmp.Compare(p.Pod, q.Pod) })
	if b.path == "" {
		return nil
	}
	return writeState(b.path, b.now)
}

// snapshot returns a copy of the state.
func (b *board) snapshot() State {
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

// writeState replaces the file as a whole: who reads it while it changes gets
// the old or the new one, never a part.
func writeState(path string, s State) (err error) {
	if s.Processes == nil {
		s.Processes = []ProcessState{} // [] and not null
	}
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("state file: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // best effort: the error above says what is wrong
		}
	}()
	_, err = f.Write(append(text, '\n'))
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("state file: %w", err)
	}
	return os.Rename(f.Name(), path)
}
