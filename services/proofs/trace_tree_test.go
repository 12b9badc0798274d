package proofs

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// forest is spans as people can read and compare them: the trees of all traces
// that were named, and of those that are linked to them.
//
// Each line is pod, name, kind, the attributes that differ (without "pixel." and
// "messaging."), and where the span's links lead. Ids, times and addresses are left out, for they
// differ from run to run. Siblings stand in the order of their text.
type forest struct {
	spans   []*span
	byID    map[ref]*span
	names   map[string]string // of traces, by id
	clients map[ref]string    // names of spans that were not received
	origin  uint64            // from when times are shown, ns since the Unix epoch; 0: no times
}

func newForest(spans []*span) *forest {
	f := &forest{spans: spans, byID: make(map[ref]*span), names: make(map[string]string), clients: make(map[ref]string)}
	for _, s := range spans {
		f.byID[ref{s.trace, s.id}] = s
	}
	return f
}

// name gives a trace, and the client's span in it, a name to be shown by.
func (f *forest) name(trace, parent, name string) {
	f.names[trace] = name
	f.clients[ref{trace, parent}] = "client"
}

// shown are the keys of the attributes that belong to a line. Those that are the
// same for all spans of a name are checked apart, see wrong.
func shown(key string) bool {
	for _, prefix := range []string{"pixel.", "messaging.batch.", "error.", "http.response.status_code", "http.route"} {
		if strings.HasPrefix(key, prefix) {
			return true
		}
	}
	return false
}

// wrong returns what is wrong with the spans beside the tree: that one begins
// before its parent (all share this machine's clock) or names no service, and
// what spans about messages lack of the attributes that the semantic conventions
// for messaging require.
func (f *forest) wrong() (wrong []string) {
	for _, s := range f.spans {
		if !strings.HasPrefix(s.pod, s.service+"-") {
			wrong = append(wrong, fmt.Sprintf("%s %s: service %q", s.pod, s.name, s.service))
		}
		if p := f.byID[ref{s.trace, s.parent}]; s.end < s.start || p != nil && s.start < p.start {
			wrong = append(wrong, fmt.Sprintf("%s %s ends before it begins, or begins before its parent", s.pod, s.name))
		}
		operation, destination, ok := strings.Cut(s.name, " ")
		if !ok || destination != "pixel-updates" {
			continue
		}
		for key, want := range map[string]string{
			"messaging.system": "redis", "messaging.destination.name": destination,
			"messaging.operation.name": operation, "messaging.operation.type": operation,
		} {
			if got := s.attributes[key]; got != want {
				wrong = append(wrong, fmt.Sprintf("%s %s: %s=%q, want %q", s.pod, s.name, key, got, want))
			}
		}
	}
	return wrong
}

func (f *forest) line(s *span) string {
	var b strings.Builder
	kind := strings.TrimPrefix(s.kind.String(), "SPAN_KIND_")
	fmt.Fprintf(&b, "%s %s [%s]", s.pod, s.name, strings.ToLower(kind))
	for _, key := range slices.Sorted(maps.Keys(s.attributes)) {
		if shown(key) {
			fmt.Fprintf(&b, " %s=%s", strings.TrimPrefix(strings.TrimPrefix(key, "pixel."), "messaging."), s.attributes[key])
		}
	}
	if s.failed != "" {
		b.WriteString(" FAILED")
	}
	links := make([]string, 0, len(s.links))
	for _, l := range s.links {
		links = append(links, f.target(l))
	}
	slices.Sort(links)
	if len(links) > 0 {
		fmt.Fprintf(&b, " -> %s", strings.Join(links, ", "))
	}
	return b.String()
}

// target says where a link leads.
func (f *forest) target(l ref) string {
	name := f.names[l.trace]
	if s := f.byID[l]; s != nil {
		return strings.TrimSpace(s.name + " " + name)
	}
	return strings.TrimSpace("unknown " + name)
}

// tree shows the spans of a trace.
func (f *forest) tree(trace string) string {
	children := make(map[string][]*span)
	var tops []string
	for _, s := range f.spans {
		if s.trace != trace {
			continue
		}
		if f.byID[ref{trace, s.parent}] == nil && !slices.Contains(tops, s.parent) {
			tops = append(tops, s.parent)
		}
		children[s.parent] = append(children[s.parent], s)
	}
	var b strings.Builder
	var show func(of, indent string)
	show = func(of, indent string) {
		type child struct{ line, id string }
		var all []child
		for _, s := range children[of] {
			all = append(all, child{f.line(s), s.id})
		}
		slices.SortFunc(all, func(a, b child) int { return strings.Compare(a.line, b.line) })
		for _, c := range all {
			b.WriteString(f.times(c.id) + indent + c.line + "\n")
			show(c.id, indent+"  ")
		}
	}
	label := func(top string) string {
		switch client := f.clients[ref{trace, top}]; {
		case top == "":
			return ""
		case client != "":
			return client
		}
		return "(a span that was not received)"
	}
	slices.SortFunc(tops, func(a, b string) int { return strings.Compare(label(a), label(b)) })
	for _, top := range tops {
		indent := ""
		if l := label(top); l != "" {
			b.WriteString(f.times("") + strings.TrimSpace(l+" "+f.names[trace]) + "\n")
			indent = "  "
		}
		show(top, indent)
	}
	return b.String()
}

// timed returns the same spans, to be shown with the time at which each begins
// and how long it takes, in milliseconds.
func (f *forest) timed() *forest {
	g := *f
	for _, s := range f.spans {
		if f.names[s.trace] != "" && (g.origin == 0 || s.start < g.origin) {
			g.origin = s.start
		}
	}
	return &g
}

func (f *forest) times(id string) string {
	if f.origin == 0 {
		return ""
	}
	for _, s := range f.spans {
		if s.id == id {
			return fmt.Sprintf("%+9.3f %9.3f  ", float64(int64(s.start-f.origin))/1e6, float64(s.end-s.start)/1e6)
		}
	}
	return strings.Repeat(" ", 21)
}

// linked returns the traces, other than the named ones, with a span that is
// linked to a named trace, in the order of their text.
func (f *forest) linked() []string {
	var found []string
	for _, s := range f.spans {
		if f.names[s.trace] != "" || slices.Contains(found, s.trace) {
			continue
		}
		for _, l := range s.links {
			if f.names[l.trace] != "" {
				found = append(found, s.trace)
				break
			}
		}
	}
	slices.SortFunc(found, func(a, b string) int { return strings.Compare(f.tree(a), f.tree(b)) })
	return found
}

// String shows all named traces, then what is linked to them.
func (f *forest) String() string {
	var b strings.Builder
	named := slices.SortedFunc(maps.Keys(f.names), func(a, b string) int { return strings.Compare(f.names[a], f.names[b]) })
	for _, trace := range append(named, f.linked()...) {
		b.WriteString(f.tree(trace))
	}
	return b.String()
}
