// Command playground is the whole system in one command:
//
//	go run ./services/playground
//
// brings up gateway, api, frontend and a store on http://localhost:8080, on a
// machine that has nothing but Go. One port serves all three, as the Ingress
// routes in production: /ws and WebSockets on other paths to a gateway, /api
// to an api, the rest to a frontend.
//
// By default the services are goroutines of this process. With -gateways,
// -apis or -frontends each is a process of its own, behind the same port: the
// shape of production, for load tests and for killing. Each is this program
// again, told by an environment variable which service to be (child.go). They
// are started again when they die, with the same name and, when it is free,
// the same port; they stop when this program does, however it ends.
//
// A second use is that of an operator, on the Redis of any running system:
//
//	playground canvas export|import|verify FILE
//
// backs up, restores and audits a canvas.
//
//	main.go       flags and signals
//	options.go    what can be asked for
//	run.go        starts everything, stops it in order
//	services.go   the three services
//	service.go    what a service is, and as a goroutine of this process
//	settings.go   what the services are told in their environment
//	supervise.go  keeps instances running, and watches whether they are ready
//	process.go    an instance as a process: the parent's side
//	child.go      an instance as a process: the child's side
//	pool.go       which instances of a service are ready: round robin
//	proxy.go      routes, and fails over to the next instance
//	state.go      the file that tells scripts what runs where
//	store.go      the embedded store or the given Redis
//	canvas.go     the commands on a canvas: flags, Redis, exit codes
//	canvas_commands.go   export, import and verify
package main
