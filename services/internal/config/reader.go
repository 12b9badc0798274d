package config

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Var describes one variable that a [Reader] was asked for.
type Var struct {
	Name string
	// Type in words for people: "text", "number", "duration" …
	Type string
	// Default as it would stand in the environment; empty means unset.
	Default string
	Help    string
}

// Reader reads variables. It serves one goroutine at a time: options are read
// once, at the start of the program.
type Reader struct {
	lookup func(string) (string, bool)
	vars   []Var
	errs   []error
	known  map[string]bool // texts of errs: a variable may be read twice
}

// NewReader returns a reader of the variables that lookup finds;
// [os.LookupEnv] in a main, a map's look-up in a test.
func NewReader(lookup func(string) (string, bool)) *Reader {
	return &Reader{lookup: lookup, known: make(map[string]bool)}
}

// FromEnv returns a reader of the process's environment.
func FromEnv() *Reader { return NewReader(os.LookupEnv) }

// Err returns all mistakes so far, one a line, or nil.
func (r *Reader) Err() error { return errors.Join(r.errs...) }

// Vars returns each variable that was asked for, once, in the order of asking.
func (r *Reader) Vars() []Var { return slices.Clone(r.vars) }

// Fail adds a mistake about variables that are wrong only together, or in a
// way that this package does not know. The text must name them, and must not
// contain a secret.
func (r *Reader) Fail(format string, args ...any) { r.fail(fmt.Errorf(format, args...)) }

func (r *Reader) fail(err error) {
	if !r.known[err.Error()] {
		r.known[err.Error()] = true
		r.errs = append(r.errs, err)
	}
}

func (r *Reader) declare(v Var) {
	if !slices.ContainsFunc(r.vars, func(o Var) bool { return o.Name == v.Name }) {
		r.vars = append(r.vars, v)
	}
}

// get returns the value without surrounding blanks. An empty variable counts
// as unset: that is what `VAR=` in a compose file or manifest is meant to say.
func (r *Reader) get(name string) (string, bool) {
	s, ok := r.lookup(name)
	s = strings.TrimSpace(s)
	return s, ok && s != ""
}

// Check refuses a value of the right type that makes no sense; its error ends
// the sentence "NAME=value …".
type Check[T any] func(T) error

// Min refuses values below lo.
func Min[T cmp.Ordered](lo T) Check[T] {
	return func(v T) error {
		if v < lo {
			return fmt.Errorf("is less than %v", lo)
		}
		return nil
	}
}

// Between refuses values outside lo to hi.
func Between[T cmp.Ordered](lo, hi T) Check[T] {
	return func(v T) error {
		if v < lo || v > hi {
			return fmt.Errorf("is not from %v to %v", lo, hi)
		}
		return nil
	}
}

// read is the one way a value that is no secret takes. The default is
// returned for an unset variable and for a wrong one.
func read[T any](r *Reader, v Var, def T, parse func(string) (T, error), checks []Check[T]) T {
	r.declare(v)
	s, ok := r.get(v.Name)
	if !ok {
		return def
	}
	value, err := parse(s)
	for _, check := range checks {
		if err == nil {
			err = check(value)
		}
	}
	if err != nil {
		r.fail(fmt.Errorf("%s=%q %w", v.Name, s, err))
		return def
	}
	return value
}

// String reads a text.
func (r *Reader) String(name, def, help string, checks ...Check[string]) string {
	return read(r, Var{name, "text", def, help}, def, func(s string) (string, error) { return s, nil }, checks)
}

// OneOf reads a word out of a list; capitals do not matter.
func (r *Reader) OneOf(name, def, help string, words ...string) string {
	return read(r, Var{name, strings.Join(words, " or "), def, help}, def, func(s string) (string, error) {
		if s = strings.ToLower(s); !slices.Contains(words, s) {
			return "", fmt.Errorf("is not one of %s", strings.Join(words, ", "))
		}
		return s, nil
	}, nil)
}

// Int reads a whole number, 0 or more.
func (r *Reader) Int(name string, def int, help string, checks ...Check[int]) int {
	return read(r, Var{name, "number", strconv.Itoa(def), help}, def, func(s string) (int, error) {
		n, err := parseInt(s)
		if err == nil && n > math.MaxInt {
			err = errors.New("is too great")
		}
		return int(n), err
	}, checks)
}

// Int64 reads a whole number, 0 or more.
func (r *Reader) Int64(name string, def int64, help string, checks ...Check[int64]) int64 {
	return read(r, Var{name, "number", strconv.FormatInt(def, 10), help}, def, parseInt, checks)
}

// No setting of the system has a use for a negative number, and most would do
// harm by one; so they are refused here, once.
func parseInt(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, errors.New("is out of range")
	case err != nil:
		return 0, errors.New("is not a whole number")
	case n < 0:
		return 0, errors.New("is negative")
	}
	return n, nil
}

// Float reads a number, 0 or more, finite.
func (r *Reader) Float(name string, def float64, help string, checks ...Check[float64]) float64 {
	v := Var{name, "number", strconv.FormatFloat(def, 'g', -1, 64), help}
	return read(r, v, def, func(s string) (float64, error) {
		f, err := strconv.ParseFloat(s, 64)
		switch {
		case err != nil || math.IsNaN(f) || math.IsInf(f, 0):
			return 0, errors.New("is not a number")
		case f < 0:
			return 0, errors.New("is negative")
		}
		return f, nil
	}, checks)
}

// Bool reads true or false (also 1, 0, yes, no, on, off).
func (r *Reader) Bool(name string, def bool, help string) bool {
	return read(r, Var{name, "true or false", strconv.FormatBool(def), help}, def, func(s string) (bool, error) {
		switch strings.ToLower(s) {
		case "true", "1", "yes", "on", "t", "y":
			return true, nil
		case "false", "0", "no", "off", "f", "n":
			return false, nil
		}
		return false, errors.New("is neither true nor false")
	}, nil)
}

// Duration reads a duration with its unit, 0 or more: 250ms, 30s, 5m, 24h.
func (r *Reader) Duration(name string, def time.Duration, help string, checks ...Check[time.Duration]) time.Duration {
	return read(r, Var{name, "duration", FormatDuration(def), help}, def, func(s string) (time.Duration, error) {
		d, err := time.ParseDuration(s)
		switch {
		case err != nil && isNumber(s):
			return 0, errors.New("has no unit (for example 30s or 250ms)")
		case err != nil:
			return 0, errors.New("is not a duration (for example 30s or 250ms)")
		case d < 0:
			return 0, errors.New("is negative")
		}
		return d, nil
	}, checks)
}

func isNumber(s string) bool {
	_, err := strconv.ParseFloat(s, 64)
	return err == nil
}

// FormatDuration is d as people write it: 1h and 30s, not 1h0m0s and 0h0m30s.
func FormatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// List reads words separated by commas; blanks around them and empty ones do
// not count.
func (r *Reader) List(name string, def []string, help string, checks ...Check[[]string]) []string {
	v := Var{name, "list", strings.Join(def, ","), help}
	return read(r, v, def, func(s string) ([]string, error) { return splitList(s), nil }, checks)
}

func splitList(s string) []string {
	var words []string
	for word := range strings.SplitSeq(s, ",") {
		if word = strings.TrimSpace(word); word != "" {
			words = append(words, word)
		}
	}
	return words
}
