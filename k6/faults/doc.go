// Package faults breaks parts of a running system on purpose: it kills, stops
// and pauses services and their Redis, as processes of a playground on this
// machine or as pods of a Kubernetes cluster, and notes what it did when.
//
// It touches nothing but what the playground's state file names, or the pods
// that match the given labels in the given namespace.
package faults
