// Package client is a client of the playground's gateways: what tests, load
// generators and other programs use to draw on a canvas and to follow it.
//
//	c, err := client.Dial(ctx, client.Options{URLs: []string{"ws://localhost:3002/ws"}})
//	…
//	defer c.Close()
//	_, err = c.Draw(ctx, canvas.Pixel{X: 3, Y: 4, Color: 0xFF0000})
//	err = c.Flush(ctx) // the operation is in the log now
//
// A [Client] keeps one connection and renews it whenever it is lost. Two things
// survive that: its operations, which stay in an outbox until a gateway has
// acknowledged or refused them for good, and its position, with which it asks
// a gateway (any gateway) for what it missed.
//
// # Sending
//
// Operations are numbered 1, 2, 3 … within the client's secret session. They
// are sent in this order, never another one. Acknowledgements are cumulative.
// A permanent refusal takes the one operation away that it names; a transient
// one makes the client go back to the refused operation, wait, and send from
// there again. On a new connection everything that is in the outbox is sent
// again before anything new; what the log holds already, it does not take
// twice. So an operation is in the log once, or was refused by name, or is
// still in the outbox.
//
// # Receiving
//
// A message that covers the positions (prev, seq] is applied when it continues
// what was applied before, ignored when all of it is known, and otherwise
// shows a gap: then the client drops the connection and resumes at its last
// position. A gateway that cannot resume there sends a snapshot (binary codec)
// or asks to load the canvas by REST (JSON codec), which the client does while
// it keeps the updates that arrive meanwhile. All of this is counted ([Stats]).
//
// # Cost and concurrency
//
// A client runs two goroutines while it is connected, a reader and a writer,
// has no ticker, and shares all buffers with the other clients of the process,
// so that thousands fit in one. All methods may be called from any goroutine.
// Callbacks are called one at a time, in order, from the client's goroutines,
// with no lock held that a method needs: they may call every method that does
// not wait for the client itself ([Client.Close], [Client.Flush],
// [Client.WaitFor], [Client.WaitReady], [Client.Ping]), and should return
// quickly, since nothing is received meanwhile.
//
// Time is that of package time, so testing/synctest controls it.
package client
