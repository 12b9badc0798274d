package replica

import (
	"log/slog"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/internal/tracing"
)

// Options of a replica. Zero values mean the defaults.
type Options struct {
	ID     string
	Source Source
	// Observer is told what happens; nil means nobody.
	Observer Observer
	// Recreate makes the canvas again, blank, when Redis lost it: its Spec
	// stands here. Without it a missing canvas ends the replica.
	Recreate *canvas.Spec
	// Rescue is called with the last picture of a history that has ended: the
	// canvas is gone, or has a new epoch.
	Rescue func(id string, at canvas.Position, f *canvas.Frozen)
	// Recent is how many operations before the checkpoint are read at the
	// start for those who resume (8,192; negative: none).
	Recent int
	// CheckEvery is the time between comparisons with the head (1 s, ± 20 %).
	CheckEvery time.Duration
	// BehindAfter is how long a replica may be behind what it knows the log to
	// hold before it counts as unable to reach it (3 s).
	BehindAfter time.Duration
	// LagAfter is how long a replica waits for the live message of an entry
	// that it knows to exist before it reads the log (50 ms).
	LagAfter time.Duration
	// AuditEvery is the time between looks at the checkpoint's hash (10 s).
	AuditEvery time.Duration
	// ReadLimit is how many entries one read of the log asks for (256).
	ReadLimit int
	// CallTimeout bounds each call of the source (3 s).
	CallTimeout time.Duration
	// Series says that the canvas has metrics of its own, labelled with its
	// id: for those of the configuration, whose number is bounded.
	Series  bool
	Metrics *Metrics
	Logger  *slog.Logger
	// Tracer starts the spans of appends and of entries that arrive; nil starts
	// none.
	Tracer *tracing.Tracer
}

func (o *Options) setDefaults() {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&o.CheckEvery, time.Second)
	set(&o.LagAfter, 50*time.Millisecond)
	set(&o.BehindAfter, 3*time.Second)
	set(&o.AuditEvery, 10*time.Second)
	set(&o.CallTimeout, 3*time.Second)
	if o.Recent == 0 {
		o.Recent = 8192
	}
	if o.ReadLimit == 0 {
		o.ReadLimit = 256
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}
