package fault

import (
	"bufio"
	"bytes"
	"io"
	"strconv"
)

// reply reads one reply of Redis (RESP2 or RESP3) as its bytes, and tells
// whether it is a message to a subscription. An error may come with the bytes
// that were read before it.
func reply(r *bufio.Reader) (raw []byte, message bool, err error) {
	var b bytes.Buffer
	err = value(r, &b)
	raw = b.Bytes()
	return raw, isMessage(raw), err
}

// value copies one value, with all that it holds.
func value(r *bufio.Reader, to *bytes.Buffer) error {
	line, err := r.ReadBytes('\n')
	to.Write(line)
	if err != nil {
		return err
	}
	if len(line) < 3 {
		return errProtocol
	}
	head := string(line[1 : len(line)-2])
	count := 0
	switch line[0] {
	case '$', '=', '!', '*', '>', '~', '%', '|':
		if head == "?" {
			return errProtocol // streamed: Redis sends none
		}
		if count, err = strconv.Atoi(head); err != nil {
			return errProtocol
		}
	}
	switch line[0] {
	case '$', '=', '!':
		if count < 0 { // nothing
			return nil
		}
		_, err = io.CopyN(to, r, int64(count)+2)
		return err
	case '%':
		count *= 2
	case '|': // attributes, and the value that they belong to
		count = 2*count + 1
	}
	for range max(count, 0) {
		if err := value(r, to); err != nil {
			return err
		}
	}
	return nil
}

// isMessage tells of a whole reply whether it is a live message.
func isMessage(raw []byte) bool {
	if len(raw) == 0 || raw[0] != '*' && raw[0] != '>' {
		return false
	}
	_, rest, _ := bytes.Cut(raw, []byte("\r\n"))
	_, rest, _ = bytes.Cut(rest, []byte("\r\n"))
	word, _, _ := bytes.Cut(rest, []byte("\r\n"))
	return string(word) == "message" || string(word) == "smessage" || string(word) == "pmessage"
}
