package dashboards

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"

	"github.com/cloud-pixel/playground/observability/internal/rules"
	"github.com/cloud-pixel/playground/observability/internal/tree"
)

// source is the data source of all panels: a variable, so that a dashboard can
// be looked at with another Prometheus.
var source = common.DataSourceRef{Type: cog.ToPtr("prometheus"), Uid: cog.ToPtr("${datasource}")}

const runbooks = "https://github.com/cloud-pixel/playground/blob/main/runbooks/"

// board is one dashboard.
type board struct {
	uid, title, about string
	vars              []variable
	rows              []row
}

// variable is one that its user chooses the values of.
type variable struct {
	name, label, values, about string
	drill                      string // what fills it, as with a panel
}

type row struct {
	title  string
	panels []panel
}

func boards(s rules.Sources) []board {
	return []board{overview(s), gateway(s), api(s), redis(s), delivery(s), load(s), drills()}
}

// Render renders all dashboards.
func Render(s rules.Sources) (tree.Files, error) {
	files := tree.Files{}
	for _, b := range boards(s) {
		made, err := b.build()
		if err != nil {
			return nil, fmt.Errorf("dashboards: %s: %w", b.uid, err)
		}
		var content bytes.Buffer
		e := json.NewEncoder(&content)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		if err := e.Encode(made); err != nil {
			return nil, err
		}
		files["dashboards/"+b.uid+".json"] = content.Bytes()
	}
	return files, nil
}

// build makes the classic model, which every Grafana since 9 reads from files;
// its successor is for Kubernetes-style APIs of 12 and later.
//
//nolint:staticcheck // SA1019: deprecated in favour of that one, see above
func (b board) build() (dashboard.Dashboard, error) {
	d := dashboard.NewDashboardBuilder(b.title).Uid(b.uid).Description(b.about).Tags([]string{"pixel"}).
		Time("now-15m", "now").Refresh("10s").Timezone("browser").Readonly().Tooltip(dashboard.DashboardCursorSyncCrosshair).
		Link(dashboard.NewDashboardLinkBuilder("Dashboards").Type(dashboard.DashboardLinkTypeDashboards).Tags([]string{"pixel"}).KeepTime(true).IncludeVars(true)).
		Link(dashboard.NewDashboardLinkBuilder("Runbooks").Type(dashboard.DashboardLinkTypeLink).Url(runbooks + "README.md").TargetBlank(true)).
		WithVariable(dashboard.NewDatasourceVariableBuilder("datasource").Label("Prometheus").Type("prometheus"))
	for _, v := range b.vars {
		d = d.WithVariable(dashboard.NewQueryVariableBuilder(v.name).Label(v.label).Description(v.about).Datasource(source).
			Query(dashboard.StringOrMap{String: cog.ToPtr(v.values)}).Refresh(dashboard.VariableRefreshOnTimeRangeChanged).
			Sort(dashboard.VariableSortAlphabeticalAsc).Multi(true).IncludeAll(true).AllValue(".*").
			Current(dashboard.VariableOption{Selected: cog.ToPtr(true), Text: dashboard.StringOrArrayOfString{String: cog.ToPtr("All")}, Value: dashboard.StringOrArrayOfString{String: cog.ToPtr("$__all")}}))
	}
	for _, a := range annotations() {
		d = d.Annotation(a)
	}
	for _, r := range b.rows {
		d = d.WithRow(dashboard.NewRowBuilder(r.title))
		for _, p := range r.panels {
			d = d.WithPanel(p.builder())
		}
	}
	return d.Build()
}

// annotations mark what happened, on every dashboard: alerts that fire,
// processes that start, and what drills and load tests post to Grafana with
// these tags (kills, rollouts).
func annotations() []cog.Builder[dashboard.AnnotationQuery] {
	marks := func(name, color, expr, title string) cog.Builder[dashboard.AnnotationQuery] {
		return dashboard.NewAnnotationQueryBuilder().Name(name).Datasource(source).Enable(true).IconColor(color).
			Expr(expr).TitleFormat(title).Step("10s")
	}
	return []cog.Builder[dashboard.AnnotationQuery]{
		marks("Alerts", "red", alerting, "{{alertname}} {{slo}} {{pod}}"),
		marks("Starts", "blue", starting, "{{pod}} started"),
		dashboard.NewAnnotationQueryBuilder().Name("Drills and chaos").Enable(true).IconColor("purple").
			Datasource(common.DataSourceRef{Type: cog.ToPtr("grafana"), Uid: cog.ToPtr("-- Grafana --")}).
			Target(dashboardTags("drill", "chaos", "rollout")),
	}
}

const (
	alerting = `ALERTS{alertstate="firing",severity=~"critical|warning"}`
	starting = `changes(process_start_time_seconds{job=~"gateway|api|frontend"}[30s]) > 0`
)

// Queries returns each query of each panel, annotation and variable, and where
// it stands.
func Queries(s rules.Sources) []Query {
	var all []Query
	for _, b := range boards(s) {
		for _, r := range b.rows {
			for _, p := range r.panels {
				for _, q := range p.queries {
					all = append(all, Query{b.uid, p.title, q.expr, p.drill})
				}
			}
		}
		for _, v := range b.vars {
			all = append(all, Query{b.uid, "variable " + v.name, v.values, v.drill})
		}
	}
	return append(all, Query{"all", "annotation Alerts", alerting, "ReplicasMissing"}, Query{"all", "annotation Starts", starting, "ProcessRestarting"})
}

// Query is a query of a dashboard. Drill names what fills it where nothing does
// in a healthy system.
type Query struct{ Dashboard, Panel, Expr, Drill string }

// Counts returns how many dashboards, panels and queries of panels there are.
func Counts(s rules.Sources) (dashboards, panels, queries int) {
	for _, b := range boards(s) {
		dashboards++
		for _, r := range b.rows {
			panels += len(r.panels)
			for _, p := range r.panels {
				queries += len(p.queries)
			}
		}
	}
	return dashboards, panels, queries
}
