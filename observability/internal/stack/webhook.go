package stack

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Arrival is an alert that has arrived at a receiver.
type Arrival struct {
	At       time.Time
	Receiver string // pager, tickets or watchdog
	Firing   bool   // false: it is resolved
	Labels   map[string]string
	Summary  string
	Runbook  string
}

// Webhook receives what Alertmanager sends. Safe for concurrent use.
type Webhook struct {
	notify func(Arrival) // may be nil

	mu   sync.Mutex
	all  []Arrival
	more chan struct{} // closed when there is more
}

// NewWebhook returns one that calls notify, unless that is nil, for each
// arrival.
func NewWebhook(notify func(Arrival)) *Webhook {
	return &Webhook{notify: notify, more: make(chan struct{})}
}

// Arrivals returns all arrivals so far, the first at the front, and a channel
// that is closed when there is another one.
func (w *Webhook) Arrivals() ([]Arrival, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.all[:len(w.all):len(w.all)], w.more
}

// ServeHTTP takes a notification in the form that Alertmanager gives it.
func (w *Webhook) ServeHTTP(answer http.ResponseWriter, r *http.Request) {
	var body struct {
		Alerts []struct {
			Status      string
			Labels      map[string]string
			Annotations struct {
				Summary    string
				RunbookURL string `json:"runbook_url"`
			}
		}
	}
	if err := json.NewDecoder(http.MaxBytesReader(answer, r.Body, 1<<20)).Decode(&body); err != nil {
		http.Error(answer, err.Error(), http.StatusBadRequest)
		return
	}
	for _, a := range body.Alerts {
		w.add(Arrival{
			At: time.Now(), Receiver: strings.Trim(r.URL.Path, "/"), Firing: a.Status == "firing",
			Labels: a.Labels, Summary: a.Annotations.Summary, Runbook: a.Annotations.RunbookURL,
		})
	}
}

func (w *Webhook) add(a Arrival) {
	w.mu.Lock()
	w.all = append(w.all, a)
	close(w.more)
	w.more = make(chan struct{})
	w.mu.Unlock()
	if w.notify != nil {
		w.notify(a)
	}
}

// serve serves at the address until the returned function is called.
func serve(ctx context.Context, addr string, h http.Handler) (stop func() error, err error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	return func() error {
		err := server.Close()
		if failed := <-served; !errors.Is(failed, http.ErrServerClosed) {
			err = errors.Join(err, failed)
		}
		return err
	}, nil
}
