package httpkit

import (
	"container/list"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxAddresses bounds the memory of a [RateLimiter], about 200 bytes each.
// Beyond it the address that was silent for longest is forgotten, which gives
// it a full bucket.
const maxAddresses = 1 << 16

// RateLimiter is a token bucket for each client address. It needs no
// goroutine: addresses whose bucket is full again are forgotten on the way.
// A nil *RateLimiter allows everything. Safe for concurrent use.
type RateLimiter struct {
	limit  rate.Limit
	burst  int
	full   time.Duration // from empty to full: after it an address is as if new
	max    int
	mu     sync.Mutex
	byAddr map[netip.Addr]*list.Element // of bucket
	recent list.List                    // most recently asked first
}

type bucket struct {
	addr    netip.Addr
	limiter *rate.Limiter
	asked   time.Time
}

// NewRateLimiter returns a limiter of perSecond tokens a second and at most
// burst at once (at least 1), for each address; nil, which limits nothing,
// when perSecond is 0 or less.
func NewRateLimiter(perSecond float64, burst int) *RateLimiter {
	if perSecond <= 0 {
		return nil
	}
	burst = max(burst, 1)
	full := float64(burst) / perSecond * float64(time.Second)
	return &RateLimiter{
		limit: rate.Limit(perSecond), burst: burst, max: maxAddresses,
		full:   time.Duration(min(full, float64(time.Hour))),
		byAddr: make(map[netip.Addr]*list.Element),
	}
}

// Allow takes one token of the address. Without one it returns false and how
// long to wait until there is.
func (l *RateLimiter) Allow(addr netip.Addr) (ok bool, retryAfter time.Duration) {
	if l == nil {
		return true, 0
	}
	now := time.Now()
	r := l.bucket(limitKey(addr), now).ReserveN(now, 1)
	if wait := r.DelayFrom(now); wait > 0 {
		r.CancelAt(now)
		return false, wait
	}
	return true, 0
}

func (l *RateLimiter) bucket(addr netip.Addr, now time.Time) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	for e := l.recent.Back(); e != nil; e = l.recent.Back() {
		b := e.Value.(*bucket)
		if b.addr == addr || now.Sub(b.asked) < l.full && l.recent.Len() < l.max {
			break
		}
		l.recent.Remove(e)
		delete(l.byAddr, b.addr)
	}
	if e, ok := l.byAddr[addr]; ok {
		b := e.Value.(*bucket)
		b.asked = now
		l.recent.MoveToFront(e)
		return b.limiter
	}
	b := &bucket{addr, rate.NewLimiter(l.limit, l.burst), now}
	l.byAddr[addr] = l.recent.PushFront(b)
	return b.limiter
}

// Len returns the number of addresses that are remembered.
func (l *RateLimiter) Len() int {
	if l == nil {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.recent.Len()
}

// LimitRate refuses with 429 what is over the limit of its client's address.
// Refused, unless nil, is called for each, to count them.
func LimitRate(l *RateLimiter, trusted []netip.Prefix, refused func()) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		if l == nil {
			return next
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if LimitsApply(r, trusted) {
				if ok, wait := l.Allow(ClientIP(r, trusted)); !ok {
					if refused != nil {
						refused()
					}
					TooMany(w, wait)
					return
				}
			}
			next.ServeHTTP(w, r)
		})
	}
}

// TooMany answers 429 with Retry-After in whole seconds, rounded up.
func TooMany(w http.ResponseWriter, retryAfter time.Duration) {
	SetRetryAfter(w, retryAfter)
	Error(w, http.StatusTooManyRequests, "Too many requests")
}

// SetRetryAfter sets Retry-After in whole seconds, rounded up, at least 1.
func SetRetryAfter(w http.ResponseWriter, d time.Duration) {
	w.Header().Set("Retry-After", strconv.Itoa(max(1, int(math.Ceil(d.Seconds())))))
}
