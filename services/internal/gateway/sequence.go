package gateway

import "github.com/cloud-pixel/playground/services/protocol"

// sequence keeps the operations of a connection in order over transient
// refusals, which are go-back-N: once operation n was refused, everything
// after n is refused too, until n itself comes again. Were a later one let
// through, the session's last number in the log would pass n, and n, when it
// is sent again, would count as a duplicate and be lost.
//
// Operations without a number are never sent again, so they need no order.
type sequence struct {
	blockedAt uint64 // 0: not blocked
	code      protocol.Code
	retry     uint32 // ms
	behind    int    // refused because of it
}

// maxBehind is how many operations a client may well have under way when one
// of them is refused: several times what ours keep in their outbox.
const maxBehind = 4096

// excused tells whether operations that are refused now are refused only for
// being under way behind another one. Their client has to hear of that first.
func (s *sequence) excused() bool { return s.behind <= maxBehind }

// admit tells whether operation n may be tried now; if not, why.
func (s *sequence) admit(n uint64) *protocol.Refusal {
	if s.blockedAt == 0 || n == 0 {
		return nil
	}
	if n > s.blockedAt {
		s.behind++
		return &protocol.Refusal{Code: s.code, Number: n, RetryAfter: s.retry}
	}
	if n == s.blockedAt {
		s.blockedAt = 0
	}
	return nil // an earlier one, which the log may hold already, opens nothing
}

// refuse notes that operation n was refused for now, and returns the refusal.
func (s *sequence) refuse(n uint64, code protocol.Code, retryAfter uint32) *protocol.Refusal {
	if n != 0 && (s.blockedAt == 0 || n < s.blockedAt) {
		s.blockedAt, s.code, s.retry, s.behind = n, code, retryAfter, 0
	}
	return &protocol.Refusal{Code: code, Number: n, RetryAfter: retryAfter}
}
