package httpkit

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

var (
	alice = netip.MustParseAddr("203.0.113.1")
	bob   = netip.MustParseAddr("203.0.113.2")
)

func TestRateLimiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewRateLimiter(2, 4)
		for n := range 4 {
			if ok, _ := l.Allow(alice); !ok {
				t.Fatalf("request %d of the burst was refused", n)
			}
		}
		if ok, wait := l.Allow(alice); ok || wait != 500*time.Millisecond {
			t.Errorf("fifth: %t, wait %v", ok, wait)
		}
		if ok, _ := l.Allow(bob); !ok {
			t.Error("one address takes from another")
		}
		// What is refused takes no token: the wait is what it was.
		time.Sleep(500 * time.Millisecond)
		if ok, _ := l.Allow(alice); !ok {
			t.Error("refused after the wait that was asked for")
		}
		if ok, _ := l.Allow(alice); ok {
			t.Error("more than the rate")
		}
	})
}

func TestRateLimiterForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewRateLimiter(1, 10)
		l.max = 3
		addr := func(n byte) netip.Addr { return netip.AddrFrom4([4]byte{203, 0, 113, n}) }
		for n := range byte(5) {
			l.Allow(addr(n))
			time.Sleep(time.Second)
		}
		if l.Len() != 3 {
			t.Errorf("%d addresses, want at most 3", l.Len())
		}
		time.Sleep(10 * time.Second) // the time from empty to full
		l.Allow(addr(9))
		if l.Len() != 1 {
			t.Errorf("%d addresses, want only the new one", l.Len())
		}
	})
}

func TestLimitersOff(t *testing.T) {
	l, c := NewRateLimiter(0, 5), NewCountLimiter(0)
	for range 100 {
		if ok, _ := l.Allow(alice); !ok {
			t.Fatal("refused by a rate of 0")
		}
		if _, ok := c.Acquire(alice); !ok {
			t.Fatal("refused by a count of 0")
		}
	}
}

func TestLimitsCountIPv6ByNetwork(t *testing.T) {
	l := NewCountLimiter(1)
	if _, ok := l.Acquire(netip.MustParseAddr("2001:db8::1")); !ok {
		t.Fatal("refused the first")
	}
	if _, ok := l.Acquire(netip.MustParseAddr("2001:db8::ffff")); ok {
		t.Error("the same /64 counts twice")
	}
	if _, ok := l.Acquire(netip.MustParseAddr("2001:db8:0:1::1")); !ok {
		t.Error("another /64 is refused")
	}
}

func TestCountLimiter(t *testing.T) {
	l := NewCountLimiter(2)
	first, _ := l.Acquire(alice)
	second, ok := l.Acquire(alice)
	if !ok {
		t.Fatal("second refused")
	}
	if _, ok := l.Acquire(alice); ok {
		t.Error("third accepted")
	}
	if _, ok := l.Acquire(bob); !ok {
		t.Error("one address takes from another")
	}
	first()
	first() // gives nothing back twice
	if _, ok := l.Acquire(alice); !ok {
		t.Error("released, but refused")
	}
	if _, ok := l.Acquire(alice); ok {
		t.Error("released twice by one")
	}
	second()
}

func TestLimitRate(t *testing.T) {
	refused := 0
	h := LimitRate(NewRateLimiter(0.1, 1), nil, func() { refused++ })(http.HandlerFunc(Livez))
	get := func(header ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = "10.0.0.1:1234"
		for _, name := range header {
			r.Header.Set(name, "1.2.3.4")
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	if w := get(); w.Code != 200 {
		t.Fatal(w.Code)
	}
	w := get()
	if w.Code != 429 || w.Header().Get("Retry-After") != "10" || w.Body.String() != `{"error":"Too many requests"}`+"\n" {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	if w := get("X-Forwarded-For"); w.Code != 200 {
		t.Error("limited an address that may stand for many clients")
	}
	if refused != 1 {
		t.Errorf("counted %d", refused)
	}
}
