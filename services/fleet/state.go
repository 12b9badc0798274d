package fleet

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// State is the playground's state file: what runs where.
type State struct {
	// URL of the one port.
	URL   string `json:"url"`
	Redis Redis  `json:"redis"`
	// Processes that listen now, by pod. When everything is one process they
	// share its pid.
	Processes []Process `json:"processes"`
}

// Redis tells where the store is. URL never holds a password; PID is 0 unless
// the playground started the server as a process.
type Redis struct {
	URL string `json:"url"`
	PID int    `json:"pid,omitempty"`
}

// Services, as [Process] names them.
const (
	Gateway  = "gateway"
	API      = "api"
	Frontend = "frontend"
)

// Process is one instance of a service. Addresses are host:port.
type Process struct {
	Service   string `json:"service"`
	Pod       string `json:"pod"`
	PID       int    `json:"pid"`
	Addr      string `json:"addr"`
	DebugAddr string `json:"debugAddr,omitempty"`
}

// Of returns the processes of a service, in the order of their pods.
func (s State) Of(service string) []Process {
	var of []Process
	for _, p := range s.Processes {
		if p.Service == service {
			of = append(of, p)
		}
	}
	return of
}

// Pod returns the process of a pod, if it listens.
func (s State) Pod(name string) (Process, bool) {
	for _, p := range s.Processes {
		if p.Pod == name {
			return p, true
		}
	}
	return Process{}, false
}

// ReadState reads a state file.
func ReadState(path string) (State, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return State{}, err
	}
	var s State
	if err := json.Unmarshal(text, &s); err != nil {
		return State{}, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// WriteState replaces a state file as a whole: who reads it while it changes
// gets the old or the new one, never a part.
func WriteState(path string, s State) (err error) {
	if s.Processes == nil {
		s.Processes = []Process{} // [] and not null
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
