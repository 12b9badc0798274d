// Package web holds the page of the playground: static files that run in the
// browser as they are, without a build step. Tests are not part of it.
package web

import "embed"

// Files holds index.html and what it refers to, by the path below the site's
// root: index.html, the service worker, and what they refer to. See README.md for what is where.
//
//go:embed index.html favicon.svg manifest.webmanifest sw.js reload.js icons/*.png css js
var Files embed.FS
