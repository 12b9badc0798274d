// Package runner runs the drills: it breaks what an entry of the catalogue
// says, in a playground in the shape of production with the real Prometheus
// and Alertmanager, and sees whether that follows which the entry says.
//
//	runs.go    which drills share a run
//	world.go   what a run breaks: a stack, proxies between its parts, some load
//	faults.go  each kind of fault
//	targets.go whom a fault is for
//	redis.go   faults of Redis
//	run.go     one run: before, during and after the faults
//	watch.go   what has arrived, and what a panel shows
//	pulse.go   whether the machine has time for it
//	report.go  what is told of it
package runner
