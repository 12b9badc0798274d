// Package httpkit is the HTTP side that all services share: the life of a
// server from listening to a bounded stop ([Serve]), health and debug routes,
// the real address of a client behind proxies ([ClientIP]) and limits per
// address, errors in JSON, and middleware (metrics, panics, CORS).
//
// Nothing here repeats a request's raw path, neither in an answer nor in a
// label: paths come from strangers.
package httpkit
