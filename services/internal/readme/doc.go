// Package readme keeps the documents true: its tests fail when the README's
// table of settings is not what the code reads, when a document names a test
// that does not exist or links to a file that is not there, or when a proof is
// missing from RELIABILITY.md. `make docs` renews the table.
package readme
