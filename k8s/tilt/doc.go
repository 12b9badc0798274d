// Package tilt has what Tilt deploys. Its tests run the Tiltfile, with Tilt's
// functions replaced by ones that note what they are asked, and check that what
// it refers to exists.
package tilt
