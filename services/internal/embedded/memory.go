package embedded

import (
	"context"
	"fmt"

	"github.com/alicebob/miniredis/v2"
)

// memory is an imitation of Redis in this process.
type memory struct {
	server  *miniredis.Miniredis
	address string // once it was started
	running bool
}

func newMemory() *memory {
	m := &memory{server: miniredis.NewMiniRedis()}
	// Else nothing expires unless somebody turns its clock by hand.
	m.server.ClockTTL(true)
	return m
}

func (m *memory) start(context.Context) error {
	if m.running {
		return nil
	}
	var err error
	if m.address == "" {
		err = m.server.StartAddr("127.0.0.1:0")
	} else {
		err = m.server.Restart()
	}
	if err != nil {
		return fmt.Errorf("embedded: miniredis: %w", err)
	}
	m.address, m.running = m.server.Addr(), true
	return nil
}

func (m *memory) stop(context.Context) error {
	if m.running {
		m.running = false
		m.server.Close()
	}
	return nil
}

func (m *memory) kill() error  { return m.stop(context.Background()) }
func (m *memory) addr() string { return m.address }
func (m *memory) pid() int     { return 0 }
