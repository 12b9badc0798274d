// Command k6 is k6 with the extension k6/x/pixel, which draws on the
// playground and measures what becomes of each pixel.
package main

import (
	"go.k6.io/k6/cmd"

	_ "github.com/cloud-pixel/playground/k6/pixel" // registers k6/x/pixel
)

func main() { cmd.Execute() }
