// Package swarm is many light WebSocket connections of one process: enough of
// a client to load a server and to measure it, and cheap enough to share a
// machine with it.
//
// A connection is a file descriptor and a few hundred bytes. One goroutine
// waits for all of them (epoll(7)), takes the time once for each read, and
// decodes in place; another one sends. There is no goroutine, no buffer and no
// timer for a connection. What a client library does beyond (coming back,
// sending again, pictures) is not here: a swarm notices that something is
// wrong, counts it and goes on.
//
// Each connection checks what it gets: positions must follow each other, and
// some keep a picture that can be compared at the end.
//
// What servers speak is a [Wire]: the two codecs of the playground, and the
// JSON protocol of Centrifuge for the comparison, all read with equal care.
package swarm
