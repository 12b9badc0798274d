package archive

import (
	"context"
	"errors"
	"fmt"

	"github.com/cloud-pixel/playground/services/internal/store"
)

// Finding is one thing that an audit looked at.
type Finding struct {
	// Subject is what it is about: log, checkpoint, picture or file.
	Subject string
	// Fault says that it is not as it must be.
	Fault bool
	// Text is for people, and ends without a full stop.
	Text string
}

// Report is what an audit found.
type Report struct {
	// View is what the canvas looks like, nil when no picture can be made.
	View *View
	// Findings, in the order in which one reads them.
	Findings []Finding
}

// Faults returns what is not as it must be.
func (r *Report) Faults() []Finding {
	var faults []Finding
	for _, f := range r.Findings {
		if f.Fault {
			faults = append(faults, f)
		}
	}
	return faults
}

func (r *Report) good(subject, format string, args ...any) {
	r.Findings = append(r.Findings, Finding{Subject: subject, Text: fmt.Sprintf(format, args...)})
}

func (r *Report) fault(subject, format string, args ...any) {
	r.Findings = append(r.Findings, Finding{Subject: subject, Fault: true, Text: fmt.Sprintf(format, args...)})
}

// Audit reads all that Redis holds of a canvas, while the services go on, and
// checks it: that the log has no hole and its time never runs backwards, that
// the checkpoint fits its checksums, its hash and the log, and that checkpoint
// and log make the same picture as the log alone, where the log is whole. With
// an archive (else nil) it tells whether that picture is in this canvas's past
// or is what the canvas looks like now. Nothing is written.
//
// An error means that the audit could not be made, not that it found a fault.
func Audit(ctx context.Context, from Source, id string, a *Archive) (*Report, error) {
	for range tries {
		r, err := audit(ctx, from, id, a)
		if !errors.Is(err, errMoved) {
			return r, err
		}
	}
	return nil, errMoved
}

func audit(ctx context.Context, from Source, id string, a *Archive) (*Report, error) {
	meta, err := from.Meta(ctx, id)
	if err != nil {
		return nil, err
	}
	// The log first: trimming follows the checkpoint, so one that is read later
	// must reach back to where the log began.
	_, oldest, err := from.LogInfo(ctx, id)
	if err != nil && !errors.Is(err, store.ErrMalformed) && !errors.Is(err, store.ErrVersion) {
		return nil, err
	}
	r := &Report{}
	if err != nil {
		r.fault("log", "its first entry cannot be read: %v", err)
		return r, nil
	}
	checkpoint, err := from.LoadCheckpoint(ctx, id)
	switch {
	case errors.Is(err, store.ErrCorrupt), errors.Is(err, store.ErrVersion), errors.Is(err, store.ErrMalformed):
		r.fault("checkpoint", "it cannot be used: %v", err)
	case err != nil:
		return nil, err
	case checkpoint == nil:
		r.good("checkpoint", "there is none yet")
	case checkpoint.Position.Epoch != meta.Epoch:
		return nil, errMoved
	default:
		r.good("checkpoint", "at %d, its tiles fit their checksums and its hash %s", checkpoint.Position.Seq, hashText(checkpoint.Grid))
	}

	p := newPass(meta, oldest, checkpoint, a)
	head, err := walk(ctx, from, id, p.at, p.entry)
	switch {
	case errors.Is(err, store.ErrTrimmed):
		return nil, errMoved
	case errors.Is(err, store.ErrMalformed), errors.Is(err, store.ErrVersion):
		r.fault("log", "after %d: %v", p.at, err)
		p.joined = nil // what follows is not known
	case err != nil:
		return nil, err
	}
	now, err := from.Meta(ctx, id)
	if err != nil {
		return nil, err
	}
	if now.Epoch != meta.Epoch {
		return nil, errMoved
	}
	p.conclude(r, id, head)
	if a != nil {
		p.concludeFile(r, head)
	}
	return r, nil
}
