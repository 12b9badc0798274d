package httpkit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Server says what to serve, where, and how to stop.
type Server struct {
	// Addr to listen on; Listener, when not nil, is used instead, and closed.
	Addr     string
	Listener net.Listener
	Handler  http.Handler
	// Gatherer is served as /metrics: at MetricsAddr, or at Addr when that is
	// empty. Nil: nowhere.
	Gatherer    prometheus.Gatherer
	MetricsAddr string
	// DebugAddr serves [Debug]; empty: nowhere. State is what it shows of the
	// service as JSON; nil: nothing.
	DebugAddr string
	State     func() any
	// OnReady is called once, when all listeners listen and before anything is
	// answered. debug is nil without DebugAddr.
	OnReady func(addr, debug net.Addr)
	// Drain is called in order when the server is told to stop, while it still
	// accepts and answers: become unready, wait for balancers to notice, end
	// long-lived connections. All together have DrainTimeout (0: 20 s), after
	// which the context ends.
	Drain        []func(context.Context) error
	DrainTimeout time.Duration
	// WriteTimeout bounds an answer; 0: unbounded. It does not bind what was
	// hijacked.
	WriteTimeout time.Duration
	Log          *slog.Logger
}

const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 30 * time.Second // of a whole request with its body
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 32 << 10
	defaultDrain      = 20 * time.Second
	// lastRequests is what requests under way get when the drain has used up
	// all of its time.
	lastRequests = time.Second
)

// Serve listens, serves until ctx ends or a listener fails, then drains, waits
// for the requests under way, and returns when it listens no more. A stop that
// was asked for and went well is nil. Connections that a handler has hijacked
// are the concern of a Drain function.
//
// Requests do not see the end of ctx: those under way are answered. They see
// it when the time to drain is over.
func Serve(ctx context.Context, s Server) (err error) {
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	if s.DrainTimeout <= 0 {
		s.DrainTimeout = defaultDrain
	}
	requests, cut := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cut(nil)

	handler := s.Handler
	var metrics http.Handler
	if s.Gatherer != nil {
		metrics = promhttp.HandlerFor(s.Gatherer, promhttp.HandlerOpts{EnableOpenMetrics: true, ErrorLog: slog.NewLogLogger(s.Log.Handler(), slog.LevelError)})
		if s.MetricsAddr == "" {
			handler = withMetrics(metrics, handler)
		}
	}
	var leaving atomic.Bool
	main, err := s.listen(requests, s.Listener, s.Addr, withGoodbye(&leaving, handler))
	if err != nil {
		return err
	}
	main.server.WriteTimeout = s.WriteTimeout
	all := []*listening{main}
	defer func() {
		for _, l := range all {
			err = errors.Join(err, l.close())
		}
	}()
	var debugAddr net.Addr
	if metrics != nil && s.MetricsAddr != "" {
		l, err := s.listen(requests, nil, s.MetricsAddr, onlyMetrics(metrics))
		if err != nil {
			return err
		}
		all = append(all, l)
	}
	if s.DebugAddr != "" {
		l, err := s.listen(requests, nil, s.DebugAddr, Debug(metrics, s.State))
		if err != nil {
			return err
		}
		all = append(all, l)
		debugAddr = l.listener.Addr()
	}
	if s.OnReady != nil {
		s.OnReady(main.listener.Addr(), debugAddr)
	}
	s.Log.Info("listening", "addr", main.listener.Addr().String())

	failed := make(chan error, len(all))
	for _, l := range all {
		l.serve(failed)
	}
	select {
	case <-ctx.Done():
	case err = <-failed:
	}

	// The other listeners stay, so that the drain can be watched.
	s.Log.Info("draining", "timeout", s.DrainTimeout.String())
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.DrainTimeout)
	defer cancel()
	leaving.Store(true)
	for _, step := range s.Drain {
		err = errors.Join(err, step(drain))
	}
	last := drain
	if drain.Err() != nil {
		var cancel context.CancelFunc
		last, cancel = context.WithTimeout(context.WithoutCancel(ctx), lastRequests)
		defer cancel()
	}
	if e := main.server.Shutdown(last); e != nil {
		cut(http.ErrServerClosed)
		err = errors.Join(err, fmt.Errorf("requests under way were cut off: %w", e))
	}
	return err
}

// listening is one server with its socket.
type listening struct {
	server   *http.Server
	listener net.Listener
	done     sync.WaitGroup
}

func (s *Server) listen(requests context.Context, given net.Listener, addr string, h http.Handler) (*listening, error) {
	if given == nil {
		var err error
		// The error of net names the address and says "address already in use".
		if given, err = (&net.ListenConfig{}).Listen(requests, "tcp", addr); err != nil {
			return nil, fmt.Errorf("cannot listen: %w", err)
		}
	}
	return &listening{listener: given, server: &http.Server{
		Handler:           h,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		BaseContext:       func(net.Listener) context.Context { return requests },
		// What it says is about single connections of strangers.
		ErrorLog: slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug),
	}}, nil
}

func (l *listening) serve(failed chan<- error) {
	l.done.Go(func() {
		if err := l.server.Serve(l.listener); !errors.Is(err, http.ErrServerClosed) {
			failed <- fmt.Errorf("serving %s: %w", l.listener.Addr(), err)
		}
	})
}

// close ends what is left, after Shutdown or instead of it.
func (l *listening) close() error {
	var err error
	// A server that never served does not know its listener: close both.
	for _, c := range []io.Closer{l.server, l.listener} {
		if e := c.Close(); e != nil && !errors.Is(e, net.ErrClosed) {
			err = errors.Join(err, e)
		}
	}
	l.done.Wait()
	return err
}

// withGoodbye lets clients and proxies take leave of their connections while the
// drain still answers: each answer is the last on its connection. Were they
// only closed at the end, some would just have sent another request there, and
// a request that changes something is not sent twice.
func withGoodbye(leaving *atomic.Bool, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if leaving.Load() && r.ProtoMajor == 1 && r.Header.Get("Upgrade") == "" {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

func withMetrics(metrics, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/metrics" {
			metrics.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func onlyMetrics(metrics http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics)
	mux.HandleFunc("GET /livez", Livez)
	return Routes(mux)
}
