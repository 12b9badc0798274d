package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Longest first: "KiB" also ends in "B".
var byteUnits = []struct {
	name string
	size int64
}{
	{"gib", 1 << 30}, {"mib", 1 << 20}, {"kib", 1 << 10},
	{"gb", 1e9}, {"mb", 1e6}, {"kb", 1e3}, {"b", 1},
}

// Bytes reads an amount of memory: a whole number of bytes, or one with a
// unit KiB, MiB, GiB (1024) or kB, MB, GB (1000).
func (r *Reader) Bytes(name string, def int64, help string, checks ...Check[int64]) int64 {
	return read(r, Var{name, "bytes", FormatBytes(def), help}, def, parseBytes, checks)
}

func parseBytes(s string) (int64, error) {
	number, unit := strings.ToLower(s), int64(1)
	for _, u := range byteUnits {
		if rest, ok := strings.CutSuffix(number, u.name); ok {
			number, unit = strings.TrimSpace(rest), u.size
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	switch {
	case err != nil:
		return 0, errors.New("is not an amount of bytes (for example 65536 or 64KiB)")
	case n < 0:
		return 0, errors.New("is negative")
	case n > math.MaxInt64/unit:
		return 0, errors.New("is out of range")
	}
	return n * unit, nil
}

// FormatBytes is n in the greatest unit of 1024 that leaves a whole number.
func FormatBytes(n int64) string {
	for _, u := range []struct {
		name string
		size int64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n >= u.size && n%u.size == 0 {
			return fmt.Sprintf("%d%s", n/u.size, u.name)
		}
	}
	return strconv.FormatInt(n, 10)
}
