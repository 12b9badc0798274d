package proofs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/client"
	"github.com/cloud-pixel/playground/services/fleet"
	"github.com/cloud-pixel/playground/services/internal/archive"
)

// operated is what an operator's command did.
type operated struct {
	code     int
	out, err string
}

func (o operated) String() string { return fmt.Sprintf("exit code %d\n%s%s", o.code, o.out, o.err) }

// operator returns the command `playground canvas …` with a Redis.
func operator(ctx context.Context, redisURL string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, append([]string{"canvas"}, args...)...)
	cmd.Env = append(os.Environ(), "REDIS_URL="+redisURL, "REDIS_HOST=", "PLAYGROUND_CHILD=")
	return cmd
}

// operate runs such a command to its end.
func operate(t *testing.T, ctx context.Context, redisURL string, args ...string) operated {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := operator(ctx, redisURL, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return operated{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// expect runs a command that must end with a code and say something.
func expect(t *testing.T, ctx context.Context, redisURL string, code int, says string, args ...string) operated {
	t.Helper()
	o := operate(t, ctx, redisURL, args...)
	if o.code != code || !strings.Contains(o.out+o.err, says) {
		t.Errorf("canvas %v: want code %d and %q; got %v", args, code, says, o)
	}
	return o
}

// picture makes a file of a picture whose cells all differ from the background.
func picture(t *testing.T, path string, width, height int) *archive.Archive {
	t.Helper()
	g := canvas.NewGrid(canvas.Spec{Width: width, Height: height, Background: canvas.White})
	for y := range height {
		for x := range width {
			g.Set(x, y, canvas.Color(y*width+x))
		}
	}
	a := archive.New(&archive.View{Canvas: "elsewhere", Picture: g.Freeze(), Position: canvas.Position{Epoch: canvas.NewEpoch(), Seq: 1}}, time.Now())
	must(t, archive.Save(path, a, false))
	return a
}

// People draw while a canvas is exported, again and again: each file is what the
// log made at the file's position, and an audit of canvas and file finds no
// fault. Imported as another canvas, before the eyes of those who look at it,
// and into another Redis, the picture is the same.
func TestExportAndImport(t *testing.T) {
	ctx := limit(t)
	server := redisServer(t)
	f := startFleet(t, ctx, fleet.Options{
		Gateways: 2, APIs: 2, Redis: server.URL(), Canvas: "60x40",
		Env: []string{"CHECKPOINT_INTERVAL=50ms"}, // but the log is kept, to compare with
	})
	dir := t.TempDir()
	painting, stop := context.WithCancel(ctx)
	var drawing sync.WaitGroup
	defer drawing.Wait()
	defer stop()
	for range 3 {
		b := &brush{Client: connect(t, ctx, client.Options{URLs: []string{wsURL(t, f)}})}
		b.paint(t, ctx, 5)
		drawing.Go(func() {
			for painting.Err() == nil {
				if err := b.strokes(ctx, 5); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	var files []string
	for i := range pick(3, 30) {
		file := filepath.Join(dir, fmt.Sprintf("%d.pixels", i))
		expect(t, ctx, server.URL(), 0, "exported", "export", file)
		expect(t, ctx, server.URL(), 0, "looked so at", "verify", file)
		files = append(files, file)
	}
	stop()
	drawing.Wait()
	if t.Failed() {
		return
	}
	w := readTruth(t, ctx, server.URL())
	for _, file := range files {
		a, err := archive.Open(file)
		must(t, err)
		grid := canvas.NewGrid(w.picture.Spec())
		for _, e := range w.entries {
			for i := range e.Ops {
				if e.First+uint64(i) <= a.Position.Seq {
					grid.Apply(&e.Ops[i])
				}
			}
		}
		if a.Position.Epoch != w.epoch || a.Picture.Hash() != grid.Hash() {
			t.Errorf("%s: another picture than the log makes at %v", file, a.Position)
		}
		expect(t, ctx, server.URL(), 0, "looked so at", "verify", file)
	}
	last := files[len(files)-1]
	expect(t, ctx, server.URL(), 2, "-force", "export", last)
	expect(t, ctx, server.URL(), 0, "exported", "export", "-force", last)
	a, err := archive.Open(last)
	must(t, err)
	if a.Position.Seq != w.head || a.Picture.Hash() != w.picture.Hash() {
		t.Errorf("at rest the file has %v, the log %d", a.Position, w.head)
	}

	expect(t, ctx, server.URL(), 0, "shows the file's picture", "import", "-id", "copy", last)
	onlooker := connect(t, ctx, client.Options{URLs: []string{wsURL(t, f)}, Canvas: "copy"})
	expect(t, ctx, server.URL(), 0, "the canvas looks so already", "import", "-id", "copy", last)
	expect(t, ctx, server.URL(), 0, "of another history, and the same picture", "verify", "-id", "copy", last)
	must(t, onlooker.WaitFor(ctx, 1))
	if onlooker.Grid().Hash() != a.Picture.Hash() {
		t.Error("who looks at the copy sees another picture")
	}
	_, err = onlooker.Draw(ctx, canvas.Pixel{X: 1, Y: 1, Color: 0x424242})
	must(t, errors.Join(err, onlooker.Flush(ctx)))
	at := onlooker.Position()
	expect(t, ctx, server.URL(), 1, "(1, 1)", "verify", "-id", "copy", last)
	expect(t, ctx, server.URL(), 2, "-replace", "import", "-id", "copy", last)
	expect(t, ctx, server.URL(), 0, "shows the file's picture", "import", "-id", "copy", last, "-replace")
	must(t, onlooker.WaitFor(ctx, at.Seq+1))
	eventually(t, ctx, "who looks on sees the file's picture", func() bool { return onlooker.Grid().Hash() == a.Picture.Hash() })
	if s := onlooker.Stats(); s.Gaps+s.OutOfOrder+s.Duplicates+s.BadSnapshots != 0 || s.Snapshots > 1 || onlooker.Position().Epoch != at.Epoch {
		t.Errorf("who looked on was not simply told the operations: %+v", s)
	}

	other := redisServer(t)
	expect(t, ctx, other.URL(), 0, "there was no canvas main", "import", last)
	second := startFleet(t, ctx, fleet.Options{Gateways: 1, APIs: 1, Redis: other.URL()})
	c := connect(t, ctx, client.Options{URLs: []string{wsURL(t, second)}})
	if c.Grid().Hash() != a.Picture.Hash() {
		t.Error("services on another Redis show another picture")
	}
}

// An import is killed with -9 at one of its appends, before Redis has it, in
// the midst of it, and when Redis has done it but the command has not heard of
// it. Run again, it carries on: each operation is in the log once.
func TestImportIsKilled(t *testing.T) {
	ctx := limit(t)
	server := redisServer(t)
	tap := startTap(t, server.Addr())
	k := newKeeper(t, server)
	file := filepath.Join(t.TempDir(), "picture.pixels")
	a := picture(t, file, 300, 300)        // 22 strokes behind a reset
	const operations, appends = 1 + 22, 11 // of 8,192 pixels
	for moment, pass := range map[string]func(*caught) error{
		"before": func(*caught) error { return nil },
		"amidst": func(c *caught) error { return c.send(len(c.raw) / 2) },
		"after":  func(c *caught) error { return c.execute(ctx) },
	} {
		for _, n := range pick([]int{1, 5}, []int{1, 2, 3, 5, 8, appends}) {
			id := moment + strconv.Itoa(n)
			trap := tap.arm("append")
			cmd := operator(ctx, tap.url(), "import", "-id", id, file)
			must(t, cmd.Start())
			for range n - 1 {
				c := await(t, ctx, trap)
				trap = tap.arm("append")
				must(t, c.execute(ctx))
				c.release()
			}
			c := await(t, ctx, trap)
			must(t, errors.Join(pass(c), cmd.Process.Kill()))
			_ = cmd.Wait() // it was killed
			c.cut()
			begun := k.headOf(t, ctx, id)
			says := "after those of an import that was interrupted"
			switch begun {
			case 0:
				says = fmt.Sprintf("imported  %d operations", operations)
			case operations:
				says = "the canvas looks so already"
			}
			expect(t, ctx, server.URL(), 0, says, "import", "-id", id, file)
			if head := k.headOf(t, ctx, id); head != operations {
				t.Errorf("%s: the log has %d operations, the picture takes %d; %d were there after the kill", id, head, operations, begun)
			}
			expect(t, ctx, server.URL(), 0, "the same picture", "verify", "-id", id, file)
			view, err := archive.Load(ctx, k, id)
			must(t, err)
			if d := archive.Compare(view.Picture, a.Picture); d != nil {
				t.Errorf("%s: %v", id, d)
			}
		}
	}
}

// headOf returns how many operations the log of a canvas has.
func (k *keeper) headOf(t *testing.T, ctx context.Context, id string) uint64 {
	t.Helper()
	view, err := archive.Load(ctx, k, id)
	must(t, err)
	return view.Position.Seq
}

// People draw while a file is imported over what they draw on. Nothing of
// theirs is lost or doubled, everybody ends with the same picture, and where
// nobody drew it is the file's. When they rest the import makes the file's
// picture.
func TestImportWhileClientsDraw(t *testing.T) {
	ctx := limit(t)
	server := redisServer(t)
	f := startFleet(t, ctx, fleet.Options{
		Gateways: 2, APIs: 2, Redis: server.URL(), Canvas: "300x300", Env: []string{"CHECKPOINT_INTERVAL=50ms"},
	})
	file := filepath.Join(t.TempDir(), "picture.pixels")
	a := picture(t, file, 300, 300)
	painting, stop := context.WithCancel(ctx)
	var drawing sync.WaitGroup
	defer drawing.Wait()
	defer stop()
	var all []drawn
	var lodgers []*lodger
	for row := range 4 {
		o := client.Options{URLs: []string{wsURL(t, f)}}
		if row%2 == 1 {
			o.Codec, o.API = client.JSON, baseURL(t, f)
		}
		l := lodge(t, ctx, row, o)
		must(t, errors.Join(l.draw(ctx), l.Flush(ctx)))
		lodgers = append(lodgers, l)
		drawing.Go(func() {
			for painting.Err() == nil {
				if err := errors.Join(l.draw(ctx), l.Flush(ctx)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	expect(t, ctx, server.URL(), 2, "-replace", "import", file)
	// An import may end before anybody has drawn a stroke. It says what it was.
	for met := 0; met < pick(1, 10); {
		if o := expect(t, ctx, server.URL(), 0, "verified", "import", "-replace", file); strings.Contains(o.out, "others drew meanwhile") {
			met++
		}
	}
	stop()
	drawing.Wait()
	w := readTruth(t, ctx, server.URL())
	imported := map[uint64]uint64{} // operations of imports, by their number
	for _, e := range w.entries {
		var theirs []canvas.Op
		for _, o := range e.Ops {
			if o.Name == archive.Author {
				imported[o.Number]++
			} else {
				theirs = append(theirs, o)
			}
		}
		e.Ops = theirs // of which checkOnce tells
	}
	for n, times := range imported {
		if times != 1 {
			t.Errorf("operation %d of the imports is in the log %d times", n, times)
		}
	}
	for _, l := range lodgers {
		all = append(all, drawn{l.Client, l.n})
		w.checkClient(t, ctx, fmt.Sprintf("client %d", l.row), l.Client)
	}
	w.checkOnce(t, all)
	w.checkAPIs(t, ctx, f)
	for y := len(lodgers); y < 300; y++ {
		for x := range 300 {
			if w.picture.At(x, y) != a.Picture.At(x, y) {
				t.Fatalf("(%d, %d), where nobody drew, is %v", x, y, w.picture.At(x, y))
			}
		}
	}
	expect(t, ctx, server.URL(), 0, "shows the file's picture", "import", "-replace", file)
	expect(t, ctx, server.URL(), 0, "the same picture", "verify", file)
}

// The checkpoint is damaged and the log trimmed, so that no service can load
// the canvas any more. An operator imports the last export over it: the
// services, which try all the time, have it again.
func TestImportMendsACanvas(t *testing.T) {
	ctx := limit(t)
	server := redisServer(t)
	f := startFleet(t, ctx, fleet.Options{
		Gateways: 1, APIs: 1, Redis: server.URL(), Canvas: "30x20", Env: append(often(5), "HANDSHAKE_TIMEOUT=200ms"),
	})
	k := newKeeper(t, server)
	b := &brush{Client: connect(t, ctx, client.Options{URLs: []string{wsURL(t, f)}})}
	b.paint(t, ctx, 10)
	k.follow(t, ctx, b)
	file := filepath.Join(t.TempDir(), "backup.pixels")
	expect(t, ctx, server.URL(), 0, "exported", "export", file)
	a, err := archive.Open(file)
	must(t, err)
	b.paint(t, ctx, 10)
	k.follow(t, ctx, b)
	k.settled(t, ctx, 5)
	must(t, k.change(ctx, "t0", repaint))
	killed(t, ctx, f, false, "api-0", "gateway-0")
	expect(t, ctx, server.URL(), 1, "FAULT", "verify")
	expect(t, ctx, server.URL(), 1, "cannot be read", "export", file+".2")
	if _, err := os.Stat(file + ".2"); err == nil {
		t.Error("a file was left behind")
	}
	expect(t, ctx, server.URL(), 1, "-replace", "import", file)
	expect(t, ctx, server.URL(), 0, "shows the file's picture", "import", "-replace", file)
	if t.Failed() {
		return // nothing would become ready
	}
	for _, p := range append(processes(t, f, fleet.API), processes(t, f, fleet.Gateway)...) {
		eventually(t, ctx, p.Pod+" is ready", func() bool { return statusOf(ctx, "http://"+p.Addr+"/readyz") == http.StatusOK })
	}
	view, err := archive.Load(ctx, k, mainCanvas)
	must(t, err)
	if view.Picture.Hash() != a.Picture.Hash() {
		t.Error("another picture than the file's")
	}
	k.truth = &truth{epoch: view.Position.Epoch, head: view.Position.Seq, picture: view.Picture}
	must(t, b.WaitReady(ctx))
	k.checkClient(t, ctx, "a client that waited", b.Client)
	k.everywhere(t, ctx, f)
	b.paint(t, ctx, 5)
	k.look(t, ctx)
	k.settled(t, ctx, 5)
	k.whole(t, ctx, "after it was mended")
}

// What an operator may do wrong is told, with the exit code that says whose
// fault it is, and without secrets.
func TestOperatorsMistakes(t *testing.T) {
	ctx := limit(t)
	server := redisServer(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "picture.pixels")
	picture(t, file, 40, 30)
	url := server.URL()
	expect(t, ctx, url, 2, "export, import or verify")
	expect(t, ctx, url, 2, "needs a file", "export")
	expect(t, ctx, url, 2, `no canvas "main"`, "export", filepath.Join(dir, "new"))
	expect(t, ctx, url, 2, `no canvas "art"`, "verify", "-id", "art")
	expect(t, ctx, url, 2, "-id", "verify", "-id", "Not An Id")
	expect(t, ctx, url, 2, "no such file", "verify", filepath.Join(dir, "none"))
	expect(t, ctx, url, 2, "no such file", "import", filepath.Join(dir, "none"))
	expect(t, ctx, url, 0, "verified", "import", file)
	expect(t, ctx, url, 0, "ok ", "verify")
	picture(t, file+".big", 41, 30)
	expect(t, ctx, url, 2, "41×30", "import", "-replace", file+".big")
	expect(t, ctx, url, 2, "no usable Redis", "verify", "-redis", "redis://127.0.0.1:1")
	expect(t, ctx, url, 2, "REDIS_URL", "verify", "-redis", "redis://:secret-word@127.0.0.1:1")

	whole, err := os.ReadFile(file)
	must(t, err)
	broken := filepath.Join(dir, "broken")
	for says, b := range map[string][]byte{
		"cut off":         whole[:len(whole)-1],
		"damaged":         append(whole[:len(whole)/2:len(whole)/2], append([]byte{whole[len(whole)/2] ^ 1}, whole[len(whole)/2+1:]...)...),
		"not an archive":  []byte("\x89PNG and so on"),
		"unknown version": []byte("pixel-canvas-archive 2\n"),
		"after 0 bytes":   nil,
		"follows its end": append(whole[:len(whole):len(whole)], 0),
	} {
		must(t, os.WriteFile(broken, b, 0o600))
		expect(t, ctx, url, 1, says, "verify", broken)
		expect(t, ctx, url, 1, says, "import", "-replace", broken)
	}
	for _, given := range []string{
		strings.Replace(url, "redis://", "redis://:secret-word@", 1), "redis://:secret-word@127.0.0.1:1",
		"redis://:secret-word@%zz", "redis://127.0.0.1:1?password=secret-word", "http://:secret-word@localhost",
	} {
		if o := operate(t, ctx, given, "verify", file); strings.Contains(o.out+o.err, "secret-word") || o.code == 0 && !strings.HasSuffix(given, server.Addr()) {
			t.Errorf("with a password in REDIS_URL: %v", o)
		}
	}
	must(t, server.Kill())
	expect(t, ctx, url, 2, "no usable Redis", "export", filepath.Join(dir, "new"))
	if left, err := os.ReadDir(dir); err != nil || len(left) != 3 {
		t.Errorf("what failed left something behind: %v %v", left, err)
	}
}
