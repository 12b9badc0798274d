package protocol

import "bytes"

// jsonSpace is the white space of JSON (RFC 8259, section 2).
const jsonSpace = " \t\r\n"

// jsonObject has the values of a message's keys as they stand in the frame,
// nil for those that are missing.
type jsonObject struct {
	kind, x, y, color, username, op, traceparent, session []byte
	measure, millis, vantage                              []byte // of telemetry
	width, height                                         []byte // of view
}

// scanObject finds the values of the keys that messages have. The frame must
// be a valid JSON object without space around it.
//
// A map of all keys would take many times the memory of a frame that consists
// of keys, and encoding/json's structs take "X" for "x". Here a frame of any
// form costs one walk and no memory.
func scanObject(frame []byte) (o jsonObject) {
	i := skipSpace(frame, 1)
	for frame[i] != '}' {
		end := skipValue(frame, i)
		value := o.field(frame[i:end])
		i = skipSpace(frame, end) // at the colon
		i = skipSpace(frame, i+1) // at the value
		end = skipValue(frame, i) // behind it
		if value != nil {
			*value = frame[i:end:end] // of equal keys the last wins
		}
		i = skipSpace(frame, end) // at a comma or the end
		if frame[i] == ',' {
			i = skipSpace(frame, i+1)
		}
	}
	return o
}

// field returns where the value of a key (a JSON string with its quotes) goes,
// nil for an unknown one.
func (o *jsonObject) field(key []byte) *[]byte {
	name := key[1 : len(key)-1]
	if bytes.IndexByte(name, '\\') >= 0 {
		unescaped, _ := jsonString(key)
		name = []byte(unescaped)
	}
	switch string(name) {
	case "type":
		return &o.kind
	case "x":
		return &o.x
	case "y":
		return &o.y
	case "color":
		return &o.color
	case "username":
		return &o.username
	case "op":
		return &o.op
	case "traceparent":
		return &o.traceparent
	case "session":
		return &o.session
	case "kind":
		return &o.measure
	case "millis":
		return &o.millis
	case "vantage":
		return &o.vantage
	case "width":
		return &o.width
	case "height":
		return &o.height
	}
	return nil
}

func skipSpace(b []byte, i int) int {
	for b[i] == ' ' || b[i] == '\t' || b[i] == '\r' || b[i] == '\n' {
		i++
	}
	return i
}

// skipValue returns the index behind the value that starts at i.
func skipValue(b []byte, i int) int {
	switch b[i] {
	case '"':
		for i++; b[i] != '"'; i++ {
			if b[i] == '\\' {
				i++
			}
		}
		return i + 1
	case '{', '[':
		for depth := 0; ; {
			switch b[i] {
			case '"':
				i = skipValue(b, i)
				continue
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
			i++
		}
	}
	for {
		switch b[i] {
		case ',', '}', ']', ' ', '\t', '\r', '\n': // the end of a number or word
			return i
		}
		i++
	}
}
