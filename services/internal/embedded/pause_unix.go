//go:build unix

package embedded

import (
	"fmt"
	"syscall"
)

// Pause freezes redis-server: its connections stay open and nothing answers.
// It does nothing to a server in memory.
func (s *Server) Pause() error { return s.signal(syscall.SIGSTOP) }

// Resume ends a pause.
func (s *Server) Resume() error { return s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.backend.(*child)
	if !ok {
		return nil
	}
	p := c.process.Load()
	if p == nil {
		return fmt.Errorf("embedded: redis-server does not run")
	}
	return p.cmd.Process.Signal(sig)
}
