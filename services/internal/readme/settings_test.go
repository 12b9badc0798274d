package readme

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cloud-pixel/playground/services/internal/api"
	"github.com/cloud-pixel/playground/services/internal/config"
	"github.com/cloud-pixel/playground/services/internal/frontend"
	"github.com/cloud-pixel/playground/services/internal/gateway"
)

var update = flag.Bool("update", false, "write the README's table of settings anew")

const (
	root  = "../../../"
	begin = "<!-- settings: written by `make docs` -->\n"
	end   = "<!-- end of settings -->\n"
)

// readers are the services and what reads their settings.
var readers = []struct {
	name string
	read func(*config.Reader)
}{
	{"gateway", func(r *config.Reader) { gateway.OptionsFrom(r) }},
	{"api", func(r *config.Reader) { api.OptionsFrom(r) }},
	{"frontend", func(r *config.Reader) { frontend.OptionsFrom(r) }},
}

// settings returns the tables: a variable that several services read in the
// same way stands in one table for these services.
func settings(t *testing.T) string {
	t.Helper()
	type shared struct {
		v  config.Var
		by []string
	}
	var all []shared
	for _, service := range readers {
		r := config.NewReader(func(string) (string, bool) { return "", false })
		service.read(r)
		if err := r.Err(); err != nil {
			t.Fatalf("the defaults of %s: %v", service.name, err)
		}
		for _, v := range r.Vars() {
			i := slices.IndexFunc(all, func(s shared) bool { return s.v == v })
			if i < 0 {
				i, all = len(all), append(all, shared{v: v})
			}
			all[i].by = append(all[i].by, service.name)
		}
	}
	// The widest groups first, then as the services come.
	var groups []string
	tables := make(map[string][]config.Var)
	for _, s := range all {
		by := strings.Join(s.by, ", ")
		if tables[by] == nil {
			groups = append(groups, by)
		}
		tables[by] = append(tables[by], s.v)
	}
	slices.SortStableFunc(groups, func(a, b string) int { return strings.Count(b, ",") - strings.Count(a, ",") })
	var b strings.Builder
	for _, by := range groups {
		title := "Only " + by
		switch n := strings.Count(by, ",") + 1; {
		case n == len(readers):
			title = "Every service"
		case n > 1:
			title = strings.ToUpper(by[:1]) + by[1:]
		}
		b.WriteString("\n**" + title + "**\n\n" + config.Table(tables[by]))
	}
	return b.String() + "\n"
}

func TestReadmeHasTheSettings(t *testing.T) {
	const name = root + "README.md"
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, hasBegin := strings.Cut(string(text), begin)
	stands, after, hasEnd := strings.Cut(rest, end)
	if !hasBegin || !hasEnd {
		t.Fatalf("README.md lacks the lines\n%sand\n%s", begin, end)
	}
	want := settings(t)
	if stands == want {
		return
	}
	if !*update {
		t.Fatalf("README.md tells other settings than the code reads. Run `make docs`. It should be:\n%s", want)
	}
	if err := os.WriteFile(name, []byte(before+begin+want+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}
