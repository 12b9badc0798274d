package rules

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
)

// valid is an objective that nothing is wrong with.
func valid() Objective {
	return Objective{
		Name: "x", Alert: "XBudgetBurn", Dashboard: "d", Objective: 99, What: "w", Why: "y",
		Total: "sum(rate(a[5m]))", Bad: "sum(rate(b[5m]))", MinBadEvents: 5,
		Burns: []Burn{{"critical", hours(1), model.Duration(5 * time.Minute), 14.4, model.Duration(time.Minute)}},
	}
}

func TestMistakesAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Objective)
		want   string
	}{
		"nothing":                       {func(*Objective) {}, ""},
		"a burn that can never fire":    {func(o *Objective) { o.Objective = 90 }, "never fires"},
		"all events good":               {func(o *Objective) { o.Objective = 100 }, "between 0 and 100"},
		"both good and bad":             {func(o *Objective) { o.Good = "c" }, "either good or bad"},
		"a query that does not parse":   {func(o *Objective) { o.Total = "sum(" }, "parse error"},
		"a window that is not recorded": {func(o *Objective) { o.Burns[0].Long = hours(3) }, "cannot be"},
		"a short window that is longer": {func(o *Objective) { o.Burns[0].Short = hours(2) }, "cannot be"},
		"a severity that nobody has":    {func(o *Objective) { o.Burns[0].Severity = "page" }, "cannot be"},
		"no reason":                     {func(o *Objective) { o.Why = "" }, "must be given"},
	} {
		o := valid()
		c.change(&o)
		err := Sources{Objectives: Objectives{Objectives: []Objective{o}}}.validate()
		if (err == nil) != (c.want == "") || (err != nil && !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestShortenKeepsNamesAndDividesTime(t *testing.T) {
	b := Build(Sources{Objectives: Objectives{Period: model.Duration(720 * time.Hour), Objectives: []Objective{valid()}}})
	short, err := b["slo-x"].Shorten(30, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	for i, g := range short.Groups {
		for j, r := range g.Rules {
			was := b["slo-x"].Groups[i].Rules[j]
			if r.Record != was.Record || r.Alert != was.Alert {
				t.Errorf("%s%s became %s%s", was.Record, was.Alert, r.Record, r.Alert)
			}
			for _, window := range []string{"[5m]", "[1h]", "[30d]"} {
				if strings.Contains(r.Expr, window) {
					t.Errorf("%s%s still has %s", r.Record, r.Alert, window)
				}
			}
			if was.For != 0 && r.For != model.Duration(2*time.Second) {
				t.Errorf("%s waits for %s", r.Alert, r.For)
			}
		}
	}
}
