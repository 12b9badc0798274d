package gateway

import (
	"fmt"
	"testing"
	"time"

	"github.com/cloud-pixel/playground/services/protocol"
)

// Many come, one after another: everybody hears at once how many there are,
// and who they are within what a connection may be told.
func TestPresenceHasARate(t *testing.T) {
	var p told
	here := protocol.Presence{IsList: true}
	now := time.Unix(1_700_000_000, 0)
	start := now
	bytes, counts := 0, 0
	for i := range 1000 {
		here.Active++
		here.Users = append(here.Users[:i:i], protocol.User{Name: fmt.Sprintf("somebody %d", i)})
		if i%10 != 0 {
			continue
		}
		now = now.Add(time.Second)
		m, due := p.next(now, here)
		if !due || m.Active != here.Active {
			t.Fatalf("after %d: %+v", i, m)
		}
		counts++
		if m.IsList {
			if len(m.Users) != i+1 {
				t.Fatalf("a list of %d after %d", len(m.Users), i)
			}
			for _, u := range m.Users {
				bytes += len(u.Name) + 8
			}
		}
	}
	if most := int(now.Sub(start)/time.Second)*presenceRate + 8<<10; bytes > most {
		t.Errorf("%d bytes of names in %v", bytes, now.Sub(start))
	}
	if m, due := p.next(now.Add(refreshEvery), here); !due || !m.IsList || len(m.Users) != len(here.Users) {
		t.Error("the whole list was not told in the end")
	}
	if _, due := p.next(now.Add(refreshEvery+time.Second), here); due {
		t.Error("told though nothing has changed")
	}
}
