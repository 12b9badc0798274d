// Package fault breaks things on purpose, on this machine only: a proxy that
// delays, cuts and drops what goes between two programs, and clients that
// behave badly. Everything ends when it is told to, and with its context.
//
//	proxy.go    a TCP proxy whose connections obey rules
//	resp.go     Redis' protocol, as far as live messages are to be told from replies
//	owner.go    which process has a connection (Linux)
//	clients.go  clients that do not read, do not answer, come back all the time, send rubbish
package fault
