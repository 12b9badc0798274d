package protocol

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/cloud-pixel/playground/services/canvas"
)

// DecodeJSON reads one message of a client. It returns a *[Refusal] for
// whatever is not one; the numbers of refused operations are in it where they
// could be read. Nil, nil means a message that is ignored without a word, as
// the original does.
//
// Keys are matched exactly, of equal keys the last wins, unknown ones are
// ignored, as JSON.parse and property access in JavaScript have it.
func DecodeJSON(frame []byte, spec canvas.Spec) (ClientMessage, error) {
	if !utf8.Valid(frame) {
		return nil, &Refusal{Code: CodeInvalidFormat}
	}
	frame = bytes.Trim(frame, jsonSpace)
	if !json.Valid(frame) || bytes.Equal(frame, []byte("null")) {
		return nil, &Refusal{Code: CodeInvalidFormat}
	}
	if frame[0] != '{' {
		return nil, &Refusal{Code: CodeUnknownType}
	}
	object := scanObject(frame)
	kind, _ := jsonString(object.kind)
	switch kind {
	case "pixel_update":
		return decodeJSONDraw(&object, spec)
	case "set_username":
		return decodeJSONName(&object)
	case "ping":
		return Ping{}, nil
	case "hello":
		text, _ := jsonString(object.session)
		session, err := ParseSession(text)
		if err != nil {
			return nil, &Refusal{Code: CodeInvalidHello}
		}
		return Hello{Session: session}, nil
	case "telemetry":
		return decodeJSONTelemetry(&object)
	case "cursor":
		return decodeJSONCursor(&object, spec)
	case "view":
		return decodeJSONView(&object, spec)
	}
	return nil, &Refusal{Code: CodeUnknownType}
}

func decodeJSONName(object *jsonObject) (ClientMessage, error) {
	name, ok := jsonString(object.username)
	if !ok || name == "" {
		return nil, nil
	}
	if name, ok = CleanName(name, true); !ok {
		return nil, &Refusal{Code: CodeInvalidName}
	}
	return SetName{Name: name}, nil
}

func decodeJSONDraw(object *jsonObject, spec canvas.Spec) (ClientMessage, error) {
	var d Draw
	if object.op != nil {
		n, ok := jsonInteger(object.op)
		if !ok || n < 1 || n > MaxNumber {
			return nil, &Refusal{Code: CodeInvalidPixel}
		}
		d.Number = uint64(n)
	}
	refuse := func(code Code) (ClientMessage, error) {
		return nil, &Refusal{Code: code, Number: d.Number}
	}
	x, okX := jsonInteger(object.x)
	y, okY := jsonInteger(object.y)
	text, okColor := jsonString(object.color)
	color, err := canvas.ParseColor(text)
	if !okX || !okY || !okColor || err != nil {
		return refuse(CodeInvalidPixel)
	}
	if object.username != nil && !bytes.Equal(object.username, []byte("null")) {
		name, ok := jsonString(object.username)
		if ok {
			name, ok = CleanName(name, false)
		}
		if !ok {
			return refuse(CodeInvalidName)
		}
		d.Name = name
	}
	if x < 0 || y < 0 || x >= int64(spec.Width) || y >= int64(spec.Height) {
		return refuse(CodeOutOfBounds)
	}
	d.Pixels = []canvas.Pixel{{X: uint16(x), Y: uint16(y), Color: color}}
	if parent, ok := jsonString(object.traceparent); ok {
		d.Trace, _ = ParseTraceparent(parent) // a bad one is no context: W3C Trace Context, 3.2
	}
	return d, nil
}

// jsonString returns the string that raw, a JSON value or nothing, is, if it
// is one.
func jsonString(raw []byte) (string, bool) {
	if len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	if plain := raw[1 : len(raw)-1]; bytes.IndexByte(plain, '\\') < 0 {
		return string(plain), true // valid UTF-8, without escapes: as it stands
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return "", false
	}
	return s, true
}

// jsonInteger returns the integer that raw is, if it is a number whose value
// is one: 1, 1.0, 1e1 and -0 are.
func jsonInteger(raw []byte) (int64, bool) {
	if len(raw) == 0 || raw[0] != '-' && (raw[0] < '0' || raw[0] > '9') {
		return 0, false
	}
	if n, err := strconv.ParseInt(string(raw), 10, 64); err == nil && n >= -MaxNumber && n <= MaxNumber {
		return n, true
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > MaxNumber {
		return 0, false
	}
	return int64(f), true
}

// ParseTraceparent reads a W3C traceparent header of version 00 (or the first
// four fields of a later version).
func ParseTraceparent(s string) (canvas.Trace, bool) {
	var t canvas.Trace
	if len(s) < 55 || s[2] != '-' || s[35] != '-' || s[52] != '-' || s[:2] == "ff" || len(s) > 55 && (s[:2] == "00" || s[55] != '-') {
		return t, false
	}
	var version, flags [1]byte
	for _, part := range []struct {
		to   []byte
		from string
	}{{version[:], s[:2]}, {t[:16], s[3:35]}, {t[16:24], s[36:52]}, {flags[:], s[53:55]}} {
		for i := range len(part.from) {
			if b := part.from[i]; 'A' <= b && b <= 'F' {
				return canvas.Trace{}, false
			}
		}
		if _, err := hex.Decode(part.to, []byte(part.from)); err != nil {
			return canvas.Trace{}, false
		}
	}
	if [16]byte(t[:16]) == [16]byte{} || [8]byte(t[16:24]) == [8]byte{} {
		return canvas.Trace{}, false
	}
	t[24] = flags[0]
	return t, true
}

// FormatTraceparent writes a version 00 traceparent, or "" for no context.
func FormatTraceparent(t canvas.Trace) string {
	if t == (canvas.Trace{}) {
		return ""
	}
	return "00-" + hex.EncodeToString(t[:16]) + "-" + hex.EncodeToString(t[16:24]) + "-" + hex.EncodeToString(t[24:])
}
