package gateway

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cloud-pixel/playground/services/internal/store"
	"github.com/cloud-pixel/playground/services/protocol"
)

const (
	// maxNames bounds the names that a gateway tells of one canvas.
	maxNames = 1000
	// heartbeatEvery is the time between a gateway's signs of life.
	heartbeatEvery = 2 * time.Second
	// presenceEvery is the least time between two tellings of who is here.
	presenceEvery = time.Second
	// presenceRate is what a connection may be told of who is here, in bytes a
	// second: a list of a thousand names is not told each time one is added.
	presenceRate = 4 << 10
	// refreshEvery is the time after which it is told again, changed or not.
	refreshEvery = 30 * time.Second
)

// presence knows who is connected, here and at the other gateways, and tells
// the connections: on a change at most once a second, a long list less often,
// and every 30 s.
type presence struct {
	gateway *Gateway
	dirty   atomic.Bool

	// Owned by run.
	pods []store.Pod
	told map[string]told // by canvas
	beat time.Time
}

// told is what the connections to a canvas were told.
type told struct {
	active int
	users  []protocol.User
	listed time.Time // when users were told
}

// next returns what the connections are to be told now, given who is here, and
// false when that is nothing.
func (t *told) next(now time.Time, here protocol.Presence) (protocol.Presence, bool) {
	size := 0
	for _, u := range here.Users {
		size += len(u.Name) + 8
	}
	age := now.Sub(t.listed)
	pause := time.Duration(size) * time.Second / presenceRate
	changed := !slices.Equal(here.Users, t.users)
	// A short list goes with each change of the number, as the original's
	// clients are used to.
	changed = changed || here.Active != t.active && pause <= presenceEvery
	if age >= refreshEvery || changed && age >= pause {
		t.active, t.users, t.listed = here.Active, here.Users, now
		return here, true
	}
	if here.Active == t.active {
		return protocol.Presence{}, false
	}
	t.active = here.Active
	return protocol.Presence{Active: here.Active}, true
}

func newPresence(g *Gateway) *presence {
	return &presence{gateway: g, told: make(map[string]told)}
}

// changed tells that somebody came, left or took a name.
func (p *presence) changed() { p.dirty.Store(true) }

// run serves until the context ends, then takes this gateway off the list.
func (p *presence) run(ctx context.Context) {
	tick := time.NewTicker(presenceEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			leave, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			_ = p.gateway.store.Leave(leave, p.gateway.o.Pod) // it would expire by itself
			return
		case now := <-tick.C:
			p.round(ctx, now)
		}
	}
}

func (p *presence) round(ctx context.Context, now time.Time) {
	changed := p.dirty.Swap(false)
	mine := p.local()
	if changed || now.Sub(p.beat) >= heartbeatEvery {
		p.beat = now
		call, cancel := context.WithTimeout(ctx, time.Second)
		pods, err := p.gateway.store.Heartbeat(call, p.gateway.o.Pod, mine, changed)
		cancel()
		if err != nil {
			// Redis is away: what the others are doing is not known.
			pods = []store.Pod{{Name: p.gateway.o.Pod, Canvases: mine}}
		}
		p.pods = pods
		p.gateway.balance.observe(now, p.gateway.o.Pod, pods)
	}
	everywhere, named := 0, 0
	for _, pod := range p.pods {
		for _, users := range pod.Canvases {
			everywhere += users.Count
			named += len(users.Users)
		}
	}
	p.gateway.metrics.connectionsEvery.Set(float64(everywhere))
	p.gateway.metrics.usersEvery.Set(float64(named))
	for _, c := range p.gateway.pool.Loaded() {
		room, ok := c.Attached.(*room)
		if !ok || room.hub.Len() == 0 {
			delete(p.told, c.ID)
			continue
		}
		told := p.told[c.ID]
		message, due := told.next(now, p.merge(c.ID, mine[c.ID]))
		if !due {
			continue
		}
		p.told[c.ID] = told
		message.Time = now.UnixMilli()
		room.hub.SetPresence(message)
		if err := room.noteActive(ctx); err != nil {
			p.gateway.logger.Debug("the canvas could not be noted as active", "canvas", c.ID, "error", err)
		}
	}
}

// local returns who is connected to this gateway, by canvas.
func (p *presence) local() map[string]store.PodUsers {
	mine := make(map[string]store.PodUsers)
	named := 0
	for _, c := range p.gateway.pool.Loaded() {
		room, ok := c.Attached.(*room)
		if !ok {
			continue
		}
		var users store.PodUsers
		for _, conn := range room.list() {
			users.Count++
			if name, author := conn.user(); name != "" {
				users.Users = append(users.Users, protocol.User{Author: uint32(author), Name: name})
			}
		}
		named += len(users.Users)
		if users.Count > 0 {
			sortUsers(users.Users)
			users.Users = users.Users[:min(len(users.Users), maxNames)]
			mine[c.ID] = users
		}
	}
	p.gateway.metrics.users.Set(float64(named))
	return mine
}

// merge puts what the other gateways told beside what is known here.
func (p *presence) merge(id string, mine store.PodUsers) protocol.Presence {
	all := protocol.Presence{Active: mine.Count, Users: slices.Clone(mine.Users), IsList: true}
	for _, pod := range p.pods {
		if pod.Name == p.gateway.o.Pod {
			continue
		}
		all.Active += pod.Canvases[id].Count
		all.Users = append(all.Users, pod.Canvases[id].Users...)
	}
	sortUsers(all.Users)
	all.Users = all.Users[:min(len(all.Users), maxNames)]
	return all
}

func sortUsers(users []protocol.User) {
	slices.SortFunc(users, func(a, b protocol.User) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Author, b.Author))
	})
}

// names returns the names of the connections to this gateway for the health
// report, "Anonymous" among them, at most maxNames.
func (g *Gateway) names() []string {
	names := make([]string, 0, 16)
	for _, c := range g.pool.Loaded() {
		room, ok := c.Attached.(*room)
		if !ok {
			continue
		}
		for _, conn := range room.list() {
			if len(names) == maxNames {
				return names
			}
			name, _ := conn.user()
			if name == "" {
				name = protocol.Anonymous
			}
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// counts returns the connections of each gateway that is alive.
func counts(pods []store.Pod) map[string]int {
	all := make(map[string]int, len(pods))
	for _, pod := range pods {
		for users := range maps.Values(pod.Canvases) {
			all[pod.Name] += users.Count
		}
		all[pod.Name] += 0 // a gateway without connections counts too
	}
	return all
}
