package httpkit

import (
	"strconv"
	"strings"
)

// AcceptsGzip tells from the lines of Accept-Encoding whether the client takes
// gzip, and likes it no less than what is not compressed.
func AcceptsGzip(accept []string) bool { return ChooseEncoding(accept, "gzip") == "gzip" }

// ChooseEncoding returns the one of the offered content codings that the lines
// of Accept-Encoding like best, the first of equals, or "" where none is taken
// or what is not compressed is liked better (RFC 9110, section 12.5.3). What
// cannot be read does not count. Offers are in lower case.
func ChooseEncoding(accept []string, offers ...string) string {
	qualities := make(map[string]float64)
	for _, line := range accept {
		for item := range strings.SplitSeq(line, ",") {
			coding, parameters, _ := strings.Cut(item, ";")
			q, ok := quality(parameters)
			if !ok {
				continue
			}
			coding = strings.ToLower(strings.TrimSpace(coding))
			if coding == "x-gzip" {
				coding = "gzip"
			}
			qualities[coding] = q
		}
	}
	best, bestQ := "", qualities["identity"] // 0 where it is not named
	for _, offer := range offers {
		q, ok := qualities[offer]
		if !ok {
			q = qualities["*"]
		}
		if q > bestQ || best == "" && q > 0 && q == bestQ {
			best, bestQ = offer, q
		}
	}
	return best
}

// quality reads "q=0.5"; without it the quality is 1.
func quality(parameters string) (float64, bool) {
	parameters = strings.TrimSpace(parameters)
	if parameters == "" {
		return 1, true
	}
	value, ok := strings.CutPrefix(strings.ToLower(parameters), "q=")
	if !ok {
		return 0, false
	}
	q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	return q, err == nil && q >= 0 && q <= 1
}
