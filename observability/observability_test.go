package observability

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloud-pixel/playground/observability/internal/dashboards"
	"github.com/cloud-pixel/playground/observability/internal/drill"
	"github.com/cloud-pixel/playground/observability/internal/known"
	"github.com/cloud-pixel/playground/observability/internal/query"
	"github.com/cloud-pixel/playground/observability/internal/render"
	"github.com/cloud-pixel/playground/observability/internal/rules"
	"github.com/cloud-pixel/playground/observability/internal/tree"
)

// all is what the tests look at.
type all struct {
	root    string
	sources rules.Sources
	built   rules.Built
	metrics known.Metrics
	drills  []drill.Drill
	fills   map[string]string // query that a healthy system leaves empty → drill that fills it
}

func read(t *testing.T) all {
	t.Helper()
	root, err := tree.Root()
	if err != nil {
		t.Fatal(err)
	}
	a := all{root: root}
	if a.sources, err = rules.Load(root); err != nil {
		t.Fatal(err)
	}
	a.built = rules.Build(a.sources)
	if a.metrics, err = known.Load(root, a.built); err != nil {
		t.Fatal(err)
	}
	if a.drills, err = drill.Load(root); err != nil {
		t.Fatal(err)
	}
	a.fills = map[string]string{}
	for _, d := range a.drills {
		for _, text := range d.Fills {
			a.fills[text] = d.Alert
		}
	}
	return a
}

// alerts returns the names of all alerts, each once.
func (a all) alerts() []string {
	names := map[string]bool{}
	for _, r := range a.built.Alerts() {
		names[r.Alert] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// tool returns the path of a program that the tests need.
func tool(t *testing.T, name, debian string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is not installed (on Debian: apt-get install %s): %v", name, debian, err)
	}
	return path
}

// TestRenderedFilesAreFresh: what is committed is what the sources make.
func TestRenderedFilesAreFresh(t *testing.T) {
	a := read(t)
	files, err := render.All(a.root)
	if err != nil {
		t.Fatal(err)
	}
	stale, err := files.Stale(a.root)
	if err != nil {
		t.Fatal(err)
	}
	for _, what := range stale {
		t.Errorf("%s: run `make observability`", what)
	}
}

// TestRulesWithPromtool runs the tests of all alerts in the real promtool, each
// with a moment of not yet, of firing, and (but for the watchdog) of cleared.
func TestRulesWithPromtool(t *testing.T) {
	a := read(t)
	promtool := tool(t, "promtool", "prometheus")
	run := func(t *testing.T, args ...string) {
		t.Helper()
		c := exec.CommandContext(t.Context(), promtool, args...)
		c.Dir = a.root
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	t.Run("configuration", func(t *testing.T) { run(t, "check", "config", "prometheus/prometheus.yaml") })
	for _, name := range a.alerts() {
		t.Run(name, func(t *testing.T) { run(t, "test", "rules", "rules/tests/"+name+".yaml") })
	}
	t.Run("shortened", func(t *testing.T) {
		short, err := render.Short(a.root, render.Shorter{Factor: 30, Floor: 5 * time.Second, Longest: 15 * time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		for name, content := range short {
			path := filepath.Join(dir, name)
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			run(t, "check", "rules", path)
		}
	})
}

// TestQueriesNameWhatExists: rules, dashboards, runbooks and documents read
// only metrics, labels, values and buckets that there are.
func TestQueriesNameWhatExists(t *testing.T) {
	a := read(t)
	check := func(where, text string) {
		for _, problem := range a.metrics.Check(query.Grafana(text, "1m", ".*")) {
			t.Errorf("%s: %v", where, problem)
		}
	}
	n := 0
	for name, file := range a.built {
		for _, g := range file.Groups {
			for _, r := range g.Rules {
				check("rules/"+name+": "+r.Record+r.Alert, r.Expr)
				n++
			}
		}
	}
	for _, q := range dashboards.Queries(a.sources) {
		check(q.Dashboard+": "+q.Panel, values.ReplaceAllString(q.Expr, "$1"))
		n++
	}
	for path, queries := range documented(t, a.root) {
		for _, text := range queries {
			check(path, text)
			n++
		}
	}
	t.Logf("%d queries", n)
}

// values is how Grafana asks for the values of a label.
var values = regexp.MustCompile(`^label_values\((.*), [a-z]+\)$`)

// documented returns the queries of runbooks and documents by their file: each
// paragraph of a fenced block that says promql.
func documented(t *testing.T, root string) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	for _, pattern := range []string{"../runbooks/*.md", "../docs/*.md", "*.md"} {
		paths, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, block := range promqlBlock.FindAllStringSubmatch(string(content), -1) {
				found[path] = append(found[path], split(block[1])...)
			}
		}
	}
	if len(found) == 0 {
		t.Fatal("no document has a query")
	}
	return found
}

var promqlBlock = regexp.MustCompile("(?s)```promql\n(.*?)```")

// split splits a block into queries. One that goes on in the next line is
// indented there; lines of # are comments.
func split(block string) []string {
	var queries []string
	for _, line := range strings.Split(block, "\n") {
		switch {
		case strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, " ") && len(queries) > 0:
			queries[len(queries)-1] += "\n" + line
		default:
			queries = append(queries, line)
		}
	}
	return queries
}

// TestPanelsAreWhole looks at the committed JSON, as Grafana will: every panel
// has a description and a unit, every query a data source, every link a runbook
// that exists.
func TestPanelsAreWhole(t *testing.T) {
	a := read(t)
	paths, err := filepath.Glob(filepath.Join(a.root, "dashboards", "*.json"))
	if err != nil || len(paths) < 7 {
		t.Fatal(paths, err)
	}
	panels := 0
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var board struct {
			UID, Title, Description string
			Panels                  []struct {
				Type, Title, Description string
				GridPos                  struct{ X, Y, W, H int }
				FieldConfig              struct {
					Defaults struct {
						Unit       string
						Thresholds struct{ Steps []any }
					}
				}
				Targets []struct {
					Expr       string
					Datasource struct{ UID string }
				}
			}
		}
		if err := json.Unmarshal(content, &board); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if board.UID+".json" != filepath.Base(path) || board.Title == "" || board.Description == "" {
			t.Errorf("%s: uid, title and description must be there", path)
		}
		titles := map[string]bool{}
		taken := map[string]string{}
		for _, p := range board.Panels {
			if p.Type == "row" {
				continue
			}
			panels++
			where := board.UID + ": " + p.Title
			if p.Title == "" || titles[p.Title] {
				t.Errorf("%s: the title is empty or there twice", where)
			}
			titles[p.Title] = true
			if p.Description == "" || p.FieldConfig.Defaults.Unit == "" || len(p.FieldConfig.Defaults.Thresholds.Steps) == 0 {
				t.Errorf("%s: description, unit and thresholds must be there", where)
			}
			if len(p.Targets) == 0 {
				t.Errorf("%s: no query", where)
			}
			for _, q := range p.Targets {
				if q.Expr == "" || q.Datasource.UID != "${datasource}" {
					t.Errorf("%s: a query is empty or has no data source", where)
				}
			}
			if p.GridPos.X+p.GridPos.W > 24 {
				t.Errorf("%s: is wider than the dashboard", where)
			}
			cell := fmt.Sprint(p.GridPos.X, p.GridPos.Y)
			if taken[cell] != "" {
				t.Errorf("%s: lies on %s", where, taken[cell])
			}
			taken[cell] = p.Title
		}
		for _, l := range runbookLink.FindAllStringSubmatch(string(content), -1) {
			if _, err := os.Stat(filepath.Join(a.root, "..", "runbooks", l[1])); err != nil {
				t.Errorf("%s: %v", board.UID, err)
			}
		}
	}
	t.Logf("%d dashboards, %d panels", len(paths), panels)
}

var runbookLink = regexp.MustCompile(`/blob/main/runbooks/([A-Za-z-]+\.md)`)

// TestAlertsRunbooksAndDrillsMatch: one runbook and one drill for each alert,
// and no others; what a drill names exists.
func TestAlertsRunbooksAndDrillsMatch(t *testing.T) {
	a := read(t)
	alerts := a.alerts()
	var drilled []string
	panels := map[string]bool{}
	for _, q := range dashboards.Queries(a.sources) {
		panels[q.Dashboard+": "+q.Panel] = true
	}
	for _, d := range a.drills {
		drilled = append(drilled, d.Alert)
		for _, other := range slices.Concat(d.Also, d.Silent) {
			if !slices.Contains(alerts, other) || other == d.Alert {
				t.Errorf("the drill of %s names %s, which is no other alert", d.Alert, other)
			}
		}
		if !panels[d.Panel.Dashboard+": "+d.Panel.Title] {
			t.Errorf("the drill of %s names the panel %v, which does not exist", d.Alert, d.Panel)
		}
		severities := 0
		for _, r := range a.built.Alerts() {
			if r.Alert == d.Alert && (d.Expect.Severity == "" || r.Labels["severity"] == d.Expect.Severity) && r.Labels["slo"] == d.Expect.SLO {
				severities++
			}
		}
		if severities != 1 {
			t.Errorf("the drill of %s expects %d alerts, not one: severity and slo must say which", d.Alert, severities)
		}
	}
	for _, q := range dashboards.Queries(a.sources) {
		if q.Drill != "" && q.Drill != "LoadTest" && !slices.Contains(drilled, q.Drill) {
			t.Errorf("%s: %s is filled by %s, which is no drill", q.Dashboard, q.Panel, q.Drill)
		}
	}
	slices.Sort(drilled)
	if !slices.Equal(alerts, drilled) {
		t.Errorf("alerts and drills differ:\n%v\n%v", alerts, drilled)
	}
	var books []string
	entries, err := os.ReadDir(filepath.Join(a.root, "..", "runbooks"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if name := strings.TrimSuffix(e.Name(), ".md"); name != "README" && strings.ToLower(name) != name {
			books = append(books, name) // operational ones are in lower case
		}
	}
	if !slices.Equal(alerts, books) {
		t.Errorf("alerts and runbooks differ:\n%v\n%v", alerts, books)
	}
	t.Logf("%d alerts in %d rules", len(alerts), len(a.built.Alerts()))
}

// TestRunbooksAreWhole: each has its sections, something to run in Diagnosis,
// says which drill shows it, and stands in the list.
func TestRunbooksAreWhole(t *testing.T) {
	a := read(t)
	dir := filepath.Join(a.root, "..", "runbooks")
	list, err := os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	paths, err := filepath.Glob(filepath.Join(dir, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	alerts := a.alerts()
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".md")
		if name == "README" {
			continue
		}
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(list), "("+name+".md)") {
			t.Errorf("README.md does not list %s", name)
		}
		for _, l := range localLink.FindAllStringSubmatch(string(content), -1) {
			if _, err := os.Stat(filepath.Join(dir, filepath.FromSlash(l[1]))); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if !slices.Contains(alerts, name) {
			continue
		}
		rest := string(content)
		for _, section := range []string{"# " + name + "\n", "## Meaning\n", "## Impact\n", "## Diagnosis\n", "## Mitigation\n", "## Verify\n", "## Drill\n"} {
			_, after, ok := strings.Cut(rest, section)
			if !ok {
				t.Errorf("%s: no section %q in its place", name, strings.TrimSpace(section))
				break
			}
			if text, _, _ := strings.Cut(after, "\n## "); strings.HasPrefix(section, "## ") && strings.TrimSpace(text) == "" {
				t.Errorf("%s: the section %q is empty", name, strings.TrimSpace(section))
			}
			rest = after
		}
		_, diagnosis, _ := strings.Cut(string(content), "## Diagnosis\n")
		diagnosis, _, _ = strings.Cut(diagnosis, "\n## ")
		if !strings.Contains(diagnosis, "```promql\n") && !strings.Contains(diagnosis, "```sh\n") {
			t.Errorf("%s: Diagnosis has nothing to run", name)
		}
		if !strings.Contains(string(content), "(../observability/drills/catalogue.yaml)") {
			t.Errorf("%s: does not lead to its drill", name)
		}
	}
}

var localLink = regexp.MustCompile(`\]\(([^):#]+)(?:#[^)]*)?\)`)

// TestKustomizationFiles: every file of the kustomization exists.
func TestKustomizationFiles(t *testing.T) {
	a := read(t)
	var k struct {
		APIVersion         string         `yaml:"apiVersion"`
		GeneratorOptions   map[string]any `yaml:"generatorOptions"`
		Kind               string         `yaml:"kind"`
		ConfigMapGenerator []struct {
			Name    string         `yaml:"name"`
			Files   []string       `yaml:"files"`
			Options map[string]any `yaml:"options"`
		} `yaml:"configMapGenerator"`
	}
	if err := rules.Read(filepath.Join(a.root, "kustomization.yaml"), &k); err != nil {
		t.Fatal(err)
	}
	for _, g := range k.ConfigMapGenerator {
		size := int64(0)
		for _, f := range g.Files {
			_, path, named := strings.Cut(f, "=")
			if !named {
				path = f
			}
			info, err := os.Stat(filepath.Join(a.root, filepath.FromSlash(path)))
			if err != nil {
				t.Error(err)
				continue
			}
			size += info.Size()
		}
		// What `kubectl apply` keeps in an annotation.
		if size > 256<<10 {
			t.Errorf("%s: %d bytes are more than an annotation holds", g.Name, size)
		}
	}
}
