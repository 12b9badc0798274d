package model

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strconv"
)

// readValue reads one value of Redis's protocol (RESP 2) and returns its bytes
// as they came.
func readValue(r *bufio.Reader) ([]byte, error) { return appendValue(nil, r) }

func appendValue(b []byte, r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return b, err
	}
	if len(line) < 3 {
		return b, fmt.Errorf("the line %q is no value", line)
	}
	kind := line[0]
	b = append(b, line...)
	if kind != '$' && kind != '*' {
		return b, nil
	}
	n, err := strconv.Atoi(string(line[1 : len(line)-2]))
	if err != nil || n < 0 { // -1: nil
		return b, err
	}
	if kind == '$' {
		start := len(b)
		b = append(b, make([]byte, n+2)...)
		_, err = io.ReadFull(r, b[start:])
		return b, err
	}
	for range n {
		if b, err = appendValue(b, r); err != nil {
			return b, err
		}
	}
	return b, nil
}

// bulks returns the elements of an array as long as they are bulk strings.
func bulks(value []byte) (items [][]byte) {
	if len(value) == 0 || value[0] != '*' {
		return nil
	}
	_, rest, _ := bytes.Cut(value, []byte("\r\n"))
	for len(rest) > 0 && rest[0] == '$' {
		length, after, _ := bytes.Cut(rest[1:], []byte("\r\n"))
		n, err := strconv.Atoi(string(length))
		if err != nil || n < 0 || len(after) < n+2 {
			break
		}
		items, rest = append(items, after[:n]), after[n+2:]
	}
	return items
}

// array returns an array of bulk strings.
func array(items ...[]byte) []byte {
	b := fmt.Appendf(nil, "*%d\r\n", len(items))
	for _, i := range items {
		b = append(fmt.Appendf(b, "$%d\r\n", len(i)), i...)
		b = append(b, '\r', '\n')
	}
	return b
}
