// Package frontend serves the page: the files embedded in package web, and
// /config.js, which tells the page where gateway and api are.
//
// The set of files is fixed when the process starts. A request is answered
// from a table of their paths, so there is no file system behind the URL that
// a path could climb out of. Each file is compressed and hashed once; ETags
// are strong, and browsers ask again each time (no-cache), which costs a 304
// and means that nobody runs half of an old page after a rollout.
package frontend
