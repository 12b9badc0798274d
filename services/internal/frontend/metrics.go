package frontend

import "github.com/prometheus/client_golang/prometheus"

// Metrics of the page's files; those of HTTP itself are httpkit's.
type Metrics struct {
	// Plain, Gzip, Brotli and NotModified count the answers that carried a file
	// as it is, compressed, or not at all because the browser has it.
	Plain, Gzip, Brotli, NotModified prometheus.Counter
	// OtherRelease counts the requests for files of a release that this
	// frontend does not have: a few during a rollout, none after it.
	OtherRelease prometheus.Counter
	// Bytes of files sent, after compression.
	Bytes prometheus.Counter
}

// NewMetrics registers the metrics of one frontend.
func NewMetrics(r prometheus.Registerer) *Metrics {
	files := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pixel_frontend_files_total", Help: "Answers with a file of the page, by how it was sent: plain, gzip, br, not_modified.",
	}, []string{"sent"})
	m := &Metrics{
		Plain:       files.WithLabelValues("plain"),
		Gzip:        files.WithLabelValues("gzip"),
		Brotli:      files.WithLabelValues("br"),
		NotModified: files.WithLabelValues("not_modified"),
		OtherRelease: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pixel_frontend_other_release_total", Help: "Requests for files of a release that this frontend does not have.",
		}),
		Bytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pixel_frontend_sent_bytes_total", Help: "Bytes of the page's files that were sent, after compression.",
		}),
	}
	r.MustRegister(files, m.OtherRelease, m.Bytes)
	return m
}

// sent returns the counter of a content coding; "" is none.
func (m *Metrics) sent(coding string) prometheus.Counter {
	switch coding {
	case "br":
		return m.Brotli
	case "gzip":
		return m.Gzip
	}
	return m.Plain
}
