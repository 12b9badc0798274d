//go:build !unix

package embedded

// lock does nothing where the system has no advisory locks.
func lock(string) (unlock func() error, err error) { return func() error { return nil }, nil }
