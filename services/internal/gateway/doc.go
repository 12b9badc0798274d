// Package gateway is the WebSocket service: it takes operations from clients
// into the log and hands everybody's operations to all of them.
//
// The way of an operation through this package: the goroutine that reads a
// connection decodes it (conn.go), checks limits and order (refuse.go,
// sequence.go), and submits it to the canvas's writer. When the log has it, the
// writer's goroutine acknowledges it. Independently, the canvas's replica sees
// it in the log, like every other gateway's, and publishes it to the canvas's
// hub (room.go), whose flusher writes it to all sockets (socket.go).
//
// The rest is the life of connections: the handshake with its limits
// (handshake.go), who is here (presence.go), ending well (drain.go), and
// sharing clients with newcomers (balance.go).
package gateway
