// Package model drives whole gateways, apis' replicas and clients through
// random interleavings of what people and networks do, on a real Redis, and
// checks after each what was promised: order, no loss, at most once,
// convergence, resumption.
//
// Nothing inside a process is replaced. Between each process and Redis stands a
// wire, which speaks Redis's protocol: it loses, repeats, delays and reorders
// live messages, lets a command vanish before it arrives or its reply after it
// took effect, and cuts everything at once, which is all that the world sees of
// a crash. Between each client and its gateway is a connection that can be cut
// or left unread.
//
// An example is a list of actions. Each waits for the effect that it must have,
// never for time, so that a failing list can be shortened to the few actions
// that matter; the failure prints them. What the log held is recorded while
// Redis is still, operation by operation, over all of its histories: that is
// what clients are compared with.
//
// The package has tests only.
package model
