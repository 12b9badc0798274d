package dashboards

import (
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
)

// tagged asks Grafana itself for its annotations with any of some tags. The
// SDK has no query for that.
type tagged struct {
	RefID    string   `json:"refId"`
	Type     string   `json:"type"`
	Tags     []string `json:"tags"`
	MatchAny bool     `json:"matchAny"`
	Limit    int      `json:"limit"`
}

func dashboardTags(tags ...string) cog.Builder[variants.Dataquery] {
	return &tagged{RefID: "Anno", Type: "tags", Tags: tags, MatchAny: true, Limit: 100}
}

// Build implements the SDK's builder.
func (t *tagged) Build() (variants.Dataquery, error) { return t, nil }

// The SDK's interface of queries.
func (t *tagged) ImplementsDataqueryVariant()          {}
func (t *tagged) DataqueryType() string                { return "grafana" }
func (t *tagged) Equals(other variants.Dataquery) bool { return t == other }
func (t *tagged) Validate() error                      { return nil }
