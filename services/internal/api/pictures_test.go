package api

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"image/color"
	"image/png"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/protocol"
)

// randomGrid returns a picture with at most so many colours.
func randomGrid(spec canvas.Spec, colors int) *canvas.Frozen {
	random := rand.New(rand.NewPCG(1, uint64(colors)))
	g := canvas.NewGrid(spec)
	for range spec.Cells() / 2 {
		g.Set(random.IntN(spec.Width), random.IntN(spec.Height), canvas.Color(random.IntN(colors)*65793%0x1000000))
	}
	return g.Freeze()
}

// The pixels of an image, as another decoder sees them, are those of the
// canvas.
func TestPNG(t *testing.T) {
	for _, size := range [][2]int{{1, 1}, {50, 50}, {130, 7}, {7, 129}} {
		for _, colors := range []int{1, 2, 255, 256, 257, 100_000} {
			for _, scale := range []int{1, 2, 5, 16} {
				f := randomGrid(canvas.Spec{Width: size[0], Height: size[1], Background: 0x010203}, colors)
				var b bytes.Buffer
				if err := encodePNG(&b, f, scale); err != nil {
					t.Fatal(err)
				}
				checkImage(t, b.Bytes(), f, scale)
			}
		}
	}
}

func checkImage(t *testing.T, encoded []byte, f *canvas.Frozen, scale int) {
	t.Helper()
	image, err := png.Decode(bytes.NewReader(encoded))
	if err != nil {
		t.Fatal(err)
	}
	spec := f.Spec()
	if size := image.Bounds().Size(); size.X != spec.Width*scale || size.Y != spec.Height*scale {
		t.Fatalf("an image of %v for %d×%d cells at scale %d", size, spec.Width, spec.Height, scale)
	}
	for y := range spec.Height * scale {
		for x := range spec.Width * scale {
			c := f.At(x/scale, y/scale)
			want := color.NRGBA{R: byte(c >> 16), G: byte(c >> 8), B: byte(c), A: 255}
			if got := color.NRGBAModel.Convert(image.At(x, y)); got != want {
				t.Fatalf("pixel (%d, %d) at scale %d is %v; want %v", x, y, scale, got, want)
			}
		}
	}
}

// Whatever the size of the pieces, the document is the same, valid, and has
// all pixels.
func TestJSONInPieces(t *testing.T) {
	f := randomGrid(canvas.Spec{Width: 61, Height: 43, Background: canvas.White}, 1000)
	join := func(size int) string {
		var b strings.Builder
		for part := range encodeJSON(f, size) {
			if len(part) > size {
				t.Fatalf("a piece of %d bytes; at most %d were asked for", len(part), size)
			}
			b.Write(part)
		}
		return b.String()
	}
	whole := join(math.MaxInt)
	for _, size := range []int{100, 1000, jsonPart} {
		if join(size) != whole {
			t.Errorf("pieces of %d bytes give another document", size)
		}
	}
	var all struct {
		Width, Height int
		Pixels        map[string]string
	}
	if err := json.Unmarshal([]byte(whole), &all); err != nil {
		t.Fatal(err)
	}
	if all.Width != 61 || all.Height != 43 || len(all.Pixels) != 61*43 {
		t.Fatalf("%d×%d with %d pixels", all.Width, all.Height, len(all.Pixels))
	}
	for y := range 43 {
		for x := range 61 {
			if got := all.Pixels[fmt.Sprintf("%d,%d", x, y)]; got != f.At(x, y).String() {
				t.Fatalf("(%d, %d) is %s", x, y, got)
			}
		}
	}
}

// snapshot reads a canvas by its binary route.
func (p *process) snapshot(id string) (*canvas.Grid, canvas.Position) {
	p.t.Helper()
	got := p.get("/api/canvases/" + id + "/snapshot")
	if got.status != http.StatusOK || got.header.Get("Content-Type") != "application/octet-stream" {
		p.t.Fatalf("%d %s", got.status, got.header.Get("Content-Type"))
	}
	var messages []protocol.ServerMessage
	err := protocol.DecodeServerBinary([]byte(got.body), func(m protocol.ServerMessage) error {
		messages = append(messages, m)
		return nil
	})
	if err != nil {
		p.t.Fatal(err)
	}
	begin := messages[0].(protocol.SnapshotBegin)
	grid := canvas.NewGrid(begin.Spec)
	for _, m := range messages[1:] {
		band := m.(protocol.SnapshotBand)
		if err := protocol.LoadBand(grid, &band); err != nil {
			p.t.Fatal(err)
		}
	}
	if len(messages)-1 != begin.Bands || grid.Hash() != begin.Hash || begin.Position.String() != got.header.Get("Pixel-Position") {
		p.t.Fatalf("a snapshot of %d bands at %v; its beginning says %d, its header %s", len(messages)-1, begin.Position, begin.Bands, got.header.Get("Pixel-Position"))
	}
	return grid, begin.Position
}

func TestPictureRoutes(t *testing.T) {
	p := run(t, newRedis(t), nil)
	p.put("/api/pixel", `{"x":3,"y":4,"color":"#123456"}`)
	grid, at := p.snapshot("main")
	if grid.At(3, 4) != 0x123456 || at.Seq != 1 {
		t.Fatalf("%v at %v", grid.At(3, 4), at)
	}
	for _, scale := range []int{1, 4} {
		image := p.get(fmt.Sprintf("/api/canvases/main/image.png?scale=%d", scale))
		checkImage(t, []byte(image.body), grid.Freeze(), scale)
	}
	equal(t, p.get("/api/canvases/main/image.png"), 200, p.get("/api/canvases/main/image.png?scale=1").body)
	equal(t, p.get("/api/canvases/main/canvas"), 200, p.get("/api/canvas").body)
	for query, want := range map[string]string{
		"scale=0":   `{"error":"Scale must be an integer from 1 to 16"}`,
		"scale=17":  `{"error":"Scale must be an integer from 1 to 16"}`,
		"scale=1.5": `{"error":"Scale must be an integer from 1 to 16"}`,
		"scale=-1":  `{"error":"Scale must be an integer from 1 to 16"}`,
	} {
		equal(t, p.get("/api/canvases/main/image.png?"+query), 400, want)
	}
	for _, path := range []string{"/api/canvas", "/api/canvases/main/canvas", "/api/canvases/main/snapshot", "/api/canvases/main/image.png", "/api/canvases/main/image.png?scale=2"} {
		t.Run(path, func(t *testing.T) { checkValidation(t, p, path) })
	}
}

// checkValidation asks a picture's route as a cache does.
func checkValidation(t *testing.T, p *process, path string) {
	first := p.get(path)
	tag := first.header.Get("ETag")
	if first.status != 200 || !strings.HasPrefix(tag, `"`) {
		t.Fatalf("%d, ETag %s", first.status, tag)
	}
	position := first.header.Get("Pixel-Position")
	for _, given := range []string{tag, "W/" + tag, `"other", ` + tag, "*"} {
		got := p.get(path, "If-None-Match", given)
		if got.status != 304 || got.body != "" || got.header.Get("ETag") != tag || got.header.Get("Pixel-Position") != position {
			t.Errorf("If-None-Match %s: %d %q %v", given, got.status, got.body, got.header)
		}
		if got.header.Get("Cache-Control") != first.header.Get("Cache-Control") {
			t.Errorf("Cache-Control %q, then %q", first.header.Get("Cache-Control"), got.header.Get("Cache-Control"))
		}
	}
	head := p.do(http.MethodHead, path, "")
	if head.status != 200 || head.body != "" || head.header.Get("Content-Length") != fmt.Sprint(len(first.body)) {
		t.Errorf("HEAD: %d, %d bytes, Content-Length %s", head.status, len(head.body), head.header.Get("Content-Length"))
	}
	before := p.seq()
	p.put("/api/pixel", fmt.Sprintf(`{"x":0,"y":0,"color":"%v"}`, canvas.Color(before)))
	got := p.get(path, "If-None-Match", tag)
	if got.status != 200 || got.header.Get("ETag") == tag || got.body == first.body {
		t.Errorf("after a write: %d, ETag %s", got.status, got.header.Get("ETag"))
	}
}

// Who takes gzip gets the pixels of a full canvas in a third of the bytes.
func TestJSONIsCompressed(t *testing.T) {
	p := run(t, newRedis(t), nil)
	plain := p.get("/api/canvas", "Accept-Encoding", "identity")
	packed := p.get("/api/canvas", "Accept-Encoding", "gzip")
	if plain.header.Get("Content-Encoding") != "" || packed.header.Get("Content-Encoding") != "gzip" {
		t.Fatalf("Content-Encoding %q and %q", plain.header.Get("Content-Encoding"), packed.header.Get("Content-Encoding"))
	}
	r, err := gzip.NewReader(strings.NewReader(packed.body))
	if err != nil {
		t.Fatal(err)
	}
	if unpacked, err := io.ReadAll(r); err != nil || string(unpacked) != plain.body {
		t.Errorf("%v: %d bytes, want %d", err, len(unpacked), len(plain.body))
	}
	if 3*len(packed.body) > len(plain.body) {
		t.Errorf("%d bytes instead of %d", len(packed.body), len(plain.body))
	}
	for _, got := range []reply{plain, packed} {
		if !strings.Contains(strings.Join(got.header.Values("Vary"), ","), "Accept-Encoding") {
			t.Errorf("Vary %q", got.header.Values("Vary"))
		}
	}
	if plain.header.Get("ETag") == packed.header.Get("ETag") {
		t.Error("both encodings have one ETag")
	}
	if again := p.get("/api/canvas", "Accept-Encoding", "gzip", "If-None-Match", packed.header.Get("ETag")); again.status != http.StatusNotModified {
		t.Errorf("%d", again.status)
	}
}

// A picture is made once for all who ask for it at one position.
func TestPicturesAreShared(t *testing.T) {
	p := run(t, newRedis(t), nil)
	want := p.get("/api/canvas").body
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 20 {
				got, err := p.try(http.MethodGet, "/api/canvas", "")
				if err != nil || got.body != want {
					t.Errorf("%v: %d bytes", err, len(got.body))
				}
			}
		})
	}
	all.Wait()
	if made := p.metric(`pixel_pictures_total{form="json",source="made"}`); made != 1 {
		t.Errorf("made %v times", made)
	}
	if cached := p.metric(`pixel_pictures_total{form="json",source="cache"}`); cached != 160 {
		t.Errorf("%v answers from the cache", cached)
	}
}

// Great canvases: the JSON is streamed up to a million cells, and refused by a
// pointer to the snapshot beyond.
func TestGreatCanvases(t *testing.T) {
	p := run(t, newRedis(t), env{"CANVASES": "million:1000x1000,more:1001x1000"})
	p.put("/api/canvases/million/pixels", `{"pixels":[{"x":999,"y":999,"color":"#abcdef"},{"x":0,"y":500,"color":"#000001"}]}`)
	got := p.get("/api/canvases/million/canvas")
	var all struct{ Pixels map[string]string }
	if err := json.Unmarshal([]byte(got.body), &all); err != nil {
		t.Fatal(err)
	}
	if len(all.Pixels) != 1_000_000 || all.Pixels["999,999"] != "#ABCDEF" || all.Pixels["0,500"] != "#000001" {
		t.Errorf("%d pixels, %s, %s", len(all.Pixels), all.Pixels["999,999"], all.Pixels["0,500"])
	}
	equal(t, p.get("/api/canvases/million/canvas", "If-None-Match", got.header.Get("ETag")), 304, "")
	equal(t, p.get("/api/canvases/more/canvas"), 413, `{"error":"The canvas has more than 1000000 cells; use /api/canvases/more/snapshot"}`)
	if grid, _ := p.snapshot("more"); grid.Spec().Cells() != 1_001_000 {
		t.Errorf("%d cells", grid.Spec().Cells())
	}
	equal(t, p.get("/api/canvases/million/image.png?scale=5"), 400, `{"error":"At this scale the image would have more than 16777216 pixels"}`)
	grid, _ := p.snapshot("million")
	checkImage(t, []byte(p.get("/api/canvases/million/image.png").body), grid.Freeze(), 1)
}
