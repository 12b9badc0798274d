// Package render makes all files that are rendered from the sources of
// observability/.
package render

import (
	"bytes"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/cloud-pixel/playground/observability/internal/dashboards"
	"github.com/cloud-pixel/playground/observability/internal/rules"
	"github.com/cloud-pixel/playground/observability/internal/tree"
)

const comment = "Rendered from observability/alerts by `make observability`; not to be edited."

// All renders everything.
func All(root string) (tree.Files, error) {
	sources, err := rules.Load(root)
	if err != nil {
		return nil, err
	}
	files := tree.Files{}
	built := rules.Build(sources)
	for name, file := range built {
		content, err := rules.Encode(comment, file)
		if err != nil {
			return nil, err
		}
		files["rules/"+name+".yaml"] = content
	}
	tests, err := rules.Tests(root, built)
	if err != nil {
		return nil, err
	}
	files.Add(tests)
	boards, err := dashboards.Render(sources)
	if err != nil {
		return nil, err
	}
	files.Add(boards)
	files["kustomization.yaml"] = kustomization(files)
	pages, err := counts(root, sources, built)
	if err != nil {
		return nil, err
	}
	files.Add(pages)
	return files, nil
}

// Shorter says how rules are to be shortened.
type Shorter struct {
	Factor float64       // all times are divided by it
	Floor  time.Duration // no range becomes shorter than this
	// Longest, unless 0, is the longest window of a burn rate, once shortened:
	// those of days see nothing but the start of a run of minutes.
	Longest time.Duration
	Limits  map[string]float64 // instead of the deployment's
}

// Short renders the rules over shorter windows, by the name of their file.
func Short(root string, o Shorter) (map[string][]byte, error) {
	sources, err := rules.Load(root)
	if err != nil {
		return nil, err
	}
	maps.Copy(sources.Deployment.Limits, o.Limits)
	for i := range sources.Objectives.Objectives {
		objective := &sources.Objectives.Objectives[i]
		// So many bad events in a window that is so much shorter.
		objective.MinBadEvents *= o.Factor
		if o.Longest > 0 {
			objective.Burns = slices.DeleteFunc(slices.Clone(objective.Burns), func(b rules.Burn) bool {
				return float64(b.Long)/o.Factor > float64(o.Longest)
			})
		}
	}
	files := map[string][]byte{}
	for name, file := range rules.Build(sources) {
		short, err := file.Shorten(o.Factor, o.Floor)
		if err != nil {
			return nil, err
		}
		if files[name+".yaml"], err = rules.Encode(comment, short); err != nil {
			return nil, err
		}
	}
	return files, nil
}

const kustomizationHead = `# Rendered by ` + "`make observability`" + `; not to be edited.
#
# ConfigMaps of what is the same in a cluster as for processes, for
# kustomizations that name this folder as a resource: kustomize reads no files
# outside of its root, so they are made here. One for each dashboard, since all
# together would outgrow the annotation that kubectl apply keeps;
# grafana_dashboard is the label that Grafana's sidecar looks for.
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
generatorOptions:
  disableNameSuffixHash: true
configMapGenerator:
`

// kustomization lists the ConfigMaps.
func kustomization(files tree.Files) []byte {
	var b bytes.Buffer
	b.WriteString(kustomizationHead)
	b.WriteString("  - name: prometheus-rules\n    files:\n")
	paths := slices.Sorted(maps.Keys(files))
	for _, p := range paths {
		if path.Dir(p) == "rules" {
			fmt.Fprintf(&b, "      - %s.yml=%s\n", strings.TrimSuffix(path.Base(p), ".yaml"), p)
		}
	}
	b.WriteString("  - name: alertmanager-routes\n    files: [alertmanager.yml=alertmanager/alertmanager.yaml]\n")
	b.WriteString("  - name: collector-settings\n    files: [collector/collector.yaml]\n")
	b.WriteString("  - name: grafana-settings\n    files: [grafana/provisioning/datasources/datasources.yaml, grafana/provisioning/dashboards/dashboards.yaml]\n")
	for _, p := range paths {
		if path.Dir(p) == "dashboards" {
			fmt.Fprintf(&b, "  - name: grafana-dashboard-%s\n    files: [%s]\n    options:\n      labels: {grafana_dashboard: \"1\"}\n",
				strings.TrimSuffix(path.Base(p), ".json"), p)
		}
	}
	return b.Bytes()
}
