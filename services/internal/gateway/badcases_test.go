package gateway_test

import (
	"encoding/binary"
	"encoding/hex"
	"strings"

	"github.com/cloud-pixel/playground/services/protocol"
)

// badCase is what one connection sends, frames and all, and everything that
// the gateway answers to it.
type badCase struct {
	name   string
	binary bool // the binary codec
	send   string
	want   []string
}

var (
	badFormat  = refusal(protocol.CodeInvalidFormat, 0)
	badType    = refusal(protocol.CodeUnknownType, 0)
	badPixel   = refusal(protocol.CodeInvalidPixel, 0)
	badPlace   = refusal(protocol.CodeOutOfBounds, 0)
	badName    = refusal(protocol.CodeInvalidName, 0)
	badHello   = refusal(protocol.CodeInvalidHello, 0)
	notSupport = refusal(protocol.CodeUnsupported, 0)
)

// pixelAt is a message in the bad colour; x and y are JSON of any kind.
func pixelAt(x, y, more string) string {
	return text(`{"type":"pixel_update","x":` + x + `,"y":` + y + `,"color":"#0BAD00"` + more + `}`)
}

func coloured(color string) string {
	return text(`{"type":"pixel_update","x":1,"y":1,"color":` + color + `}`)
}

// badMessages are messages of the JSON protocol.
func badMessages() []badCase {
	const anonymous = "drawn 1,1 by Anonymous"
	session := `"00112233445566778899aabbccddeeff"`
	one := func(name, send string, want ...string) badCase { return badCase{name: name, send: send, want: want} }
	return []badCase{
		// Coordinates.
		one("x is a fraction", pixelAt("1.5", "1", ""), badPixel),
		one("y is nearly 1", pixelAt("1", "0.9999999999", ""), badPixel),
		one("x is 1e9", pixelAt("1e9", "1", ""), badPlace),
		one("x is 1e15", pixelAt("1e15", "1", ""), badPlace),
		one("x is 1e400", pixelAt("1e400", "1", ""), badPixel),
		one("x is 2^53+1", pixelAt("9007199254740993", "1", ""), badPixel),
		one("x has 400 digits", pixelAt(strings.Repeat("9", 400), "1", ""), badPixel),
		one("x is -1", pixelAt("-1", "1", ""), badPlace),
		one("x is -0", pixelAt("-0", "1", ""), "drawn 0,1 by Anonymous"),
		one("x is 1e1", pixelAt("1e1", "1", ""), "drawn 10,1 by Anonymous"),
		one("x is 1.0", pixelAt("1.0", "1", ""), anonymous),
		one("x is the width", pixelAt("50", "1", ""), badPlace),
		one("y is the height", pixelAt("1", "50", ""), badPlace),
		one("the last cell", pixelAt("49", "49", ""), "drawn 49,49 by Anonymous"),
		one("x is NaN", pixelAt("NaN", "1", ""), badFormat),
		one("x is Infinity", pixelAt("-Infinity", "1", ""), badFormat),
		one("x is hexadecimal", pixelAt("0x1", "1", ""), badFormat),
		one("x begins with 0", pixelAt("01", "1", ""), badFormat),
		one("x begins with +", pixelAt("+1", "1", ""), badFormat),
		one("x is a string", pixelAt(`"1"`, "1", ""), badPixel),
		one("x is an empty string", pixelAt(`""`, "1", ""), badPixel),
		one("x is null", pixelAt("null", "1", ""), badPixel),
		one("x is true", pixelAt("true", "1", ""), badPixel),
		one("x is an array", pixelAt("[1]", "1", ""), badPixel),
		one("x is an object", pixelAt(`{"valueOf":1}`, "1", ""), badPixel),
		one("x is missing", text(`{"type":"pixel_update","y":1,"color":"#0BAD00"}`), badPixel),
		one("y is missing", text(`{"type":"pixel_update","x":1,"color":"#0BAD00"}`), badPixel),
		one("all is missing", text(`{"type":"pixel_update"}`), badPixel),

		// Colours.
		one("no colour", text(`{"type":"pixel_update","x":1,"y":1}`), badPixel),
		one("colour is null", coloured(`null`), badPixel),
		one("colour is a number", coloured(`765440`), badPixel),
		one("colour has 5 digits", coloured(`"#0BAD0"`), badPixel),
		one("colour has 3 digits", coloured(`"#0BA"`), badPixel),
		one("colour has 8 digits", coloured(`"#0BAD00FF"`), badPixel),
		one("colour without #", coloured(`"0BAD00"`), badPixel),
		one("colour has a G", coloured(`"#0BAD0G"`), badPixel),
		one("colour has a sign", coloured(`"#-BAD00"`), badPixel),
		one("colour has other digits", coloured(`"#0BAD0٣"`), badPixel),
		one("colour is CSS", coloured(`"red;background:url(x)"`), badPixel),
		one("colour is a megaphone", coloured(`"`+strings.Repeat("#", 10_000)+`"`), badPixel),
		one("colour in lower case", coloured(`"#0bad00"`), anonymous),
		one("colour with an escape", coloured(`"\u00230BAD00"`), anonymous),

		// Names.
		one("name is a number", pixelAt("1", "1", `,"username":7`), badName),
		one("name is an object", pixelAt("1", "1", `,"username":{"a":"b"}`), badName),
		one("name has 21 characters", pixelAt("1", "1", `,"username":"123456789012345678901"`), badName),
		one("name has 60,000 characters", pixelAt("1", "1", `,"username":"`+strings.Repeat("x", 60_000)+`"`), badName),
		one("name has a control character", pixelAt("1", "1", `,"username":"a\u0007b"`), badName),
		one("name has a NUL", pixelAt("1", "1", `,"username":"a\u0000b"`), badName),
		one("name has a line separator", pixelAt("1", "1", `,"username":"a\u2028b"`), badName),
		one("name turns the direction", pixelAt("1", "1", `,"username":"a\u202eb"`), badName),
		one("name is null", pixelAt("1", "1", `,"username":null`), anonymous),
		one("name is blank", pixelAt("1", "1", `,"username":"   "`), anonymous),
		one("name is markup", pixelAt("1", "1", `,"username":"<script>"`), "drawn 1,1 by <script>"),
		one("name has quotes", pixelAt("1", "1", `,"username":"\"' onerror=\\"`), `drawn 1,1 by "' onerror=\`),
		one("name has half a surrogate", pixelAt("1", "1", `,"username":"\ud800"`), "drawn 1,1 by \uFFFD"),
		one("name set to markup", text(`{"type":"set_username","username":"\"><svg/onload=1>"}`)+pixelAt("1", "1", ""), `drawn 1,1 by "><svg/onload=1>`),
		one("name set to 60,000 characters", text(`{"type":"set_username","username":"`+strings.Repeat("x", 60_000)+`"}`)+pixelAt("1", "1", ""), "drawn 1,1 by "+strings.Repeat("x", 20)),
		one("name set to control characters", text(`{"type":"set_username","username":"a\u001b[31m"}`)+pixelAt("1", "1", ""), badName, anonymous),
		one("name set to nothing of a name", text(`{"type":"set_username","username":[]}`)+text(`{"type":"set_username"}`)+text(`{"type":"set_username","username":""}`)),

		// Objects.
		one("__proto__ with a pixel", text(`{"type":"pixel_update","__proto__":{"x":1,"y":1,"color":"#0BAD00"}}`), badPixel),
		one("__proto__ with a type", text(`{"__proto__":{"type":"ping"}}`), badType),
		one("type is __proto__", text(`{"type":"__proto__"}`), badType),
		one("type is constructor", text(`{"type":"constructor"}`), badType),
		one("constructor beside a pixel", pixelAt("1", "1", `,"constructor":{"prototype":{"x":9}}`), anonymous),
		one("x twice", pixelAt("7", "1", `,"x":1`), anonymous),
		one("type twice", text(`{"type":"pixel_update","type":"ping"}`), "pong"),
		one("keys in another case", text(`{"type":"pixel_update","X":1,"Y":1,"Color":"#0BAD00"}`), badPixel),
		one("type in another case", text(`{"Type":"ping"}`), badType),
		one("an escaped key", text(`{"ty\u0070e":"ping"}`), "pong"),
		one("many keys", text(`{"type":"ping"`+strings.Repeat(`,"a":1`, 8000)+`}`), "pong"),
		one("nested 5,000 deep", pixelAt("1", "1", `,"z":`+strings.Repeat("[", 5000)+strings.Repeat("]", 5000)), anonymous),
		one("nested 20,000 deep", text(strings.Repeat("[", 20_000)+strings.Repeat("]", 20_000)), badFormat),
		one("nested and open", text(strings.Repeat(`{"a":`, 5000)), badFormat),

		// Not messages.
		one("empty", text(``), badFormat),
		one("empty, binary frame", frame(binaryFrame, ``), badFormat),
		one("blank", text(" \n "), badFormat),
		one("null", text(`null`), badFormat),
		one("number", text(`1e3`), badType),
		one("array", text(`[{"type":"ping"}]`), badType),
		one("cut off", text(`{"type":"ping"`), badFormat),
		one("two messages", text(`{"type":"ping"}{"type":"ping"}`), badFormat),
		one("single quotes", text(`{'type':'ping'}`), badFormat),
		one("comma at the end", text(`{"type":"ping",}`), badFormat),
		one("byte order mark", text("\uFEFF"+`{"type":"ping"}`), badFormat),
		one("raw control character", text("{\"type\":\"pi\nng\"}"), badFormat),
		one("invalid UTF-8", text("{\"type\":\"ping\",\"a\":\"\xff\"}"), badFormat),
		one("invalid UTF-8 alone", text("\xc3\x28"), badFormat),
		one("binary codec on JSON", frame(binaryFrame, "\x44\x00"), badFormat),
		one("an HTTP request", text("GET / HTTP/1.1\r\n\r\n"), badFormat),

		// Numbers of operations.
		one("op is 0", pixelAt("1", "1", `,"op":0`), badPixel),
		one("op is -1", pixelAt("1", "1", `,"op":-1`), badPixel),
		one("op is 1.5", pixelAt("1", "1", `,"op":1.5`), badPixel),
		one("op is 2^53", pixelAt("1", "1", `,"op":9007199254740992`), badPixel),
		one("op is 1e300", pixelAt("1", "1", `,"op":1e300`), badPixel),
		one("op is a string", pixelAt("1", "1", `,"op":"1"`), badPixel),
		one("op is null", pixelAt("1", "1", `,"op":null`), badPixel),
		one("op is 1.0", pixelAt("1", "1", `,"op":1.0`), "ack 1", anonymous),
		one("op is 2^53-1, then none", pixelAt("1", "1", `,"op":9007199254740991`)+pixelAt("1", "1", ""), "ack 9007199254740991", anonymous, anonymous),
		one("op of a refused one", pixelAt("99", "1", `,"op":3`), refusal(protocol.CodeOutOfBounds, 3)),
		one("traceparent is rubbish", pixelAt("1", "1", `,"traceparent":"00-zz"`), anonymous),
		one("traceparent is an object", pixelAt("1", "1", `,"traceparent":{}`), anonymous),

		// Hello and reserved messages.
		one("hello without a session", text(`{"type":"hello"}`), badHello),
		one("hello with a short session", text(`{"type":"hello","session":"00"}`), badHello),
		one("hello with a number", text(`{"type":"hello","session":1}`), badHello),
		one("hello with other digits", text(`{"type":"hello","session":"`+strings.Repeat("g", 32)+`"}`), badHello),
		one("hello twice", text(`{"type":"hello","session":`+session+`}`)+text(`{"type":"hello","session":`+session+`}`), badHello),
		one("hello after an operation", pixelAt("1", "1", "")+text(`{"type":"hello","session":`+session+`}`), badHello, anonymous),
		one("telemetry of nothing", text(`{"type":"telemetry"}`), badFormat),
		one("telemetry of an unknown kind", text(`{"type":"telemetry","kind":"x","millis":1}`), notSupport),
		one("cursor", text(`{"type":"cursor","x":1,"y":1}`)),
		one("cursor off the canvas", text(`{"type":"cursor","x":50,"y":1}`), badFormat),
		one("view beyond the canvas", text(`{"type":"view","x":1,"y":1,"width":50,"height":1}`), badFormat),
	}
}

// closing is a close frame.
func closing(code uint16, reason string) string {
	return frame(closeFrame, string(binary.BigEndian.AppendUint16(nil, code))+reason)
}

// badFrames break, or just keep, the rules of RFC 6455.
func badFrames() []badCase {
	ping := `{"type":"ping"}`
	header := func(digits string) string {
		b, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
		if err != nil {
			panic(err)
		}
		return string(b)
	}
	one := func(name, send string, want ...string) badCase { return badCase{name: name, send: send, want: want} }
	const violation, tooBig, normal = "close 1002", "close 1009", "close 1000"
	return []badCase{
		one("no mask", header("81 0F")+ping, violation),
		one("reserved bit 1", frame(0xC1, ping), violation),
		one("reserved bit 2", frame(0xA1, ping), violation),
		one("reserved bit 3", frame(0x91, ping), violation),
		one("opcode 3", frame(0x83, ping), violation),
		one("opcode 11", frame(0x8B, ""), violation),
		one("in three parts", frame(0x01, ping[:5])+frame(0x00, ping[5:9])+frame(0x80, ping[9:]), "pong"),
		one("in bytes", strings.Join(append([]string{frame(0x01, "")}, parts(ping)...), "")+frame(0x80, ""), "pong"),
		one("a control frame between parts", frame(0x01, ping[:5])+frame(pingFrame, "hey")+frame(0x80, ping[5:]), `pong "hey"`, "pong"),
		one("in parts, and bad", frame(0x01, `{"type":`)+frame(0x80, `"ping`), badFormat),
		one("a part without a beginning", frame(0x80, ping), violation),
		one("a beginning inside a message", frame(0x01, ping[:5])+text(ping), violation),
		one("1 MiB", text(strings.Repeat("x", 1<<20)), tooBig),
		one("one byte over the limit", text(ping+strings.Repeat(" ", 64<<10-len(ping)+1)), tooBig),
		one("the limit itself", text(ping+strings.Repeat(" ", 64<<10-len(ping))), "pong"),
		one("over the limit in parts", frame(0x01, strings.Repeat(" ", 40<<10))+frame(0x00, strings.Repeat(" ", 40<<10)), tooBig),
		one("1 TiB announced", header("81 FF 00 00 01 00 00 00 00 00 01 02 03 04"), tooBig),
		one("2^63 announced", header("81 FF 80 00 00 00 00 00 00 00 01 02 03 04"), tooBig),
		one("a ping in parts", frame(0x09, "a")+frame(0x80, "b"), violation),
		one("a ping of 126 bytes", frame(pingFrame, strings.Repeat("x", 126)), violation),
		one("a ping of 125 bytes", frame(pingFrame, strings.Repeat("x", 125)), `pong "`+strings.Repeat("x", 125)+`"`),
		one("a pong that nobody asked for", frame(pongFrame, "12345678")),
		one("close", frame(closeFrame, ""), normal),
		one("close 1000", closing(1000, "bye"), normal),
		one("close 1001", closing(1001, ""), "close 1001"),
		one("close 3000", closing(3000, ""), "close 3000"),
		one("close 4999", closing(4999, ""), "close 4999"),
		one("close 0", closing(0, ""), violation),
		one("close 999", closing(999, ""), violation),
		one("close 1004", closing(1004, ""), violation),
		one("close 1005", closing(1005, ""), violation),
		one("close 1006", closing(1006, ""), violation),
		one("close 1015", closing(1015, ""), violation),
		one("close 2999", closing(2999, ""), violation),
		one("close 5000", closing(5000, ""), violation),
		one("close 65535", closing(65535, ""), violation),
		one("close with invalid UTF-8", closing(1000, "\xff\xfe"), violation),
		one("close of 126 bytes", closing(1000, strings.Repeat("x", 124)), violation),
		one("messages before a close count", pixelAt("1", "1", `,"op":0`)+closing(1000, ""), badPixel, normal),
		one("messages after a close do not", closing(1000, "")+text(ping), normal),
	}
}

func parts(s string) []string {
	var all []string
	for i := range len(s) {
		all = append(all, frame(0x00, s[i:i+1]))
	}
	return all
}

// badBinary are frames of the binary codec, in hexadecimal digits.
func badBinary() []badCase {
	session := strings.Repeat("0B", 16)
	good := "42 08 01 00 05 01 01 0B AD 00"
	one := func(name, digits string, want ...string) badCase {
		b, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
		if err != nil {
			panic(name + ": " + err.Error())
		}
		return badCase{name: name, binary: true, send: frame(binaryFrame, string(b)), want: want}
	}
	const format, unknown, hello, name, outside = "invalid_format 0", "unknown_type 0", "invalid_hello 0", "invalid_name 0", "out_of_bounds 1"
	const pixel0, pixel1 = "invalid_pixel 0", "invalid_pixel 1"
	return []badCase{
		{name: "a text frame", binary: true, send: text(`{"type":"ping"}`), want: []string{format}},
		one("empty", "", format),
		one("type alone", "44", format),
		one("length without end", "44 80", format),
		one("length of more than 64 bits", "44 FF FF FF FF FF FF FF FF FF FF 01", format),
		one("body shorter than its length", "43 04 41 42", format),
		one("good, then cut off", "44 00 43 04 41", "pong", format),
		one("unknown type", "7E 02 44 00", unknown),
		one("unknown, then good", "7E 02 44 00 44 00", unknown, "pong"),
		one("a message of gateways", "04 02 01 01", unknown),
		one("hello of version 2", "41 11 02"+session, hello),
		one("hello too short", "41 10 01"+session[2:], hello),
		one("hello too long", "41 12 01"+session+"00", hello),
		one("hello twice", "41 11 01"+session+"41 11 01"+session, hello),
		one("hello after an operation", good+"41 11 01"+session, hello, "ack 1", "drawn 1,1"),
		one("name of invalid UTF-8", "43 02 C3 28", name),
		one("name with a control character", "43 03 41 07 42", name),
		one("telemetry cut off", "45 04 01 00 00 00", format),
		one("telemetry of an unknown kind", "45 05 03 02 01 00 00", "unsupported 0"),
		one("cursor", "46 02 01 01"),
		one("view", "47 04 00 00 01 01"),
		one("view of nothing", "47 04 00 00 00 01", format),
		one("cursor off the canvas", "46 02 32 00", format),
		one("draw: empty", "42 00", pixel0),
		one("draw: number 2^53", "42 0F 80 80 80 80 80 80 80 10 00 05 01 01 0B AD 00", pixel0),
		one("draw: no body", "42 02 01 00", pixel1),
		one("draw: unknown flag", "42 08 01 02 05 01 01 0B AD 00", pixel1),
		one("draw: a reset", "42 06 01 00 02 0B AD 00", pixel1),
		one("draw: unknown head", "42 08 01 00 15 01 01 0B AD 00", pixel1),
		one("draw: byte too many", "42 09 01 00 05 01 01 0B AD 00 00", pixel1),
		one("draw: 4097 pixels announced", "42 0A 01 00 09 81 20 0B AD 00 02 02", pixel1),
		one("draw: 2^53-1 pixels announced", "42 10 01 00 09 FF FF FF FF FF FF FF 0F 0B AD 00 02 02", pixel1),
		one("draw: no pixels", "42 07 01 00 09 00 0B AD 00", pixel1),
		one("draw: left of the canvas", "42 09 01 00 09 01 0B AD 00 01 02", pixel1),
		one("draw: off the canvas", "42 08 01 00 05 32 01 0B AD 00", outside),
		one("draw: far off the canvas", "42 0A 01 00 05 FF FF 03 01 0B AD 00", outside),
		one("draw: the second pixel off the canvas", "42 0B 01 00 09 02 0B AD 00 02 02 62 00", outside),
		one("draw: number 0", "42 08 00 00 05 01 01 0B AD 00", "drawn 1,1"),
		one("draw: bad, then good", "42 02 01 00 42 08 02 00 05 01 01 0B AD 00", pixel1, "ack 2", "drawn 1,1"),
		one("draw: sent twice", good+good, "ack 1", "drawn 1,1"),
	}
}
