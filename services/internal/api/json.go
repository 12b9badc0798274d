package api

import (
	"bytes"
	"encoding/json"
	"iter"
	"unicode/utf8"
)

// Requests are read as JavaScript reads them, since the clients of these
// routes were written for a service in that language: keys match exactly (the
// structs of encoding/json take "X" for "x"), of equal keys the last wins,
// unknown keys are ignored. The functions below walk over a document that is
// known to be valid; a body of any form costs one walk and no memory.

var byteOrderMark = []byte("\xEF\xBB\xBF")

const jsonSpace = " \t\r\n" // RFC 8259, section 2

// document returns the one JSON value that a body is, without the space
// around it; nil for an empty body. It returns false when it is not JSON.
func document(body []byte) ([]byte, bool) {
	body = bytes.Trim(bytes.TrimPrefix(body, byteOrderMark), jsonSpace)
	if len(body) == 0 {
		return nil, true
	}
	return body, utf8.Valid(body) && json.Valid(body)
}

// pick returns the values of the named keys, in the order of the names; nil
// for those that are missing. What is no object has no keys.
func pick(value []byte, names ...string) [][]byte {
	values := make([][]byte, len(names))
	if len(value) == 0 || value[0] != '{' {
		return values
	}
	i := skipSpace(value, 1)
	for value[i] != '}' {
		end := skipValue(value, i)
		key := value[i:end]
		i = skipSpace(value, skipSpace(value, end)+1) // behind the colon
		end = skipValue(value, i)
		for n, name := range names {
			if keyIs(key, name) {
				values[n] = value[i:end:end]
			}
		}
		i = skipComma(value, end)
	}
	return values
}

// elements yields the values of an array.
func elements(array []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		i := skipSpace(array, 1)
		for array[i] != ']' {
			end := skipValue(array, i)
			if !yield(array[i:end:end]) {
				return
			}
			i = skipComma(array, end)
		}
	}
}

// isNumber tells whether a value is a JSON number.
func isNumber(value []byte) bool {
	return len(value) > 0 && (value[0] == '-' || '0' <= value[0] && value[0] <= '9')
}

// text returns the string that a value is, if it is one.
func text(value []byte) (string, bool) {
	if len(value) == 0 || value[0] != '"' {
		return "", false
	}
	if plain := value[1 : len(value)-1]; bytes.IndexByte(plain, '\\') < 0 {
		return string(plain), true
	}
	var s string
	if json.Unmarshal(value, &s) != nil {
		return "", false
	}
	return s, true
}

func keyIs(key []byte, name string) bool {
	if bytes.IndexByte(key, '\\') < 0 {
		return string(key[1:len(key)-1]) == name
	}
	s, _ := text(key)
	return s == name
}

func skipSpace(b []byte, i int) int {
	for b[i] == ' ' || b[i] == '\t' || b[i] == '\r' || b[i] == '\n' {
		i++
	}
	return i
}

// skipComma returns the index of the next value, or of what ends the list.
func skipComma(b []byte, i int) int {
	if i = skipSpace(b, i); b[i] == ',' {
		i = skipSpace(b, i+1)
	}
	return i
}

// skipValue returns the index behind the value that starts at i. The value
// stands inside an object or array, so something follows it.
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
