package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/client"
	pixelstore "github.com/cloud-pixel/playground/services/internal/store"
)

// A hundred people draw, and in the middle one of four gateways is killed:
// everybody is back, what was acknowledged is in the log exactly once, nobody
// saw a gap or a repetition, and all pictures are the same.
func TestKilledGatewayLosesNothing(t *testing.T) {
	t.Setenv(realVariable, "1")
	p := playSystem(t, Options{Gateways: 4, APIs: 3, Frontends: 2, Width: 60, Height: 40}, system{services: services, store: startStore, env: noRedis})
	const clients, strokes = 100, 50
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()

	painters := make([]*client.Client, clients)
	for i := range painters {
		o := client.Options{URLs: []string{"ws" + strings.TrimPrefix(p.state.URL, "http") + "/ws"}, Name: fmt.Sprintf("painter %d", i)}
		if i%5 == 0 {
			o.Codec, o.API = client.JSON, p.state.URL
		}
		c, err := client.Dial(ctx, o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		painters[i] = c
	}
	pods := map[string]int{}
	for _, c := range painters {
		pods[c.Pod()]++
	}
	if len(pods) != 4 {
		t.Errorf("connections are at %v", pods)
	}

	// Half of the strokes, the kill with those still on their way, then the
	// other half.
	var half, all sync.WaitGroup
	half.Add(clients)
	killed := make(chan struct{})
	for i, c := range painters {
		all.Go(func() {
			for n := range strokes {
				if n == strokes/2 {
					half.Done()
					<-killed
				}
				point := canvas.Pixel{X: uint16((7*i + n) % 60), Y: uint16((3*n + i) % 40), Color: canvas.Color(i*strokes + n)}
				if _, err := c.Draw(ctx, point); err != nil {
					t.Errorf("client %d: %v", i, err)
				}
			}
			if err := c.Flush(ctx); err != nil {
				t.Errorf("client %d: not everything was acknowledged: %v", i, err)
			}
		})
	}
	half.Wait()
	victim := killGateway(t, p)
	close(killed)
	all.Wait()

	entries, picture, head := wholeLog(t, ctx, p.state.Redis.URL)
	times := map[canvas.AuthorID]map[uint64]int{}
	for _, e := range entries {
		for _, o := range e.Ops {
			if times[o.Author] == nil {
				times[o.Author] = map[uint64]int{}
			}
			times[o.Author][o.Number]++
		}
	}
	if len(times) != clients {
		t.Errorf("%d authors in the log", len(times))
	}
	for author, numbers := range times {
		for n := range uint64(strokes) {
			if numbers[n+1] != 1 {
				t.Errorf("operation %d of %x is in the log %d times", n+1, author, numbers[n+1])
			}
		}
	}
	stored := restPicture(t, p.state.URL)
	cut := 0
	for i, c := range painters {
		if err := c.WaitFor(ctx, head); err != nil {
			t.Fatalf("client %d at %v of %d: %v", i, c.Position(), head, err)
		}
		if c.Grid().Hash() != picture.Hash() {
			t.Errorf("client %d has another picture than the log", i)
		}
		s := c.Stats()
		if s.Gaps != 0 || s.OutOfOrder != 0 || s.BadSnapshots != 0 || len(s.Refused) != 0 {
			t.Errorf("client %d: %+v", i, s)
		}
		cut += len(s.Disconnects)
	}
	if stored.Hash() != picture.Hash() {
		t.Error("the api has another picture than the log")
	}
	if cut != pods[victim] {
		t.Errorf("%d clients were cut off; %d were at the gateway that was killed", cut, pods[victim])
	}
	for _, c := range painters {
		_ = c.Close()
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}
}

// killGateway kills the first gateway by its pid and returns its name.
func killGateway(t *testing.T, p *playground) string {
	t.Helper()
	for _, process := range p.state.Processes {
		if process.Service == "gateway" {
			if err := syscall.Kill(process.PID, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			return process.Pod
		}
	}
	t.Fatal("no gateway runs")
	return ""
}

// wholeLog returns the main canvas's log, the picture that it makes, and its
// head.
func wholeLog(t *testing.T, ctx context.Context, url string) ([]*canvas.Entry, *canvas.Frozen, uint64) {
	t.Helper()
	s, err := pixelstore.Open(pixelstore.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	meta, err := s.Meta(ctx, "main")
	if err != nil {
		t.Fatal(err)
	}
	grid := canvas.NewGrid(meta.Spec)
	var all []*canvas.Entry
	var since uint64
	for {
		entries, head, err := s.Read(ctx, "main", since, 500)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			for i := range e.Ops {
				grid.Apply(&e.Ops[i])
			}
			since = e.Last()
		}
		all = append(all, entries...)
		if since >= head {
			return all, grid.Freeze(), head
		}
	}
}

// restPicture returns the canvas as the api tells it.
func restPicture(t *testing.T, url string) *canvas.Frozen {
	t.Helper()
	var answer struct {
		Width, Height int
		Pixels        map[string]string
	}
	if err := json.Unmarshal([]byte(fetch(t, "GET", url+"/api/canvas", "")), &answer); err != nil {
		t.Fatal(err)
	}
	grid := canvas.NewGrid(canvas.Spec{Width: answer.Width, Height: answer.Height, Background: canvas.White})
	for at, text := range answer.Pixels {
		var x, y int
		if _, err := fmt.Sscanf(at, "%d,%d", &x, &y); err != nil {
			t.Fatal(err)
		}
		c, err := canvas.ParseColor(text)
		if err != nil {
			t.Fatal(err)
		}
		grid.Set(x, y, c)
	}
	return grid.Freeze()
}
