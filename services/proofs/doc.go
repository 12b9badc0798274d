// Package proofs breaks the system on purpose and then checks what was
// promised: the playground's real processes, a real redis-server, real
// connections, faults from outside. Nothing in it knows the inside of a
// service. docs/RELIABILITY.md tells which promise each test is for.
//
// Each test has two lengths. The short one runs with all other tests, has few
// clients and faults, and asserts nothing about time. `make prove` sets
// PROVE=full: minutes of faults, the numbers of clients that the promises name,
// and bounds on time and memory, where those are what is promised.
package proofs
