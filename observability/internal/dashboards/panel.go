package dashboards

import (
	"strconv"

	"github.com/grafana/grafana-foundation-sdk/go/bargauge"
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/heatmap"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

// kind is how a panel shows its queries.
type kind int

const (
	lines  kind = iota // over time
	areas              // over time, stacked
	number             // the last value
	bars               // the last values beside each other
	heat               // buckets of a classic histogram over time
)

// query is one of a panel.
type query struct {
	expr, legend string
	exemplars    bool // show the traces of single observations
}

// step is a threshold: from this value on, this colour.
type step struct {
	from  float64
	color string
}

// bound makes the thresholds of a value that should stay below a limit.
func bound(limit float64) []step { return []step{{limit, "red"}} }

// panel is one panel.
type panel struct {
	kind    kind
	title   string
	about   string // what it shows and what is good
	unit    string // of Grafana's list (package units)
	width   uint32 // of 24
	height  uint32 // 8 by default, 4 for numbers
	queries []query
	steps   []step // thresholds above the base colour
	base    string // colour below them; green by default
	max     float64
	floor   float64 // least upper end of the axis
	from    float64 // greatest lower end of the axis; 0: it begins at 0
	links   []link
	// drill names what fills the panel in a healthy system, where nothing does.
	drill string
}

type link struct{ title, url string }

func (p panel) thresholds() *dashboard.ThresholdsConfigBuilder {
	base := p.base
	if base == "" {
		base = "green"
	}
	steps := []dashboard.Threshold{{Color: base}}
	for _, s := range p.steps {
		steps = append(steps, dashboard.Threshold{Value: cog.ToPtr(s.from), Color: s.color})
	}
	return dashboard.NewThresholdsConfigBuilder().Mode(dashboard.ThresholdsModeAbsolute).Steps(steps)
}

func (p panel) targets() []cog.Builder[variants.Dataquery] {
	var all []cog.Builder[variants.Dataquery]
	for i, q := range p.queries {
		t := prometheus.NewDataqueryBuilder().RefId(string(rune('A' + i))).Datasource(source).
			Expr(q.expr).LegendFormat(q.legend)
		switch p.kind {
		case number, bars:
			t = t.Instant()
		case heat:
			t = t.Range().Format(prometheus.PromQueryFormatHeatmap).Exemplar(q.exemplars)
		default:
			t = t.Range().Exemplar(q.exemplars)
		}
		all = append(all, t)
	}
	return all
}

func (p panel) dataLinks() []cog.Builder[dashboard.DashboardLink] {
	var all []cog.Builder[dashboard.DashboardLink]
	for _, l := range p.links {
		all = append(all, dashboard.NewDashboardLinkBuilder(l.title).Type(dashboard.DashboardLinkTypeLink).Url(l.url).TargetBlank(true))
	}
	return all
}

// builder makes the SDK's panel.
func (p panel) builder() cog.Builder[dashboard.Panel] {
	height := p.height
	if height == 0 {
		height = map[kind]uint32{number: 4}[p.kind]
	}
	if height == 0 {
		height = 8
	}
	last := common.NewReduceDataOptionsBuilder().Calcs([]string{"lastNotNull"})
	switch p.kind {
	case number:
		return stat.NewPanelBuilder().Title(p.title).Description(p.about).Unit(p.unit).Span(p.width).Height(height).
			Datasource(source).Targets(p.targets()).Thresholds(p.thresholds()).Links(p.dataLinks()).
			ReduceOptions(last).GraphMode(common.BigValueGraphModeNone).ColorMode(common.BigValueColorModeValue).NoValue("–")
	case bars:
		b := bargauge.NewPanelBuilder().Title(p.title).Description(p.about).Unit(p.unit).Span(p.width).Height(height).
			Datasource(source).Targets(p.targets()).Thresholds(p.thresholds()).Links(p.dataLinks()).
			ReduceOptions(last).Orientation(common.VizOrientationHorizontal).DisplayMode(common.BarGaugeDisplayModeBasic).Min(0).
			NamePlacement(common.BarGaugeNamePlacementTop) // names beside bars are cut
		if p.max != 0 {
			b = b.Max(p.max)
		}
		return b
	case heat:
		return heatmap.NewPanelBuilder().Title(p.title).Description(p.about).Unit(p.unit).Span(p.width).Height(height).
			Datasource(source).Targets(p.targets()).Thresholds(p.thresholds()).Links(p.dataLinks()).
			YAxis(heatmap.NewYAxisConfigBuilder().Unit(p.unit)).
			Color(heatmap.NewHeatmapColorOptionsBuilder().Mode(heatmap.HeatmapColorModeScheme).Scheme("Turbo").Steps(64)).
			CellGap(1).ExemplarsColor("rgba(255,255,255,0.9)")
	default:
		b := timeseries.NewPanelBuilder().Title(p.title).Description(p.about).Unit(p.unit).Span(p.width).Height(height).
			Datasource(source).Targets(p.targets()).Thresholds(p.thresholds()).Links(p.dataLinks()).
			LineWidth(1).FillOpacity(8).ShowPoints(common.VisibilityModeNever).
			Legend(common.NewVizLegendOptionsBuilder().ShowLegend(true).DisplayMode(common.LegendDisplayModeList).Placement(common.LegendPlacementBottom)).
			Tooltip(common.NewVizTooltipOptionsBuilder().Mode(common.TooltipDisplayModeMulti).Sort(common.SortOrderDescending))
		if len(p.steps) > 0 {
			b = b.ThresholdsStyle(common.NewGraphThresholdsStyleConfigBuilder().Mode(common.GraphThresholdsStyleModeDashed))
		}
		if p.max != 0 {
			b = b.Max(p.max)
		}
		if p.from != 0 {
			b = b.AxisSoftMin(p.from)
		} else {
			b = b.Min(0)
		}
		if floor := p.axis(); floor != 0 {
			b = b.AxisSoftMax(floor)
		}
		if p.kind == areas {
			b = b.FillOpacity(30).Stacking(common.NewStackingConfigBuilder().Mode(common.StackingModeNormal))
		}
		return b
	}
}

// axis is the least upper end of the axis. Where all is 0, Grafana would draw one
// to 100 operations a second or 10,000 %.
func (p panel) axis() float64 {
	switch {
	case p.floor != 0 || p.max != 0:
		return p.floor
	case p.unit == "ops", p.unit == "reqps":
		return 1
	case p.unit == "percentunit":
		return 0.1
	}
	return 0
}

// quantiles asks for some quantiles of a classic histogram.
func quantiles(histogram, matchers string, exemplars bool, of ...float64) []query {
	var all []query
	for _, q := range of {
		all = append(all, query{
			expr:   "histogram_quantile(" + strconv.FormatFloat(q, 'f', -1, 64) + ", sum by (le) (rate(" + histogram + "_bucket{" + matchers + "}[$__rate_interval])))",
			legend: "p" + strconv.FormatFloat(q*100, 'f', -1, 64), exemplars: exemplars,
		})
		exemplars = false // once is enough
	}
	return all
}
