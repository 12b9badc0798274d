package protocol

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/cloud-pixel/playground/services/canvas"
)

var smallSpec = canvas.Spec{Width: 50, Height: 50, Background: canvas.White}

func refusal(code Code, number uint64) *Refusal { return &Refusal{Code: code, Number: number} }

// TestBadJSON gives the exact answer to each frame that is not, or only just,
// a message: a refusal, a message, or neither (ignored without a word).
func TestBadJSON(t *testing.T) {
	draw := func(x, y uint16) Draw { return Draw{Pixels: []canvas.Pixel{{X: x, Y: y, Color: 0xFF0000}}} }
	named := func(name string) Draw {
		d := draw(1, 2)
		d.Name = name
		return d
	}
	// at makes a pixel_update whose x is the given JSON text, with op 7.
	at := func(x string) string {
		return `{"type":"pixel_update","x":` + x + `,"y":2,"color":"#FF0000","op":7}`
	}
	with := func(rest string) string {
		return `{"type":"pixel_update","x":1,"y":2,"color":"#FF0000",` + rest + `}`
	}
	colored := func(color string) string {
		return `{"type":"pixel_update","x":1,"y":2,"op":7,"color":` + color + `}`
	}
	numbered := func(d Draw, n uint64) Draw { d.Number = n; return d }
	var (
		format  = refusal(CodeInvalidFormat, 0)
		unknown = refusal(CodeUnknownType, 0)
		pixel   = refusal(CodeInvalidPixel, 0)
		pixel7  = refusal(CodeInvalidPixel, 7)
		outside = refusal(CodeOutOfBounds, 7)
		name    = refusal(CodeInvalidName, 0)
		hello   = refusal(CodeInvalidHello, 0)
		ignored any
	)
	secret := strings.Repeat("0f", 16)

	for _, row := range []struct {
		name, frame string
		want        any // *Refusal, ClientMessage or nil
	}{
		// Not messages.
		{"nothing", ``, format},
		{"only space", " \n", format},
		{"null", `null`, format},
		{"null in space", ` null `, format},
		{"not JSON", `pixel_update`, format},
		{"single quotes", `{'type':'ping'}`, format},
		{"cut off", `{"type":"ping"`, format},
		{"cut off in a string", `{"type":"pi`, format},
		{"cut off in an escape", `{"type":"ping\`, format},
		{"two messages", `{"type":"ping"}{"type":"ping"}`, format},
		{"trailing comma", `{"type":"ping",}`, format},
		{"comment", `{"type":"ping"/**/}`, format},
		{"byte order mark", "\uFEFF" + `{"type":"ping"}`, format},
		{"no-break space", "\u00A0" + `{"type":"ping"}`, format},
		{"NUL behind", "{\"type\":\"ping\"}\x00", format},
		{"raw invalid UTF-8", "{\"type\":\"ping\",\"a\":\"\xFF\"}", format},
		{"raw surrogate in UTF-8", "{\"type\":\"ping\",\"a\":\"\xED\xA0\x80\"}", format},
		{"raw line break in a string", "{\"type\":\"ping\",\"a\":\"\n\"}", format},
		{"unknown escape", `{"type":"ping","a":"\x41"}`, format},
		{"NaN", at(`NaN`), format},
		{"Infinity", at(`Infinity`), format},
		{"hexadecimal number", at(`0x1`), format},
		{"leading zero", at(`01`), format},
		{"leading plus", at(`+1`), format},
		{"no digit before the point", at(`.5`), format},
		{"no digit after the point", at(`1.`), format},
		{"nested too deep", strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000), format},
		{"nested too deep in an object", `{"type":"ping","a":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`, format},

		// JSON, but of no type.
		{"number", `5`, unknown},
		{"string", `"ping"`, unknown},
		{"true", `true`, unknown},
		{"array", `[{"type":"ping"}]`, unknown},
		{"empty object", `{}`, unknown},
		{"unknown type", `{"type":"erase"}`, unknown},
		{"type in capitals", `{"type":"PING"}`, unknown},
		{"type with a space", `{"type":"ping "}`, unknown},
		{"type is a number", `{"type":1}`, unknown},
		{"type is null", `{"type":null}`, unknown},
		{"type is an object", `{"type":{"type":"ping"}}`, unknown},
		{"type in another case", `{"Type":"ping"}`, unknown},
		{"type inside another value", `{"a":{"type":"ping"}}`, unknown},
		{"last type counts", `{"type":"ping","type":"erase"}`, unknown},
		{"message of a gateway", `{"type":"pixel_updated","x":1,"y":2,"color":"#FF0000"}`, unknown},

		// Odd, but messages.
		{"nested deep, not too deep", `{"type":"ping","a":` + strings.Repeat("[", 5_000) + strings.Repeat("]", 5_000) + `}`, Ping{}},
		{"type by escapes", `{"\u0074ype":"\u0070ing"}`, Ping{}},
		{"last type counts, the other way", `{"type":"erase","type":"ping"}`, Ping{}},
		{"unknown keys", `{"type":"ping","":{},"a":[1,"]}"],"type2":"x"}`, Ping{}},
		{"__proto__", `{"__proto__":{"x":9},"constructor":1,"type":"pixel_update","x":1,"y":2,"color":"#FF0000"}`, draw(1, 2)},
		{"only __proto__ has the keys", `{"__proto__":{"x":1,"y":2,"color":"#FF0000"},"type":"pixel_update"}`, pixel},

		// Coordinates.
		{"x is 1.0", at(`1.0`), numbered(draw(1, 2), 7)},
		{"x is 1e1", at(`1e1`), numbered(draw(10, 2), 7)},
		{"x is 100E-1", at(`100E-1`), numbered(draw(10, 2), 7)},
		{"x is -0", at(`-0`), numbered(draw(0, 2), 7)},
		{"x is -0.0e5", at(`-0.0e5`), numbered(draw(0, 2), 7)},
		{"x is 1e-400, which is 0 to a double", at(`1e-400`), numbered(draw(0, 2), 7)},
		{"x is the last", at(`49`), numbered(draw(49, 2), 7)},
		{"x is one more", at(`50`), outside},
		{"x is -1", at(`-1`), outside},
		{"x is 1e9", at(`1e9`), outside},
		{"x is 65537, which is 1 in 16 bits", at(`65537`), outside},
		{"x is 2^32", at(`4294967296`), outside},
		{"x is 2^53-1", at(`9007199254740991`), outside},
		{"x is 2^53", at(`9007199254740992`), pixel7},
		{"x is 2^64", at(`18446744073709551616`), pixel7},
		{"x is -2^63", at(`-9223372036854775808`), pixel7},
		{"x is 1e300", at(`1e300`), pixel7},
		{"x is 1e400, which no double holds", at(`1e400`), pixel7},
		{"x has a thousand digits", at(strings.Repeat("9", 1000)), pixel7},
		{"x is 1.5", at(`1.5`), pixel7},
		{"x is almost 1", at(`0.999999999`), pixel7},
		{"x is a string", at(`"1"`), pixel7},
		{"x is an empty string", at(`""`), pixel7},
		{"x is null", at(`null`), pixel7},
		{"x is true", at(`true`), pixel7},
		{"x is an array", at(`[1]`), pixel7},
		{"x is an object", at(`{}`), pixel7},
		{"x is missing", `{"type":"pixel_update","y":2,"color":"#FF0000","op":7}`, pixel7},
		{"y is missing", `{"type":"pixel_update","x":1,"color":"#FF0000"}`, pixel},
		{"X for x", `{"type":"pixel_update","X":1,"y":2,"color":"#FF0000"}`, pixel},
		{"X after x", `{"type":"pixel_update","x":1,"X":9,"y":2,"color":"#FF0000"}`, draw(1, 2)},
		{"last x counts", `{"type":"pixel_update","x":9,"y":2,"x":1,"color":"#FF0000"}`, draw(1, 2)},
		{"last x counts, though bad", `{"type":"pixel_update","x":1,"y":2,"x":"1","color":"#FF0000"}`, pixel},
		{"last x counts, though null", `{"type":"pixel_update","x":1,"y":2,"x":null,"color":"#FF0000"}`, pixel},

		// Colours.
		{"colour is missing", `{"type":"pixel_update","x":1,"y":2,"op":7}`, pixel7},
		{"colour is null", colored(`null`), pixel7},
		{"colour is a number", colored(`16711680`), pixel7},
		{"colour is empty", colored(`""`), pixel7},
		{"colour is short", colored(`"#F00"`), pixel7},
		{"colour has alpha", colored(`"#FF0000FF"`), pixel7},
		{"colour has no #", colored(`"FF00000"`), pixel7},
		{"colour is a name", colored(`"red"`), pixel7},
		{"colour has a bad digit", colored(`"#GG0000"`), pixel7},
		{"colour has a sign", colored(`"#-F0000"`), pixel7},
		{"colour is padded", colored(`" #FF0000"`), pixel7},
		{"colour has seven bytes, fewer characters", colored(`"#FF00é"`), pixel7},
		{"colour by escapes", colored(`"\u0023fF0000"`), numbered(draw(1, 2), 7)},

		// Numbers.
		{"op is 0", with(`"op":0`), pixel},
		{"op is negative", with(`"op":-1`), pixel},
		{"op is a fraction", with(`"op":1.5`), pixel},
		{"op is a string", with(`"op":"1"`), pixel},
		{"op is null", with(`"op":null`), pixel},
		{"op is 2^53", with(`"op":9007199254740992`), pixel},
		{"op is 2^53-1", with(`"op":9007199254740991`), numbered(draw(1, 2), MaxNumber)},
		{"op is 2e0", with(`"op":2e0`), numbered(draw(1, 2), 2)},

		// Names.
		{"name is null", with(`"username":null`), draw(1, 2)},
		{"name is empty", with(`"username":""`), draw(1, 2)},
		{"name is blank", with(`"username":" \t "`), draw(1, 2)},
		{"name is trimmed", with(`"username":" Ada "`), named("Ada")},
		{"name is markup", with(`"username":"<b>\"'&"`), named(`<b>"'&`)},
		{"name has 20 characters of two bytes", with(`"username":"` + strings.Repeat("é", 20) + `"`), named(strings.Repeat("é", 20))},
		{"name has 21 characters", with(`"username":"` + strings.Repeat("a", 21) + `"`), name},
		{"name has 5 MB", with(`"username":"` + strings.Repeat("a", 5<<20) + `"`), name},
		{"name is a number", with(`"username":5`), name},
		{"name is an array", with(`"username":["Ada"]`), name},
		{"name has a control character", with(`"username":"a\u0007b"`), name},
		{"name has NUL", with(`"username":"a\u0000b"`), name},
		{"name has DEL", with("\"username\":\"a\u007Fb\""), name},
		{"name has a line separator", with(`"username":"a\u2028b"`), name},
		{"name has a bidirectional override", with(`"username":"a\u202Eb"`), name},
		{"name has a lone surrogate", with(`"username":"a\ud800b"`), named("a\uFFFDb")},
		{"name has a pair of surrogates", with(`"username":"\ud83d\ude00"`), named("😀")},
		{"bad name off the canvas", `{"type":"pixel_update","x":99,"y":2,"color":"#FF0000","username":5}`, name},

		// Trace contexts: a bad one is no context.
		{"traceparent is a number", with(`"traceparent":5`), draw(1, 2)},
		{"traceparent is rubbish", with(`"traceparent":"00-xyz"`), draw(1, 2)},
		{"traceparent is all zeros", with(`"traceparent":"00-` + strings.Repeat("0", 32) + `-` + strings.Repeat("0", 16) + `-01"`), draw(1, 2)},

		// set_username.
		{"set name: missing", `{"type":"set_username"}`, ignored},
		{"set name: empty", `{"type":"set_username","username":""}`, ignored},
		{"set name: null", `{"type":"set_username","username":null}`, ignored},
		{"set name: a number", `{"type":"set_username","username":5}`, ignored},
		{"set name: an object", `{"type":"set_username","username":{"a":"b"}}`, ignored},
		{"set name: blank", `{"type":"set_username","username":"  "}`, SetName{}},
		{"set name: cut", `{"type":"set_username","username":"` + strings.Repeat("é", 21) + `"}`, SetName{Name: strings.Repeat("é", 20)}},
		{"set name: control character", `{"type":"set_username","username":"a\nb"}`, name},
		{"set name: control character beyond the cut", `{"type":"set_username","username":"` + strings.Repeat("a", 20) + `\u0007"}`, SetName{Name: strings.Repeat("a", 20)}},

		// hello, the reserved one, and what is not part of the log.
		{"hello", `{"type":"hello","session":"` + secret + `"}`, Hello{Session: Session([]byte(strings.Repeat("\x0f", 16)))}},
		{"hello: capitals", `{"type":"hello","session":"` + strings.ToUpper(secret) + `"}`, Hello{Session: Session([]byte(strings.Repeat("\x0f", 16)))}},
		{"hello: no session", `{"type":"hello"}`, hello},
		{"hello: a number", `{"type":"hello","session":5}`, hello},
		{"hello: short", `{"type":"hello","session":"0f"}`, hello},
		{"hello: long", `{"type":"hello","session":"` + secret + `0f"}`, hello},
		{"hello: not hexadecimal", `{"type":"hello","session":"` + strings.Repeat("xy", 16) + `"}`, hello},
		{"telemetry", `{"type":"telemetry","kind":"latency","millis":1e2,"vantage":"other"}`, Telemetry{Measure: MeasureLatency, Vantage: VantageOther, Millis: 100}},
		{"telemetry: the longest time", `{"type":"telemetry","kind":"recovery","millis":4294967295}`, Telemetry{Measure: MeasureRecovery, Millis: 1<<32 - 1}},
		{"telemetry: too long a time", `{"type":"telemetry","kind":"recovery","millis":4294967296}`, refusal(CodeInvalidFormat, 0)},
		{"telemetry: nothing", `{"type":"telemetry"}`, refusal(CodeInvalidFormat, 0)},
		{"telemetry: no time", `{"type":"telemetry","kind":"latency"}`, refusal(CodeInvalidFormat, 0)},
		{"telemetry: a negative time", `{"type":"telemetry","kind":"latency","millis":-1}`, refusal(CodeInvalidFormat, 0)},
		{"telemetry: a fraction", `{"type":"telemetry","kind":"latency","millis":0.5}`, refusal(CodeInvalidFormat, 0)},
		{"telemetry: a number for a kind", `{"type":"telemetry","kind":1,"millis":1}`, refusal(CodeInvalidFormat, 0)},
		{"telemetry: unknown kind", `{"type":"telemetry","kind":"love","millis":1}`, refusal(CodeUnsupported, 0)},
		{"telemetry: unknown vantage", `{"type":"telemetry","kind":"latency","millis":1,"vantage":"moon"}`, refusal(CodeUnsupported, 0)},
		{"telemetry: no vantage", `{"type":"telemetry","kind":"latency","millis":1,"vantage":null}`, refusal(CodeInvalidFormat, 0)},
		{"cursor", `{"type":"cursor","x":1e0,"y":-0}`, Cursor{X: 1}},
		{"cursor: nowhere", `{"type":"cursor"}`, Cursor{Gone: true}},
		{"cursor: x alone", `{"type":"cursor","x":1}`, refusal(CodeInvalidFormat, 0)},
		{"cursor: null", `{"type":"cursor","x":null,"y":null}`, refusal(CodeInvalidFormat, 0)},
		{"cursor: a fraction", `{"type":"cursor","x":1.5,"y":1}`, refusal(CodeInvalidFormat, 0)},
		{"cursor: off the canvas", `{"type":"cursor","x":50,"y":1}`, refusal(CodeInvalidFormat, 0)},
		{"cursor: negative", `{"type":"cursor","x":1,"y":-1}`, refusal(CodeInvalidFormat, 0)},
		{"view", `{"type":"view","x":0,"y":1,"width":50,"height":1}`, View{Y: 1, Width: 50, Height: 1}},
		{"view: no size", `{"type":"view","x":0,"y":0}`, refusal(CodeInvalidFormat, 0)},
		{"view: empty", `{"type":"view","x":0,"y":0,"width":0,"height":1}`, refusal(CodeInvalidFormat, 0)},
		{"view: beyond the canvas", `{"type":"view","x":1,"y":0,"width":50,"height":1}`, refusal(CodeInvalidFormat, 0)},
		{"view: of greatest numbers", `{"type":"view","x":9007199254740991,"y":0,"width":9007199254740991,"height":1}`, refusal(CodeInvalidFormat, 0)},
	} {
		t.Run(row.name, func(t *testing.T) {
			m, err := DecodeJSON([]byte(row.frame), smallSpec)
			if want, ok := row.want.(*Refusal); ok {
				var got *Refusal
				if m != nil || !errors.As(err, &got) || *got != *want {
					t.Errorf("got %+v, %v; want %+v", m, err, *want)
				}
				return
			}
			if err != nil || row.want == nil && m != nil || row.want != nil && !reflect.DeepEqual(m, row.want) {
				t.Errorf("got %+v, %v; want %+v", m, err, row.want)
			}
		})
	}
}
