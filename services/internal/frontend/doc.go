// Package frontend serves the page: the files embedded in package web, and
// /config.js, which tells the page where gateway and api are.
//
// The set of files is fixed when the process starts. A request is answered
// from a table of their paths, so there is no file system behind the URL that
// a path could climb out of. Each file is hashed once, packed by gzip
// at the start and by brotli, which takes longer, soon after it.
//
// The modules of the page are many, and a browser pays for each request; so
// they are sent as one file, which is made of them at the start.
//
// All files stand below one prefix, /a/<release>/, where the release is a hash
// of all of them. What is there never changes, so browsers and proxies may keep
// it for good. Only the files of the root keep their address: the index, which
// names the release; the service worker; and the script that notices when a
// release is gone. Browsers ask for those again each time (no-cache), which
// costs a 304. So nobody runs half of one release and half of another: a
// frontend that is asked for a release that it does not have answers 404, not
// to be stored, and the page loads itself again, once.
package frontend
