// Package canvas is the domain of the playground: what a canvas is, what may
// be done to it, and what it looks like after a sequence of operations.
//
// A canvas is a rectangle of 24-bit colours (a [Spec] gives its size and
// background). It changes only by operations ([Op]): painting one or many
// pixels, or a reset. Operations of one canvas form its log; the log gives
// each a [Position] (epoch, seq), with seq counting 1, 2, 3 … without a hole.
// Last writer wins means: the highest seq wins. Clocks decide nothing.
//
// A [Grid] is the picture that results from applying the operations in order.
// Two grids of one canvas at one position are the same bytes, and their hashes
// are equal; that is how replicas audit each other.
//
// The package knows nothing of storage, networks or telemetry and imports only
// the standard library. Its values are not safe for concurrent use unless a
// comment says so.
package canvas
