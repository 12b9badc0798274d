package hub

import (
	"cmp"
	"slices"
)

// Counters are a hub's numbers of this moment, for people who look into a
// running process.
type Counters struct {
	Position    string         `json:"position"`
	Oldest      uint64         `json:"oldest"` // position from which memory can resume
	HistoryOps  int            `json:"historyOperations"`
	HistorySize int            `json:"historyBytes"` // about
	State       string         `json:"state"`
	Connections int            `json:"connections"`
	Codecs      map[string]int `json:"codecs"`
	// Blocked have a full socket; Pictured are given a whole picture; Ahead
	// hold a position that this gateway has not reached.
	Blocked  int `json:"blocked"`
	Pictured int `json:"pictured"`
	Ahead    int `json:"ahead"`
	// Lag is what a connection has still to be written, in operations.
	MedianLag uint64 `json:"medianLag"`
	MaxLag    uint64 `json:"maxLag"`
	// Slowest are the connections that lag most.
	Slowest []Cursor `json:"slowest"`
}

// Cursor is where one connection is.
type Cursor struct {
	Cursor    uint64 `json:"cursor"`    // handed to the socket
	Written   uint64 `json:"written"`   // taken by the socket
	Confirmed uint64 `json:"confirmed"` // proved by the client
	Lag       uint64 `json:"lag"`
	Codec     string `json:"codec"`
	Blocked   bool   `json:"blocked"`
	Control   int    `json:"controlBytes"` // wait for it alone
}

func (c Codec) String() string {
	switch c {
	case Original:
		return "original"
	case JSON:
		return "json"
	}
	return "binary"
}

// Counters returns the numbers of this moment, with the given number of the
// slowest connections.
func (h *Hub) Counters(slowest int) Counters {
	h.mu.Lock()
	defer h.mu.Unlock()
	k := Counters{
		Position: position(h).String(), Oldest: h.history.oldest(h.head), HistoryOps: h.history.ops, HistorySize: h.history.weight,
		State: h.state.String(), Connections: len(h.conns), Codecs: make(map[string]int), Ahead: h.ahead, Slowest: []Cursor{},
	}
	var lags []uint64
	var behind []*Conn
	for _, c := range h.conns {
		lag := c.lag(h.head)
		k.MaxLag = max(k.MaxLag, lag)
		if c.blocked.Load() {
			k.Blocked++
		}
		if c.need != "" || c.picture != nil {
			k.Pictured++
		}
		if slowest > 0 {
			k.Codecs[c.Codec().String()]++
			behind = append(behind, c)
			lags = append(lags, lag)
		}
	}
	if len(lags) > 0 {
		slices.Sort(lags)
		k.MedianLag = lags[len(lags)/2]
	}
	slices.SortFunc(behind, func(a, b *Conn) int { return cmp.Compare(b.lag(h.head), a.lag(h.head)) })
	for _, c := range behind[:min(slowest, len(behind))] {
		c.mu.Lock()
		k.Slowest = append(k.Slowest, Cursor{
			Cursor: c.cursor.Load(), Written: c.account.written, Confirmed: c.account.proved, Lag: c.lag(h.head),
			Codec: c.codec.String(), Blocked: c.blocked.Load(), Control: len(c.control),
		})
		c.mu.Unlock()
	}
	return k
}

// lag is how many operations the connection has still to be handed.
func (c *Conn) lag(head uint64) uint64 {
	if at := c.cursor.Load(); at < head {
		return head - at
	}
	return 0
}
