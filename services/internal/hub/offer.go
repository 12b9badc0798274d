package hub

import "github.com/cloud-pixel/playground/services/protocol"

// Offer is Send for what a later message of its kind makes worthless: nothing
// is queued, and false returned, when the connection has not taken yet what was
// queued before. So it never piles up, and never is the reason to close a slow
// client.
func (c *Conn) Offer(m protocol.ServerMessage) bool {
	if c.blocked.Load() {
		return false
	}
	c.mu.Lock()
	if c.closing || c.failed || len(c.control) > 0 {
		c.mu.Unlock()
		return false
	}
	c.control = append(c.control, encodeMessage(m, c.codec)...)
	c.mu.Unlock()
	if c.hub != nil {
		c.hub.markDirty(c)
	}
	return true
}
