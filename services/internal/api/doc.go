// Package api is the Canvas API: canvases over HTTP, for scripts, for clients
// that draw without a connection, and for caches in front of pictures.
//
// What a call changes goes through the log of its canvas like the operations
// of every gateway (write.go), so that connected clients see it. What a call
// reads comes from this process's own grid, which follows the same log. A read
// first asks how far the log reaches and waits until the grid is there
// ([replica.Replica.Sync]): so it sees every write that was answered before,
// by whichever process, and never an old picture. When that cannot be had in
// time the answer is 503.
//
// Answers that are costly to make (JSON of all pixels, images, snapshots) are
// made once for each position and shared (pictures.go).
//
// Beside requests the process writes checkpoints and trims the log, never in
// the way of reads or writes (checkpointer.go).
//
//	options.go       settings
//	run.go           the life of the process
//	service.go       what handlers share: the canvas asked for, errors, answers
//	endpoints.go     routes and their OpenAPI document, from one declaration
//	legacy.go        the routes without a canvas id: those of canvas "main"
//	canvases.go      list, create, describe
//	cells.go         one pixel, and who wrote it
//	drawing.go       painting and reset
//	pictures.go      the whole picture as JSON, PNG, snapshot
package api
