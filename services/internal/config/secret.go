package config

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// maxSecret bounds what is read from the file of a secret: a path to something
// else (a device, a database) is a mistake that must not fill the memory.
const maxSecret = 64 << 10

// Secret reads a password or token from the variable itself or from the file
// that NAME_FILE names (as container platforms mount secrets); a line break at
// the end of the file does not count. Empty means that there is none. Errors
// never contain the value.
func (r *Reader) Secret(name, help string) string {
	file := name + "_FILE"
	r.declare(Var{name, "secret", "", help})
	r.declare(Var{file, "file", "", "File that holds " + name + "."})
	value, direct := r.get(name)
	path, indirect := r.get(file)
	switch {
	case direct && indirect:
		r.fail(fmt.Errorf("%s and %s are both set; set one", name, file))
		return ""
	case indirect:
		text, err := readSecret(path)
		if err != nil {
			r.fail(fmt.Errorf("%s=%q cannot be read: %w", file, path, err))
			return ""
		}
		if text == "" {
			r.fail(fmt.Errorf("%s=%q is empty", file, path))
		}
		return text
	}
	return value
}

func readSecret(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }() // it was only read
	text, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return "", err
	}
	if len(text) > maxSecret {
		return "", fmt.Errorf("longer than %s", FormatBytes(maxSecret))
	}
	return strings.TrimRight(string(text), "\r\n"), nil
}
