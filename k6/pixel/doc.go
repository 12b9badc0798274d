// Package pixel is the k6 extension k6/x/pixel: clients of the playground for
// load scripts, alone or many thousands in one virtual user, what becomes of
// each pixel that they draw as metrics of k6, and faults.
//
// index.d.ts beside go.mod documents the module for those who write scripts.
// The measuring itself is done by package fanout.
package pixel
