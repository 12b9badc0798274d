package protocol

import (
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/cloud-pixel/playground/services/canvas"
)

func unhex(t *testing.T, digits string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestBadBinary gives the exact answers to frames that are not, or only just,
// messages of a client.
func TestBadBinary(t *testing.T) {
	draw := func(n uint64, pixels ...canvas.Pixel) Draw { return Draw{Number: n, Pixels: pixels} }
	var (
		format  = refusal(CodeInvalidFormat, 0)
		unknown = refusal(CodeUnknownType, 0)
		hello   = refusal(CodeInvalidHello, 0)
		name    = refusal(CodeInvalidName, 0)
		pixel0  = refusal(CodeInvalidPixel, 0)
		pixel1  = refusal(CodeInvalidPixel, 1)
		outside = refusal(CodeOutOfBounds, 1)
		red     = canvas.Color(0xFF0000)
	)
	session := strings.Repeat("00", 16)
	for _, row := range []struct {
		name, frame string
		want        []any // *Refusal or ClientMessage
	}{
		// Frames.
		{"empty frame", ``, []any{format}},
		{"type alone", `44`, []any{format}},
		{"length without end", `44 80`, []any{format}},
		{"length of 64 bits", `44 FF FF FF FF FF FF FF FF FF 01`, []any{format}},
		{"length of more than 64 bits", `44 FF FF FF FF FF FF FF FF FF FF 01`, []any{format}},
		{"body shorter than its length", `43 04 41 42`, []any{format}},
		{"length of 2^53-1", `43 FF FF FF FF FF FF FF 0F 41`, []any{format}},
		{"good, then cut off", `44 00 43 04 41`, []any{Ping{}, format}},
		{"bad, then good", `45 01 00 44 00`, []any{format, Ping{}}},
		{"JSON", hex.EncodeToString([]byte(`{"type":"ping"}`)), []any{format}},

		// Types.
		{"type 0", `00 00`, []any{unknown}},
		{"type 0xFF", `FF 01 00`, []any{unknown}},
		{"message of a gateway", `04 02 01 01`, []any{unknown}},
		{"unknown, then good", `7E 02 44 00 44 00`, []any{unknown, Ping{}}},

		// Hello.
		{"hello: empty", `41 00`, []any{hello}},
		{"hello: version 0", `41 11 00` + session, []any{hello}},
		{"hello: version 2", `41 11 02` + session, []any{hello}},
		{"hello: short", `41 10 01` + session[2:], []any{hello}},
		{"hello: long", `41 12 01` + session + `00`, []any{hello}},

		// Names.
		{"name: invalid UTF-8", `43 02 C3 28`, []any{name}},
		{"name: surrogate", `43 03 ED A0 80`, []any{name}},
		{"name: control character", `43 03 41 07 42`, []any{name}},
		{"name: C1 control character", `43 04 41 C2 85 42`, []any{name}},
		{"name: bidirectional override", `43 05 41 E2 80 AE 42`, []any{name}},
		{"name: invalid UTF-8 beyond the cut", `43 16` + strings.Repeat("41", 21) + `FF`, []any{name}},
		{"name: blank", `43 02 20 20`, []any{SetName{}}},
		{"name: cut", `43 15` + strings.Repeat("41", 21), []any{SetName{Name: strings.Repeat("A", 20)}}},

		// Small ones.
		{"ping with a body", `44 01 00`, []any{Ping{}}},
		{"telemetry: short", `45 04 01 00 00 00`, []any{format}},
		{"telemetry: unknown kind", `45 05 00 01 00 00 00`, []any{refusal(CodeUnsupported, 0)}},
		{"telemetry: unknown vantage", `45 05 41 01 00 00 00`, []any{refusal(CodeUnsupported, 0)}},
		{"telemetry: long", `45 06 01 00 00 00 00 00`, []any{format}},
		{"cursor: x alone", `46 01 01`, []any{format}},
		{"cursor: long", `46 03 01 01 01`, []any{format}},
		{"cursor: off the canvas", `46 02 32 00`, []any{format}},
		{"view: cut short", `47 03 00 00 01`, []any{format}},
		{"view: long", `47 05 00 00 01 01 00`, []any{format}},
		{"view: empty", `47 04 00 00 00 01`, []any{format}},
		{"view: beyond the canvas", `47 04 01 00 32 01`, []any{format}},
		{"view: 2^53-1", `47 13 FF FF FF FF FF FF FF 0F 00 FF FF FF FF FF FF FF 0F 01 00`, []any{format}},
		{"cursor: 2^53-1", `46 09 FF FF FF FF FF FF FF 0F 00`, []any{format}},

		// Draws. Number 1, no flags, then the body.
		{"draw: empty", `42 00`, []any{pixel0}},
		{"draw: number alone", `42 01 01`, []any{pixel1}},
		{"draw: number of 2^53", `42 0F 80 80 80 80 80 80 80 10 00 05 01 01 FF 00 00`, []any{pixel0}},
		{"draw: no body", `42 02 01 00`, []any{pixel1}},
		{"draw: unknown flag", `42 08 01 02 05 01 01 FF 00 00`, []any{pixel1}},
		{"draw: trace cut off", `42 04 01 01 0A F7`, []any{pixel1}},
		{"draw: a reset", `42 06 01 00 02 FF FF FF`, []any{pixel1}},
		{"draw: kind 0", `42 08 01 00 04 01 01 FF 00 00`, []any{pixel1}},
		{"draw: kind 3", `42 08 01 00 07 01 01 FF 00 00`, []any{pixel1}},
		{"draw: single and uniform", `42 08 01 00 0D 01 01 FF 00 00`, []any{pixel1}},
		{"draw: unknown bit in the head", `42 08 01 00 15 01 01 FF 00 00`, []any{pixel1}},
		{"draw: colour cut off", `42 07 01 00 05 01 01 FF 00`, []any{pixel1}},
		{"draw: byte too many", `42 09 01 00 05 01 01 FF 00 00 00`, []any{pixel1}},
		{"draw: x of 65536", `42 0A 01 00 05 80 80 04 01 FF 00 00`, []any{pixel1}},
		{"draw: x off the canvas", `42 08 01 00 05 32 01 FF 00 00`, []any{outside}},
		{"draw: y off the canvas", `42 08 01 00 05 01 32 FF 00 00`, []any{outside}},
		{"draw: x of 65535", `42 0A 01 00 05 FF FF 03 01 FF 00 00`, []any{outside}},
		{"draw: no pixels", `42 07 01 00 09 00 FF 00 00`, []any{pixel1}},
		{"draw: 4097 pixels announced", `42 0A 01 00 09 81 20 FF 00 00 02 02`, []any{pixel1}},
		{"draw: 2^53-1 pixels announced", `42 10 01 00 09 FF FF FF FF FF FF FF 0F FF 00 00 02 02`, []any{pixel1}},
		{"draw: fewer pixels than announced", `42 09 01 00 09 02 FF 00 00 02 02`, []any{pixel1}},
		{"draw: more pixels than announced", `42 0B 01 00 09 01 FF 00 00 02 02 02 02`, []any{pixel1}},
		{"draw: left of the canvas", `42 09 01 00 09 01 FF 00 00 01 02`, []any{pixel1}},
		{"draw: above the canvas by the second pixel", `42 0B 01 00 09 02 FF 00 00 02 02 00 03`, []any{pixel1}},
		{"draw: difference of 65536", `42 0B 01 00 09 01 FF 00 00 80 80 08 02`, []any{pixel1}},
		{"draw: second pixel off the canvas", `42 0B 01 00 09 02 FF 00 00 02 02 62 00`, []any{outside}},
		{"draw: colours cut off", `42 0C 01 00 01 02 02 02 FF 00 00 02 02 FF`, []any{pixel1}},
		{"draw: good", `42 08 01 00 05 31 31 FF 00 00`, []any{draw(1, pixel(49, 49, red))}},
		{"draw: one pixel in the form for many", `42 09 01 00 09 01 FF 00 00 02 02`, []any{draw(1, pixel(1, 1, red))}},
		{"draw: a trace of zeros is none", `42 21 01 01` + strings.Repeat("00", 25) + `05 01 01 FF 00 00`, []any{draw(1, pixel(1, 1, red))}},
		{"draw: bad, then the next", `42 02 01 00 42 08 02 00 05 01 01 FF 00 00`, []any{pixel1, draw(2, pixel(1, 1, red))}},
	} {
		t.Run(row.name, func(t *testing.T) {
			var got []any
			DecodeBinary(unhex(t, row.frame), smallSpec, func(m ClientMessage, err error) {
				var refused *Refusal
				switch {
				case errors.As(err, &refused) && m == nil:
					got = append(got, refused)
				case err == nil:
					got = append(got, m)
				default:
					t.Errorf("message %+v with error %v", m, err)
				}
			})
			if !reflect.DeepEqual(got, row.want) {
				t.Errorf("got %+v, want %+v", got, row.want)
			}
		})
	}
}

// TestBadServerBinary: a client refuses frames that no gateway writes. The
// messages before the bad one are handled.
func TestBadServerBinary(t *testing.T) {
	epoch := strings.Repeat("A0", 16)
	good := `01 20 01` + epoch + `00 0100 0100 FFFFFF 00000000 00 00 00`
	for _, row := range []struct {
		name, frame string
		handled     int
	}{
		{"type alone", `0A`, 0},
		{"body shorter than its length", `0A 05 01`, 0},
		{"good, then cut off", `0A 01 05 04`, 1},
		{"connected: version 2", `01 01 02`, 0},
		{"connected: cut off", `01 11 01` + epoch, 0},
		{"connected: string longer than the body", `01 23 01` + epoch + `00 0100 0100 FFFFFF 00000000 FF FF FF FF FF FF FF 0F 00 00`, 0},
		{"resumed: empty", good + `0D 00`, 0},
		{"resumed: byte too many", good + `0D 02 01 01`, 0},
		{"resumed: cut off", good + `0D 01`, 0},
		{"updates: empty", `02 00`, 0},
		{"updates: author alone", `02 06 01 01 00 00 00 00`, 0},
		{"updates: unknown head", `02 0C 01 01 00 00 00 00 01 45 01 01 FF 00`, 0},
		{"updates: 4096 pixels announced", `02 0D 01 01 00 00 00 00 01 09 80 20 FF 00 00`, 0},
		{"range: unknown flags", `03 04 01 02 03 02`, 0},
		{"range: reset without a colour", `03 05 01 02 03 01 FF`, 0},
		{"range: 2^53-1 cells announced", `03 0F 01 02 03 00 FF 00 00 FF FF FF FF FF FF FF 0F`, 0},
		{"range: a cell left of the canvas", `03 0A 01 02 03 00 FF 00 00 01 01 00`, 0},
		{"range: group without a count", `03 07 01 02 03 00 FF 00 00`, 0},
		{"ack: number alone", `04 01 01`, 0},
		{"ack: byte too many", `04 03 01 01 01`, 0},
		{"ack: 2^53", `04 09 80 80 80 80 80 80 80 10 01`, 0},
		{"error: empty", `05 00`, 0},
		{"status: empty", `06 00`, 0},
		{"status: two states", `06 02 01 01`, 0},
		{"snapshot begin: no canvas has 0×1 cells", `07 21` + epoch + `01 0000 0100 FFFFFF 0000000000000000 01`, 0},
		{"snapshot begin: no canvas has 65535×65535 cells", `07 21` + epoch + `01 FFFF FFFF FFFFFF 0000000000000000 01`, 0},
		{"snapshot begin: no bands", `07 21` + epoch + `01 0100 0100 FFFFFF 0000000000000000 00`, 0},
		{"snapshot begin: 2^53-1 bands", `07 28` + epoch + `01 0100 0100 FFFFFF 0000000000000000 FF FF FF FF FF FF FF 0F`, 0},
		{"snapshot band: cut off", `08 04 00 00 00 01`, 0},
		{"presence: 2^53-1 users announced", `09 0A 01 01 FF FF FF FF FF FF FF 0F`, 0},
		{"presence: name longer than the body", `09 09 01 01 01 00 00 00 00 05 41`, 0},
		{"presence: fewer users than announced", `09 09 01 01 02 00 00 00 00 01 41`, 0},
		{"presence: more users than announced", `09 09 01 01 00 00 00 00 00 01 41`, 0},
		{"pong: empty", `0A 00`, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			handled := 0
			err := DecodeServerBinary(unhex(t, row.frame), func(ServerMessage) error {
				handled++
				return nil
			})
			if err == nil || handled != row.handled {
				t.Errorf("error %v after %d messages; want one after %d", err, handled, row.handled)
			}
		})
	}
	stop := errors.New("enough")
	if err := DecodeServerBinary([]byte{binPong, 1, 5, binPong, 1, 6}, func(ServerMessage) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("the error of handle is lost: %v", err)
	}
	var got ServerMessage
	if err := DecodeServerBinary(unhex(t, `05 0A 10 08 FF FF FF FF FF FF FF 0F`), func(m ServerMessage) error { got = m; return nil }); err != nil {
		t.Error(err)
	}
	if want := (Error{Code: CodeRateLimited, Number: 8, RetryAfter: 1<<32 - 1}); got != want {
		t.Errorf("got %+v, want %+v: a long pause must not become a short one", got, want)
	}
}
