package httpkit

import (
	"strconv"
	"strings"
)

// AcceptsGzip tells from the lines of Accept-Encoding whether the client takes
// gzip, and likes it no less than what is not compressed (RFC 9110, section
// 12.5.3). What cannot be read does not count.
func AcceptsGzip(accept []string) bool {
	gzipQ, identityQ, starQ := -1.0, -1.0, -1.0
	for _, line := range accept {
		for item := range strings.SplitSeq(line, ",") {
			coding, parameters, _ := strings.Cut(item, ";")
			q, ok := quality(parameters)
			if !ok {
				continue
			}
			switch strings.ToLower(strings.TrimSpace(coding)) {
			case "gzip", "x-gzip":
				gzipQ = q
			case "identity":
				identityQ = q
			case "*":
				starQ = q
			}
		}
	}
	if gzipQ < 0 {
		gzipQ = starQ
	}
	return gzipQ > 0 && gzipQ >= identityQ
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
