// Package protocol is the wire: what clients and gateways say to each other
// over a WebSocket, in two codecs that mean the same.
//
// A client connects, with the canvas and, when it returns, its last position
// in the query (canvas, epoch, since). The gateway answers with [Connected],
// whose position is the one from which on the client will get everything. A
// client that wants its operations to survive a lost connection says [Hello]
// with its secret session before the first of them. From then on:
//
//   - the client sends operations ([Draw]), numbered 1, 2, 3 … within its
//     session, and keeps each until it is acknowledged or refused by name;
//   - the gateway sends, in the order of the log, what everybody drew: runs of
//     operations, or a [Range] that has the same effect, or a snapshot;
//   - [Ack] says that everything up to an operation which was not refused is
//     in the log at or before a position; [Error] refuses by name.
//
// Position rule for both codecs: a message that covers the positions
// (prev, seq] is applied when prev ≤ last < seq (last is what the client has
// applied), ignored when seq < last, and means a gap when prev > last.
//
// JSON (json.go, the default) is the protocol of the original system with new
// keys after the old ones; one message a frame. Binary (binary.go,
// subprotocol "pixel.v1") is compact; a frame holds one or more messages, each
// with its length, so that unknown ones are skipped. docs/PROTOCOL.md gives
// every byte, and testdata/vectors.json examples that the Go and the
// JavaScript tests check alike.
package protocol
