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

// Short renders the rules over shorter windows, by the name of their file, with
// other limits than the deployment's where some are given.
func Short(root string, factor float64, floor time.Duration, limits map[string]float64) (map[string][]byte, error) {
	sources, err := rules.Load(root)
	if err != nil {
		return nil, err
	}
	maps.Copy(sources.Deployment.Limits, limits)
	for i := range sources.Objectives.Objectives {
		// So many bad events in a window that is so much shorter.
		sources.Objectives.Objectives[i].MinBadEvents *= factor
	}
	files := map[string][]byte{}
	for name, file := range rules.Build(sources) {
		short, err := file.Shorten(factor, floor)
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
