package embedded

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"go.uber.org/goleak"
)

// childDir, when set, makes this test program start a server with that data
// folder, print its process id and wait to be killed.
const childDir = "PIXEL_EMBEDDED_TEST_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		s, err := StartRedis(context.Background(), Options{Dir: dir})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(s.PID())
		select {}
	}
	goleak.VerifyTestMain(m)
}

func start(t *testing.T, start func(context.Context, Options) (*Server, error), o Options) *Server {
	t.Helper()
	s, err := start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func client(t *testing.T, s *Server) *redis.Client {
	t.Helper()
	c := redis.NewClient(&redis.Options{
		Addr: s.Addr(), Protocol: 2, DisableIdentity: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestRestartKeepsPortAndData(t *testing.T) {
	for name, stop := range map[string]func(*Server) error{
		"stop": func(s *Server) error { return s.Stop(context.Background()) },
		"kill": func(s *Server) error { return s.Kill() },
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, StartRedis, Options{AppendFsync: "always"})
			if s.Kind() != KindRedis || s.PID() == 0 {
				t.Fatalf("kind %q, process %d", s.Kind(), s.PID())
			}
			url := s.URL()
			if err := client(t, s).Set(t.Context(), "k", "v", 0).Err(); err != nil {
				t.Fatal(err)
			}
			if err := stop(s); err != nil {
				t.Fatal(err)
			}
			if s.PID() != 0 {
				t.Fatalf("process %d after it was stopped", s.PID())
			}
			if err := s.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			if s.URL() != url {
				t.Fatalf("URL %q after %q", s.URL(), url)
			}
			if v, err := client(t, s).Get(t.Context(), "k").Result(); v != "v" || err != nil {
				t.Fatalf("got %q, %v", v, err)
			}
		})
	}
}

func TestSettings(t *testing.T) {
	s := start(t, StartRedis, Options{Args: []string{"--maxmemory", "20mb"}})
	c := client(t, s)
	for setting, want := range map[string]string{
		"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction",
		"bind": "127.0.0.1", "protected-mode": "yes", "save": "", "maxmemory": "20971520",
	} {
		got, err := c.ConfigGet(t.Context(), setting).Result()
		if err != nil || got[setting] != want {
			t.Errorf("%s = %q, %v; want %q", setting, got[setting], err, want)
		}
	}
	if _, err := StartRedis(t.Context(), Options{AppendFsync: "sometimes"}); err == nil {
		t.Error("appendfsync sometimes was accepted")
	}
}

func TestClusterOfOneNode(t *testing.T) {
	s := start(t, StartRedis, Options{Cluster: true})
	if !strings.HasSuffix(s.URL(), "?cluster=true") {
		t.Errorf("URL %q does not tell that it is a Cluster", s.URL())
	}
	whole := func() {
		t.Helper()
		info, err := client(t, s).ClusterInfo(t.Context()).Result()
		if err != nil || !strings.Contains(info, "cluster_state:ok") {
			t.Fatalf("%v, %v", info, err)
		}
	}
	whole()
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	whole() // with the slots that it has
}

func TestFolderBelongsToOneServer(t *testing.T) {
	dir := t.TempDir()
	s := start(t, StartRedis, Options{Dir: dir})
	if _, err := StartRedis(t.Context(), Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Fatalf("a second server in one folder: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	start(t, StartRedis, Options{Dir: dir})
}

func TestTemporaryFolderGoes(t *testing.T) {
	s := start(t, StartRedis, Options{})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.Dir()); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("folder %s is there after Close: %v", s.Dir(), err)
	}
}

func TestFailureSaysWhy(t *testing.T) {
	_, err := StartRedis(t.Context(), Options{Args: []string{"--no-such-setting", "1"}})
	if err == nil || !strings.Contains(err.Error(), "no-such-setting") {
		t.Fatalf("error %v does not say what redis-server said", err)
	}
}

func TestMemoryWhereRedisIsNotInstalled(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := StartRedis(t.Context(), Options{}); !errors.Is(err, ErrNotInstalled) {
		t.Fatalf("got %v", err)
	}
	s := start(t, Start, Options{})
	if s.Kind() != KindMemory || s.PID() != 0 {
		t.Fatalf("kind %q, process %d", s.Kind(), s.PID())
	}
	c, url := client(t, s), s.URL()
	if err := c.Set(t.Context(), "stays", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if err := c.Set(t.Context(), "goes", "v", time.Millisecond).Err(); err != nil {
		t.Fatal(err)
	}
	for c.Exists(t.Context(), "goes").Val() != 0 { // until the test's deadline
		time.Sleep(time.Millisecond)
	}
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if v, err := client(t, s).Get(t.Context(), "stays").Result(); v != "v" || err != nil || s.URL() != url {
		t.Fatalf("got %q, %v at %s", v, err, s.URL())
	}
}

func TestPause(t *testing.T) {
	s := start(t, StartRedis, Options{})
	c := client(t, s)
	if err := s.Pause(); err != nil {
		t.Fatal(err)
	}
	answered := make(chan error, 1)
	go func() { answered <- c.Ping(context.Background()).Err() }()
	for processState(t, s.PID()) != "T" { // until the test's deadline
		time.Sleep(time.Millisecond)
	}
	if err := s.Resume(); err != nil {
		t.Fatal(err)
	}
	if err := <-answered; err != nil {
		t.Fatal(err)
	}
}

// The parent cannot clean up when it is killed; the child must go all the same.
func TestChildDiesWithItsParent(t *testing.T) {
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), childDir+"="+t.TempDir())
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	_ = parent.Process.Kill()
	_ = parent.Wait()
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Sscan(line, &pid); err != nil {
		t.Fatalf("the parent says %q: %v", line, err)
	}
	deadline := time.Now().Add(20 * time.Second)
	for state := processState(t, pid); state != "" && state != "Z"; state = processState(t, pid) {
		if time.Now().After(deadline) {
			t.Fatalf("process %d is there (%s) though its parent was killed", pid, state)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// processState returns the letter of /proc/PID/stat, empty for no such process.
func processState(t *testing.T, pid int) string {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return rest[:1]
}
