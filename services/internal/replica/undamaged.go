//go:build !drill

package replica

// damage does nothing: the switch that spoils a picture exists in builds for
// drills only (damage.go).
func (*Replica) damage() {}
