package model

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strconv"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/cloud-pixel/playground/services/internal/embedded"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// full tells whether the long form of the proofs was asked for.
var full = os.Getenv("PROVE") == "full"

// examples sets how many examples rapid tries, and of about how many actions,
// unless the command line says.
func examples(t *testing.T, short, long int) {
	t.Helper()
	n := short
	if full {
		n = long
	}
	given := map[string]bool{}
	flag.Visit(func(f *flag.Flag) { given[f.Name] = true })
	for name, value := range map[string]int{"rapid.checks": n, "rapid.steps": 45} {
		if given[name] {
			continue
		}
		before := flag.Lookup(name).Value.String()
		if err := flag.Set(name, strconv.Itoa(value)); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = flag.Set(name, before) })
	}
}

// Whatever happens to messages, connections, processes and Redis, what was
// promised holds when it is over.
func TestEverythingAtOnce(t *testing.T) {
	examples(t, 16, 500) // of each of the four
	counts := newTally()
	var trials []*trial
	for _, start := range []func(context.Context, embedded.Options) (*embedded.Server, error){
		embedded.StartRedis, embedded.StartRedis, embedded.StartRedis, embedded.StartMemory,
	} {
		server, err := start(t.Context(), embedded.Options{AppendFsync: "no"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := server.Close(); err != nil {
				t.Error(err)
			}
		})
		trials = append(trials, &trial{server: server, counts: counts})
	}
	// All at the same time: an example waits more than it works.
	var all sync.WaitGroup
	for i, r := range trials {
		all.Go(func() {
			t.Run(fmt.Sprintf("%s-%d", r.server.Kind(), i+1), func(t *testing.T) {
				r.first = t.Logf
				rapid.Check(t, r.try)
			})
		})
	}
	all.Wait()
	t.Logf("what was tried:\n%v", counts)
}
