package protocol

// ParseInteger returns the integer that raw, a number as it stands in a JSON
// document, has as its value: 1, 1.0, 1e1 and -0 have one. It returns false
// for 1.5, for what is beyond ±[MaxNumber], and for what is no number. Whoever
// reads JSON of clients elsewhere than in this package takes the same numbers
// by it.
func ParseInteger(raw []byte) (int64, bool) { return jsonInteger(raw) }
