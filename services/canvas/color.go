package canvas

import "fmt"

// Color is a 24-bit colour, 0xRRGGBB; the upper 8 bits are always zero.
type Color uint32

// White is the background of a canvas unless its [Spec] says otherwise.
const White Color = 0xFFFFFF

// ParseColor reads "#RRGGBB" with hexadecimal digits of either case, and
// nothing else: no short form, no names, no alpha.
func ParseColor(s string) (Color, error) {
	if len(s) != 7 || s[0] != '#' {
		return 0, fmt.Errorf("canvas: colour %.16q is not of the form #RRGGBB", s)
	}
	var c Color
	for i := 1; i < len(s); i++ {
		var digit byte
		switch b := s[i]; {
		case '0' <= b && b <= '9':
			digit = b - '0'
		case 'a' <= b && b <= 'f':
			digit = b - 'a' + 10
		case 'A' <= b && b <= 'F':
			digit = b - 'A' + 10
		default:
			return 0, fmt.Errorf("canvas: colour %.16q is not of the form #RRGGBB", s)
		}
		c = c<<4 | Color(digit)
	}
	return c, nil
}

// String returns "#RRGGBB" in upper case.
func (c Color) String() string { return string(c.Append(make([]byte, 0, 7))) }

// Append appends "#RRGGBB" in upper case to b.
func (c Color) Append(b []byte) []byte {
	const digits = "0123456789ABCDEF"
	return append(b, '#',
		digits[c>>20&0xF], digits[c>>16&0xF], digits[c>>12&0xF],
		digits[c>>8&0xF], digits[c>>4&0xF], digits[c&0xF])
}
