package archive

import (
	"bytes"
	"errors"
	"flag"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/cloud-pixel/playground/services/canvas"
)

// sample is an archive of a canvas of two by two tiles, of which one is blank.
func sample() *Archive {
	g := canvas.NewGrid(canvas.Spec{Width: 300, Height: 260, Background: canvas.White})
	random := rand.New(rand.NewPCG(3, 4))
	for range 20 {
		g.Set(random.IntN(256), random.IntN(256), canvas.Color(random.IntN(1<<24)))
	}
	g.Set(299, 259, 0x123456)
	g.Set(1, 258, 0)
	epoch, _ := canvas.ParseEpoch("00112233445566778899aabbccddeeff")
	return New(&View{
		Canvas: "art", Picture: g.Freeze(), Position: canvas.Position{Epoch: epoch, Seq: 1<<53 - 1}, Time: 1_700_000_000_123,
	}, time.Date(2026, 5, 1, 12, 0, 0, 5, time.UTC))
}

func bytesOf(t interface {
	Helper()
	Fatal(...any)
}, a *Archive) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, a); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func same(t interface{ Errorf(string, ...any) }, got, want *Archive) {
	if got.Canvas != want.Canvas || got.Position != want.Position || !got.Time.Equal(want.Time) || !got.Exported.Equal(want.Exported) || got.id != want.id || got.sum != want.sum {
		t.Errorf("%+v after a round trip, was %+v", got, want)
	}
	if got.Picture.Spec() != want.Picture.Spec() {
		t.Errorf("%+v after a round trip, was %+v", got.Picture.Spec(), want.Picture.Spec())
	} else if d := Compare(got.Picture, want.Picture); d != nil || got.Picture.Hash() != want.Picture.Hash() {
		t.Errorf("another picture after a round trip: %v", d)
	}
}

func TestFileRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spec := canvas.Spec{
			Width: rapid.IntRange(1, 600).Draw(t, "width"), Height: rapid.IntRange(1, 600).Draw(t, "height"),
			Background: canvas.Color(rapid.Uint32Range(0, 0xFFFFFF).Draw(t, "background")),
		}
		g := canvas.NewGrid(spec)
		for range rapid.IntRange(0, 30).Draw(t, "pixels") {
			g.Set(rapid.IntRange(0, spec.Width-1).Draw(t, "x"), rapid.IntRange(0, spec.Height-1).Draw(t, "y"),
				canvas.Color(rapid.Uint32Range(0, 0xFFFFFF).Draw(t, "color")))
		}
		a := New(&View{
			Canvas: rapid.StringMatching("[a-z0-9][a-z0-9-]{0,63}").Draw(t, "id"), Picture: g.Freeze(),
			Position: canvas.Position{Epoch: canvas.NewEpoch(), Seq: rapid.Uint64Range(0, 1<<53-1).Draw(t, "seq")},
			Time:     rapid.Int64Range(0, 4e12).Draw(t, "time"),
		}, time.UnixMilli(rapid.Int64Range(0, 4e12).Draw(t, "exported")))
		got, err := Read(bytes.NewReader(bytesOf(t, a)))
		if err != nil {
			t.Fatal(err)
		}
		same(t, got, a)
	})
}

// A byte that is another one, wherever it stands, is noticed.
func TestEveryByteCounts(t *testing.T) {
	whole := bytesOf(t, sample())
	if _, err := Read(bytes.NewReader(whole)); err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		for _, change := range []byte{0x01, 0x20, 0x80, 0xFF} {
			damaged := bytes.Clone(whole)
			damaged[i] ^= change
			a, err := Read(bytes.NewReader(damaged))
			switch {
			case err == nil || a != nil:
				t.Fatalf("byte %d of %d, changed by %#x, was not noticed", i, len(whole), change)
			case i < len(magic):
				if !errors.Is(err, ErrForeign) {
					t.Errorf("byte %d: %v", i, err)
				}
			case i < len(magic)+len(version):
				if !errors.Is(err, ErrVersion) {
					t.Errorf("byte %d: %v", i, err)
				}
			case !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrVersion): // the line break behind the version
				t.Errorf("byte %d: %v", i, err)
			}
		}
	}
}

// So is an end that is missing, wherever the file was cut off, and one that has
// something behind it.
func TestCutOff(t *testing.T) {
	whole := bytesOf(t, sample())
	for n := range whole {
		a, err := Read(bytes.NewReader(whole[:n]))
		if a != nil || !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "cut off") {
			t.Fatalf("cut off after %d of %d bytes: %v", n, len(whole), err)
		}
	}
	for _, more := range []string{"\n", "\x00", string(whole)} {
		if _, err := Read(strings.NewReader(string(whole) + more)); !errors.Is(err, ErrDamaged) {
			t.Errorf("%d bytes more: %v", len(more), err)
		}
	}
}

func TestForeignFiles(t *testing.T) {
	for text, want := range map[string]error{
		"\x89PNG\r\n\x1a\n":                                      ErrForeign,
		"pixel":                                                  ErrDamaged,
		"Pixel-canvas-archive 1\n":                               ErrForeign,
		"pixel-canvas-archive 2\nnonsense":                       ErrVersion,
		"pixel-canvas-archive 10\n":                              ErrVersion,
		"pixel-canvas-archive \n":                                ErrVersion,
		"pixel-canvas-archive 1\n{}\n":                           ErrDamaged,
		"pixel-canvas-archive 1\n[]\n":                           ErrDamaged,
		"pixel-canvas-archive 1\n{\"x\":1}\n":                    ErrDamaged,
		"pixel-canvas-archive 1\n" + strings.Repeat(" ", 10_000): ErrDamaged,
	} {
		if _, err := Read(strings.NewReader(text)); !errors.Is(err, want) {
			t.Errorf("%.40q: %v, want %v", text, err, want)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(bytesOf(f, sample()))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := Read(bytes.NewReader(b))
		if (err == nil) != (a != nil) {
			t.Fatal(a, err)
		}
	})
}

var update = flag.Bool("update", false, "write the archive that every release must read anew: only for a new version")

// An archive that was written by the first release that could is read by every
// later one.
func TestOldArchive(t *testing.T) {
	const path = "testdata/version-1.pixels"
	want := sample()
	copy(want.id[:], "an id of 16 bytes")
	if *update {
		if err := Save(path, want, true); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	want.sum = got.sum // how well it was compressed does not matter
	same(t, got, want)
}

func TestSave(t *testing.T) {
	path := filepath.Join(t.TempDir(), "main.pixels")
	first, second := sample(), sample()
	if err := Save(path, first, false); err != nil {
		t.Fatal(err)
	}
	if err := Save(path, second, false); !errors.Is(err, ErrExists) {
		t.Errorf("an existing file: %v", err)
	}
	got, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, first)
	if err := Save(path, second, true); err != nil {
		t.Fatal(err)
	}
	if got, err = Open(path); err != nil {
		t.Fatal(err)
	}
	same(t, got, second)
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("left behind: %v %v", left, err)
	}
	if err := Save(filepath.Join(path, "no", "folder"), first, false); err == nil {
		t.Error("saved into nowhere")
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("opening nothing: %v", err)
	}
}
