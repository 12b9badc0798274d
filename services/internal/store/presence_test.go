package store

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloud-pixel/playground/services/protocol"
)

func (e *env) heartbeat(t *testing.T, pod string, mine map[string]PodUsers, changed bool) []Pod {
	t.Helper()
	pods, err := e.Heartbeat(t.Context(), pod, mine, changed)
	if err != nil {
		t.Fatal(err)
	}
	return pods
}

func users(n int, names ...string) map[string]PodUsers {
	u := PodUsers{Count: n}
	for i, name := range names {
		u.Users = append(u.Users, protocol.User{Author: uint32(i), Name: name})
	}
	return map[string]PodUsers{"main": u}
}

// silence moves a name's last sign of life back.
func (e *env) silence(t *testing.T, key, name string, by time.Duration) {
	t.Helper()
	e.do(t, "ZINCRBY", key, -by.Milliseconds(), name)
}

func TestPresence(t *testing.T) {
	onEach(t, func(t *testing.T, e *env) {
		ann, bob := users(2, "Ann"), users(1, "Bob <b>", "")
		if pods := e.heartbeat(t, "one", ann, true); !reflect.DeepEqual(pods, []Pod{{Name: "one", Canvases: ann}}) {
			t.Fatalf("%+v", pods)
		}
		e.heartbeat(t, "two", bob, false) // the first time it is written all the same
		names := func(pods []Pod) []string {
			var n []string
			for _, p := range pods {
				n = append(n, p.Name)
			}
			slices.Sort(n)
			return n
		}
		e.silence(t, podsKey, "one", time.Second)
		if pods := e.heartbeat(t, "two", nil, false); !reflect.DeepEqual(pods, []Pod{{"one", ann}, {"two", bob}}) {
			t.Fatalf("unchanged, and yet written: %+v", pods)
		}
		for _, pod := range []string{"one", "two"} {
			if ttl := e.client.PTTL(t.Context(), podKey(pod)).Val(); ttl <= 0 || ttl > usersTTL {
				t.Fatalf("users of %s live for %v", pod, ttl)
			}
		}
		// Silent for 6 s: ignored, though its users are still there.
		e.silence(t, podsKey, "one", podAlive)
		if got := names(e.heartbeat(t, "two", bob, false)); !slices.Equal(got, []string{"two"}) {
			t.Fatalf("%v", got)
		}
		if got := names(e.heartbeat(t, "one", ann, false)); !slices.Equal(got, []string{"one", "two"}) {
			t.Fatalf("%v after it came back", got)
		}
		// Silent for long: dropped from the index.
		e.silence(t, podsKey, "one", 2*podForget)
		e.heartbeat(t, "two", bob, false)
		if n := e.client.ZCard(t.Context(), podsKey).Val(); n != 1 {
			t.Fatalf("%d pods in the index", n)
		}
		// What Redis has lost is told again.
		e.do(t, "DEL", podKey("two"))
		e.heartbeat(t, "two", bob, false)
		if pods := e.heartbeat(t, "two", bob, false); !reflect.DeepEqual(pods, []Pod{{"two", bob}}) {
			t.Fatalf("%+v", pods)
		}
		// So is what was told long ago.
		e.told["two"] = time.Now().Add(-usersRepeat)
		if pods := e.heartbeat(t, "two", ann, false); !reflect.DeepEqual(pods, []Pod{{"two", ann}}) {
			t.Fatalf("%+v", pods)
		}
		// Rubbish of one pod does not hide the others.
		e.do(t, "SET", podKey("two"), "{")
		if pods := e.heartbeat(t, "one", ann, true); !slices.Equal(names(pods), []string{"one", "two"}) {
			t.Fatalf("%+v", pods)
		}
		if err := e.Leave(t.Context(), "two"); err != nil {
			t.Fatal(err)
		}
		if pods := e.heartbeat(t, "one", ann, false); !slices.Equal(names(pods), []string{"one"}) {
			t.Fatalf("%+v", pods)
		}
	})
}

func TestActiveCanvases(t *testing.T) {
	onEach(t, func(t *testing.T, e *env) {
		for _, id := range []string{"a", "b"} {
			if err := e.NoteActive(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
		e.silence(t, activeKey, "a", time.Hour)
		for within, want := range map[time.Duration][]string{time.Minute: {"b"}, 2 * time.Hour: {"a", "b"}} {
			if got, err := e.Active(t.Context(), within); err != nil || !slices.Equal(got, want) {
				t.Fatalf("within %v: %v, %v", within, got, err)
			}
		}
		wantError(t, e.NoteActive(t.Context(), "No id"), ErrNotFound)
	})
}

func TestLease(t *testing.T) {
	onEach(t, func(t *testing.T, e *env) {
		acquire := func(owner string, ttl time.Duration, want bool) {
			t.Helper()
			if held, err := e.AcquireLease(t.Context(), "main", owner, ttl); held != want || err != nil {
				t.Fatalf("%s: %v, %v", owner, held, err)
			}
		}
		acquire("one", time.Minute, true)
		acquire("two", time.Minute, false)
		acquire("one", time.Hour, true)
		if ttl := e.client.PTTL(t.Context(), keysOf("main").lease()).Val(); ttl <= time.Minute || ttl > time.Hour {
			t.Fatalf("prolonged to %v", ttl)
		}
		if err := e.ReleaseLease(t.Context(), "main", "two"); err != nil {
			t.Fatal(err)
		}
		acquire("two", time.Minute, false)
		if err := e.ReleaseLease(t.Context(), "main", "one"); err != nil {
			t.Fatal(err)
		}
		acquire("two", time.Millisecond, true)
		until(t, "the lease expires", func() bool { return e.get(t, keysOf("main").lease()) == "" })
		acquire("one", time.Minute, true)
		_, err := e.AcquireLease(t.Context(), "main", "", time.Minute)
		wantError(t, err, ErrInvalid)
	})
}

// KEYS walks over everything that Redis holds, and blocks it meanwhile.
func TestNothingWalksOverAllKeys(t *testing.T) {
	e := newEnv(t, sharedServer(t, "redis-server"), Options{})
	stats, err := e.client.Info(t.Context(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"keys", "scan", "smembers"} {
		if strings.Contains(stats, "cmdstat_"+command+":") {
			t.Errorf("%s was called", command)
		}
	}
}
