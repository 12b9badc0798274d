package httpkit

import (
	"bufio"
	"io"
	"net"
	"net/http"
)

// response notes what became of an answer: metrics and panics need to know.
type response struct {
	http.ResponseWriter
	status   int // 0: nothing was sent yet
	hijacked func()
}

// Unwrap serves http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *response) WriteHeader(status int) {
	// 1xx other than 101 are news on the way; the answer is still to come.
	if w.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *response) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// ReadFrom keeps the way from a file to the socket inside the kernel.
func (w *response) ReadFrom(r io.Reader) (int64, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return io.Copy(w.ResponseWriter, r)
}

// Flush and Hijack are here, too, for libraries that do not ask Unwrap.
func (w *response) Flush() {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	_ = http.NewResponseController(w.ResponseWriter).Flush() // as http.Flusher: no error
}

// Hijack hands the connection over; from then on it is no request any more.
func (w *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil {
		if w.status == 0 {
			w.status = http.StatusSwitchingProtocols
		}
		if w.hijacked != nil {
			w.hijacked()
		}
	}
	return conn, rw, err
}
