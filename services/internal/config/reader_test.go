package config_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/internal/config"
)

func reader(env map[string]string) *config.Reader {
	return config.NewReader(func(name string) (string, bool) { v, ok := env[name]; return v, ok })
}

func TestValues(t *testing.T) {
	r := reader(map[string]string{
		"S": " text ", "W": "JSON", "I": "42", "L": "9000000000", "F": "0.5", "B": "off",
		"D": "1m30s", "M": "64KiB", "M2": "2 MB", "M3": "77", "LIST": "a, b,,c ", "EMPTY": "  ",
	})
	check := func(name string, got, want any) {
		t.Helper()
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s = %v, want %v", name, got, want)
		}
	}
	check("S", r.String("S", "d", ""), "text")
	check("W", r.OneOf("W", "text", "", "json", "text"), "json")
	check("I", r.Int("I", 1, ""), 42)
	check("L", r.Int64("L", 1, ""), int64(9000000000))
	check("F", r.Float("F", 1, ""), 0.5)
	check("B", r.Bool("B", true, ""), false)
	check("D", r.Duration("D", time.Second, ""), 90*time.Second)
	check("M", r.Bytes("M", 1, ""), 65536)
	check("M2", r.Bytes("M2", 1, ""), 2000000)
	check("M3", r.Bytes("M3", 1, ""), 77)
	check("LIST", r.List("LIST", nil, ""), []string{"a", "b", "c"})
	check("EMPTY", r.Int("EMPTY", 7, ""), 7)
	check("UNSET", r.String("UNSET", "default", ""), "default")
	if err := r.Err(); err != nil {
		t.Error(err)
	}
}

// Each mistake is told, names the variable and its value, and leaves the
// default.
func TestMistakes(t *testing.T) {
	for _, c := range []struct {
		value string
		read  func(*config.Reader) any
		left  any
		want  string
	}{
		{"x", func(r *config.Reader) any { return r.Int("V", 3, "") }, 3, `V="x" is not a whole number`},
		{"1.5", func(r *config.Reader) any { return r.Int("V", 3, "") }, 3, `V="1.5" is not a whole number`},
		{"-1", func(r *config.Reader) any { return r.Int("V", 3, "") }, 3, `V="-1" is negative`},
		{"99999999999999999999", func(r *config.Reader) any { return r.Int64("V", 3, "") }, 3, `is out of range`},
		{"0", func(r *config.Reader) any { return r.Int("V", 3, "", config.Min(1)) }, 3, `V="0" is less than 1`},
		{"9", func(r *config.Reader) any { return r.Int("V", 3, "", config.Between(1, 8)) }, 3, `V="9" is not from 1 to 8`},
		{"NaN", func(r *config.Reader) any { return r.Float("V", 3, "") }, 3, `V="NaN" is not a number`},
		{"-0.1", func(r *config.Reader) any { return r.Float("V", 3, "") }, 3, `is negative`},
		{"maybe", func(r *config.Reader) any { return r.Bool("V", true, "") }, true, `V="maybe" is neither true nor false`},
		{"30", func(r *config.Reader) any { return r.Duration("V", time.Second, "") }, time.Second, `V="30" has no unit`},
		{"soon", func(r *config.Reader) any { return r.Duration("V", time.Second, "") }, time.Second, `is not a duration`},
		{"-3s", func(r *config.Reader) any { return r.Duration("V", time.Second, "") }, time.Second, `is negative`},
		{"10 stones", func(r *config.Reader) any { return r.Bytes("V", 5, "") }, 5, `is not an amount of bytes`},
		{"99999999999GiB", func(r *config.Reader) any { return r.Bytes("V", 5, "") }, 5, `is out of range`},
		{"xml", func(r *config.Reader) any { return r.OneOf("V", "json", "", "json", "text") }, "json", `V="xml" is not one of json, text`},
		{"3000", func(r *config.Reader) any { return r.Addr("V", ":1", "") }, ":1", `V="3000" is not an address`},
		{":http2", func(r *config.Reader) any { return r.Addr("V", ":1", "") }, ":1", `has no port`},
		{"10.0.0.0/8,nonsense", func(r *config.Reader) any { return len(r.Prefixes("V", "")) }, 0, `"nonsense"`},
	} {
		r := reader(map[string]string{"V": c.value})
		if got := fmt.Sprint(c.read(r)); got != fmt.Sprint(c.left) {
			t.Errorf("%q left %v, want the default %v", c.value, got, c.left)
		}
		if err := r.Err(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.value, err, c.want)
		}
	}
}

func TestAllMistakesAtOnceAndOnlyOnce(t *testing.T) {
	r := reader(map[string]string{"A": "x", "B": "z"})
	for range 2 {
		r.Int("A", 0, "")
		r.Bool("B", false, "")
		r.Fail("A and B do not go together")
	}
	if lines := strings.Split(r.Err().Error(), "\n"); len(lines) != 3 {
		t.Errorf("%d lines: %q", len(lines), lines)
	}
}

func TestSecret(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct {
		name      string
		env       map[string]string
		want, err string
	}{
		{"none", nil, "", ""},
		{"direct", map[string]string{"T": "hunter2"}, "hunter2", ""},
		{"file", map[string]string{"T_FILE": file("good", "hunter2\n")}, "hunter2", ""},
		{"both", map[string]string{"T": "hunter2", "T_FILE": file("other", "hunter3")}, "", "both set"},
		{"missing", map[string]string{"T_FILE": filepath.Join(dir, "no")}, "", "cannot be read"},
		{"empty", map[string]string{"T_FILE": file("empty", "\n")}, "", "is empty"},
		{"huge", map[string]string{"T_FILE": file("huge", strings.Repeat("x", 1<<17))}, "", "longer than"},
	} {
		r := reader(c.env)
		if got := r.Secret("T", ""); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		err := r.Err()
		switch {
		case c.err == "" && err != nil, c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%s: %v, want %q", c.name, err, c.err)
		case err != nil && strings.Contains(err.Error(), "hunter"):
			t.Errorf("%s: the secret is in the error: %v", c.name, err)
		}
	}
}

func TestRedis(t *testing.T) {
	if c := config.RedisFrom(reader(nil)); c.URL != "redis://localhost:6379" {
		t.Errorf("default %q", c.URL)
	}
	if c := config.RedisFrom(reader(map[string]string{"REDIS_HOST": "::1", "REDIS_PORT": "7000"})); c.URL != "redis://[::1]:7000" {
		t.Errorf("host and port: %q", c.URL)
	}
	for _, url := range []string{"localhost:6379 hunter2", "http://hunter2@x", "redis://", "redis://u:hunter2@h:port"} {
		r := reader(map[string]string{"REDIS_URL": url})
		config.RedisFrom(r)
		if err := r.Err(); err == nil || !strings.Contains(err.Error(), "REDIS_URL") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", url, err)
		}
	}
}

func TestRedisHidesItsPasswords(t *testing.T) {
	c := config.Redis{URL: "redis://user:hunter2@example.org:6379/1?sentinel_password=hunter2&master_name=m", Password: "hunter2"}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "redis", c, "in", struct{ R config.Redis }{c})
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "redis", c)
	all := log.String() + fmt.Sprintf("%v %+v %#v %s %+v", c, c, c, c, struct{ R config.Redis }{c})
	if strings.Contains(all, "hunter2") {
		t.Errorf("the password shows: %s", all)
	}
	if !strings.Contains(c.String(), "example.org:6379") {
		t.Errorf("the address does not show: %s", c)
	}
}

func TestCanvases(t *testing.T) {
	r := reader(map[string]string{"CANVASES": "art, big:200x100", "CANVAS_WIDTH": "60"})
	c := config.CanvasesFrom(r)
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	want := []config.Canvas{
		{ID: "main", Spec: canvas.Spec{Width: 60, Height: 50, Background: canvas.White}},
		{ID: "art", Spec: canvas.Spec{Width: 60, Height: 50, Background: canvas.White}},
		{ID: "big", Spec: canvas.Spec{Width: 200, Height: 100, Background: canvas.White}},
	}
	if fmt.Sprint(c.AtStart) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", c.AtStart, want)
	}
	for _, bad := range []map[string]string{
		{"CANVASES": "Art"}, {"CANVASES": "a,a"}, {"CANVASES": "a:5"}, {"CANVASES": "a:0x5"}, {"CANVASES": "a:5x5000"},
		{"CANVASES": "a:axb"}, {"CANVASES": "a,b", "MAX_CANVASES": "2"}, {"CANVAS_WIDTH": "5000"},
	} {
		r := reader(bad)
		config.CanvasesFrom(r)
		if r.Err() == nil {
			t.Errorf("%v was accepted", bad)
		}
	}
}

func TestListen(t *testing.T) {
	r := reader(map[string]string{"TRUSTED_PROXIES": "10.1.2.3/8, ::ffff:192.168.0.0/112, 127.0.0.1"})
	l := config.ListenFrom(r, 3002)
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	if l.Addr != ":3002" {
		t.Errorf("Addr %q", l.Addr)
	}
	if got := fmt.Sprint(l.TrustedProxies); got != "[10.0.0.0/8 192.168.0.0/16 127.0.0.1/32]" {
		t.Errorf("TrustedProxies %s", got)
	}
	if l := config.ListenFrom(reader(map[string]string{"PORT": "1", "ADDR": "127.0.0.1:2"}), 3); l.Addr != "127.0.0.1:2" {
		t.Errorf("ADDR does not stand above PORT: %q", l.Addr)
	}
	r = reader(map[string]string{"DRAIN_DELAY": "30s"})
	if config.ListenFrom(r, 1); r.Err() == nil {
		t.Error("a delay beyond the whole drain was accepted")
	}
}

func TestPod(t *testing.T) {
	if got := reader(map[string]string{"POD_NAME": "gateway-0"}).Pod(); got != "gateway-0" {
		t.Error(got)
	}
	if a, b := reader(nil).Pod(), reader(nil).Pod(); a == b || len(a) > 63 {
		t.Errorf("default names %q and %q", a, b)
	}
	r := reader(map[string]string{"POD_NAME": "a{b}"})
	if r.Pod(); r.Err() == nil {
		t.Error("a name with braces was accepted")
	}
}

func TestTable(t *testing.T) {
	r := reader(map[string]string{"A": "secret"})
	r.Secret("A", "First.")
	r.Duration("D", time.Hour, "a|b")
	r.Duration("D", time.Minute, "asked again")
	want := "| variable | type | default | meaning |\n|---|---|---|---|\n" +
		"| `A` | secret |  | First. |\n| `A_FILE` | file |  | File that holds A. |\n| `D` | duration | `1h` | a\\|b |\n"
	if got := config.Table(r.Vars()); got != want {
		t.Errorf("got\n%s want\n%s", got, want)
	}
}

func TestFormat(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0s", 30 * time.Second: "30s", 5 * time.Minute: "5m", 24 * time.Hour: "24h", 90 * time.Second: "1m30s", 10 * time.Minute: "10m", 90 * time.Minute: "1h30m"} {
		if got := config.FormatDuration(d); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	for n, want := range map[int64]string{0: "0", 1000: "1000", 1 << 16: "64KiB", 256 << 20: "256MiB", 1 << 30: "1GiB"} {
		if got := config.FormatBytes(n); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
