package client

import (
	"errors"
	"fmt"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/protocol"
)

var errSnapshotHash = errors.New("client: a snapshot does not have the announced hash")

// assembler puts a snapshot together from its bands. Nothing of it is shown
// before all have come and the hash is right.
type assembler struct {
	begin protocol.SnapshotBegin
	grid  *canvas.Grid // nil: bands are counted only
	seen  []bool
	left  int
}

func newAssembler(begin protocol.SnapshotBegin, draw bool) (*assembler, error) {
	if err := begin.Spec.Validate(); err != nil {
		return nil, err
	}
	if begin.Bands < 1 || begin.Bands > begin.Spec.Cells() {
		return nil, fmt.Errorf("client: a snapshot of %d bands", begin.Bands)
	}
	a := &assembler{begin: begin, seen: make([]bool, begin.Bands), left: begin.Bands}
	if draw {
		a.grid = canvas.NewGrid(begin.Spec)
	}
	return a, nil
}

// add takes a band, in any order, and tells whether it was the last one
// missing. A repeated band is ignored.
func (a *assembler) add(b *protocol.SnapshotBand) (done bool, err error) {
	if b.Index < 0 || b.Index >= len(a.seen) {
		return false, fmt.Errorf("client: band %d of a snapshot of %d", b.Index, len(a.seen))
	}
	if a.seen[b.Index] {
		return false, nil
	}
	if a.grid != nil {
		if err := protocol.LoadBand(a.grid, b); err != nil {
			return false, err
		}
	}
	a.seen[b.Index] = true
	a.left--
	if a.left > 0 {
		return false, nil
	}
	if a.grid != nil && a.grid.Hash() != a.begin.Hash {
		return false, errSnapshotHash
	}
	return true, nil
}
