package report

import (
	_ "embed" // the page
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"

	"github.com/cloud-pixel/playground/k6/fanout"
	"github.com/cloud-pixel/playground/k6/metrics"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"ms": milliseconds, "number": number, "shown": shown, "sorted": sorted,
	"value":   func(f Figure, values map[string]float64) string { return f.value(values) },
	"trend":   func(f Figure) bool { return f.Kind == metrics.Trend },
	"columns": func() []string { return columns },
	"time":    func(t time.Time) string { return t.Format(time.RFC3339) },
	"round":   func(seconds float64) string { return fmt.Sprintf("%.1f s", seconds) },
	"tag":     func(tag string) string { _, name, _ := strings.Cut(tag, "="); return name },
}).Parse(pageText))

// HTML writes the report as a page that needs nothing else.
func (r *Report) HTML(w io.Writer) error {
	return page.Execute(w, struct {
		*Report
		Charts []chart
	}{r, r.charts()})
}

// chart is a picture of the run, second by second.
type chart struct {
	Title  string
	Unit   string
	Lines  []chartLine
	Faults []chartFault
	Top    string // greatest value, as text
	End    string // last second
}

type chartLine struct{ Name, Class, Points string }

type chartFault struct {
	X     float64
	Label string
}

// Size of a chart's inside, in units of its viewBox.
const chartWidth, chartHeight = 900.0, 160.0

func (r *Report) charts() []chart {
	if len(r.Points) < 2 {
		return nil
	}
	column := func(f func(fanout.Point) float64) []float64 {
		all := make([]float64, len(r.Points))
		for i, p := range r.Points {
			all[i] = f(p)
		}
		return all
	}
	return []chart{
		r.chart("Latency of what arrived in each second", "ms",
			curve{"max", column(func(p fanout.Point) float64 { return p.Max })},
			curve{"p95", column(func(p fanout.Point) float64 { return p.P95 })},
			curve{"p50", column(func(p fanout.Point) float64 { return p.P50 })}),
		r.chart("Deliveries per second", "", curve{"deliveries", column(func(p fanout.Point) float64 { return float64(p.Deliveries) })}),
		r.chart("Clients connected", "", curve{"clients", column(func(p fanout.Point) float64 { return float64(p.Connected) })}),
	}
}

// curve is a figure second by second.
type curve struct {
	name   string
	values []float64
}

func (r *Report) chart(title, unit string, curves ...curve) chart {
	top := 0.0
	for _, l := range curves {
		for _, v := range l.values {
			top = max(top, v)
		}
	}
	n := len(r.Points)
	c := chart{Title: title, Unit: unit, Top: number(top), End: fmt.Sprintf("%d s", n)}
	if top == 0 {
		top = 1
	}
	for i, l := range curves {
		var b strings.Builder
		for x, v := range l.values {
			fmt.Fprintf(&b, "%.1f,%.1f ", float64(x)/float64(n-1)*chartWidth, chartHeight*(1-v/top))
		}
		c.Lines = append(c.Lines, chartLine{l.name, fmt.Sprintf("line%d", i), b.String()})
	}
	// The first point is one second after the painting began, which is not
	// told; the last one is at the end.
	begin := r.Started.Add(time.Duration(r.Offset * float64(time.Second)))
	for _, e := range r.Events {
		x := (e.At.Sub(begin).Seconds() - 1) / float64(n-1) * chartWidth
		if x >= 0 && x <= chartWidth {
			c.Faults = append(c.Faults, chartFault{x, e.String()})
		}
	}
	return c
}
