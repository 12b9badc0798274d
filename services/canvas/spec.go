package canvas

import (
	"errors"
	"fmt"
)

// Limits of the domain. They are part of the wire protocol: clients may rely
// on them.
const (
	// MaxSide is the greatest width and height of a canvas, in cells.
	MaxSide = 4096
	// MaxPixels is the greatest number of pixels in one operation.
	MaxPixels = 4096
	// MaxName is the greatest length of an author's name, in characters
	// (Unicode code points).
	MaxName = 20
)

// ErrID tells that a canvas name is not of the form [a-z0-9][a-z0-9-]{0,63}.
var ErrID = errors.New("canvas: a canvas id has 1 to 64 characters a-z, 0-9 or '-', and does not start with '-'")

// CheckID returns [ErrID] unless id names a canvas.
func CheckID(id string) error {
	if len(id) == 0 || len(id) > 64 || id[0] == '-' {
		return ErrID
	}
	for i := range len(id) {
		switch b := id[i]; {
		case 'a' <= b && b <= 'z', '0' <= b && b <= '9', b == '-':
		default:
			return ErrID
		}
	}
	return nil
}

// Spec is what never changes about a canvas: its size in cells and the colour
// of a cell that nobody has painted.
type Spec struct {
	Width, Height int
	Background    Color
}

// Validate returns an error unless the canvas has 1×1 to 4096×4096 cells and
// a 24-bit background.
func (s Spec) Validate() error {
	if s.Width < 1 || s.Width > MaxSide || s.Height < 1 || s.Height > MaxSide {
		return fmt.Errorf("canvas: %d×%d is not a size from 1×1 to %d×%d", s.Width, s.Height, MaxSide, MaxSide)
	}
	if s.Background > 0xFFFFFF {
		return fmt.Errorf("canvas: background %#x has more than 24 bits", uint32(s.Background))
	}
	return nil
}

// Cells returns the number of cells.
func (s Spec) Cells() int { return s.Width * s.Height }

// Contains tells whether the cell (x, y) exists; (0, 0) is the upper left one.
func (s Spec) Contains(x, y int) bool {
	return x >= 0 && x < s.Width && y >= 0 && y < s.Height
}
