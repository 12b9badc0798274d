package scenario

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Setting is a variable of the environment that a scenario reads.
type Setting struct {
	Name    string `json:"name"`
	Value   string `json:"value"`
	Default string `json:"default"`
	Meaning string `json:"meaning"`
}

// Settings reads variables, collects all mistakes, and remembers what was read
// for reports and for help.
type Settings struct {
	lookup func(string) (string, bool)
	used   []Setting
	errs   []error
}

// NewSettings returns settings from an environment. An empty variable counts as
// unset.
func NewSettings(lookup func(string) (string, bool)) *Settings { return &Settings{lookup: lookup} }

// Used returns what was read, in order.
func (s *Settings) Used() []Setting { return s.used }

// Err returns all mistakes.
func (s *Settings) Err() error { return errors.Join(s.errs...) }

func (s *Settings) text(name, fallback, meaning string) string {
	value, ok := s.lookup(name)
	if !ok || value == "" {
		value = fallback
	}
	s.used = append(s.used, Setting{name, value, fallback, meaning})
	return value
}

func (s *Settings) wrong(name, value, want string) {
	s.errs = append(s.errs, fmt.Errorf("%s is %q, not %s", name, value, want))
}

// Int reads a whole number from low to high.
func (s *Settings) Int(name string, fallback, low, high int, meaning string) int {
	value := s.text(name, strconv.Itoa(fallback), meaning)
	n, err := strconv.Atoi(value)
	if err != nil || n < low || n > high {
		s.wrong(name, value, fmt.Sprintf("a number from %d to %d", low, high))
		return fallback
	}
	return n
}

// Rate reads a number per second, from 0 (exclusive, unless zero is allowed)
// to high.
func (s *Settings) Rate(name string, fallback, high float64, zero bool, meaning string) float64 {
	value := s.text(name, strconv.FormatFloat(fallback, 'f', -1, 64), meaning)
	v, err := strconv.ParseFloat(value, 64)
	if err != nil || v < 0 || v > high || v == 0 && !zero {
		s.wrong(name, value, fmt.Sprintf("a number per second up to %v", high))
		return fallback
	}
	return v
}

// Time reads a duration from 0 to high: 90s, 2m, or plain seconds.
func (s *Settings) Time(name string, fallback, high time.Duration, meaning string) time.Duration {
	value := s.text(name, fallback.String(), meaning)
	d, err := time.ParseDuration(value)
	if seconds, plain := strconv.ParseFloat(value, 64); plain == nil {
		d, err = time.Duration(seconds*float64(time.Second)), nil
	}
	if err != nil || d < 0 || d > high {
		s.wrong(name, value, fmt.Sprintf("a time up to %v, for example 60s or 60", high))
		return fallback
	}
	return d
}

// Choice reads one of some words.
func (s *Settings) Choice(name, meaning string, words ...string) string {
	value := s.text(name, words[0], meaning)
	for _, w := range words {
		if w == value {
			return value
		}
	}
	s.wrong(name, value, fmt.Sprintf("one of %v", words))
	return words[0]
}
