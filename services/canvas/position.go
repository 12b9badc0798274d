package canvas

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// Epoch names one history of a canvas: a random 128-bit token, compared for
// equality only. A new epoch begins when the log may have lost operations that
// somebody had already seen. The zero Epoch names no history.
type Epoch [16]byte

// NewEpoch returns a fresh random epoch.
func NewEpoch() Epoch {
	var e Epoch
	_, _ = rand.Read(e[:]) // never fails: see crypto/rand
	return e
}

// ParseEpoch reads the 32 hexadecimal digits that [Epoch.String] writes.
func ParseEpoch(s string) (Epoch, error) {
	var e Epoch
	if len(s) != 2*len(e) {
		return Epoch{}, fmt.Errorf("canvas: epoch %.40q has not 32 hexadecimal digits", s)
	}
	if _, err := hex.Decode(e[:], []byte(s)); err != nil {
		return Epoch{}, fmt.Errorf("canvas: epoch %q: %w", s, err)
	}
	return e, nil
}

// String returns 32 lower-case hexadecimal digits.
func (e Epoch) String() string { return hex.EncodeToString(e[:]) }

// IsZero tells whether e names no history.
func (e Epoch) IsZero() bool { return e == Epoch{} }

// Position says how much of a canvas's log somebody has seen: every operation
// up to and including Seq of the history Epoch. Seq 0 is before the first.
type Position struct {
	Epoch Epoch
	Seq   uint64
}

// String returns "epoch/seq", the form of the Pixel-Position header.
func (p Position) String() string {
	return p.Epoch.String() + "/" + strconv.FormatUint(p.Seq, 10)
}

// ParsePosition reads what [Position.String] writes.
func ParsePosition(s string) (Position, error) {
	epoch, seq, ok := strings.Cut(s, "/")
	if !ok {
		return Position{}, fmt.Errorf("canvas: position %.60q is not of the form epoch/seq", s)
	}
	e, err := ParseEpoch(epoch)
	if err != nil {
		return Position{}, err
	}
	n, err := strconv.ParseUint(seq, 10, 53)
	if err != nil {
		return Position{}, fmt.Errorf("canvas: position %q: %w", s, err)
	}
	return Position{Epoch: e, Seq: n}, nil
}
