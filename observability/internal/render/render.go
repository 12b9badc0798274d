// Package render makes all files that are rendered from the sources of
// observability/.
package render

import (
	"bytes"
	"fmt"
	"maps"
	"path"
	"path/filepath"
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
	if files["prometheus/kubernetes.yaml"], err = kubernetes(root); err != nil {
		return nil, err
	}
	files["kustomization.yaml"] = kustomization(files)
	return files, nil
}

// Short renders the rules over shorter windows, by the name of their file.
func Short(root string, factor float64, floor time.Duration) (map[string][]byte, error) {
	sources, err := rules.Load(root)
	if err != nil {
		return nil, err
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

// kubernetes renders Prometheus' configuration for Kubernetes: that for
// processes, with other ways to find targets and Alertmanagers.
func kubernetes(root string) ([]byte, error) {
	config := map[string]any{}
	if err := rules.Read(filepath.Join(root, "prometheus", "prometheus.yaml"), &config); err != nil {
		return nil, err
	}
	var scrape struct {
		Alertmanagers []any `yaml:"alertmanagers"`
		ScrapeConfigs []any `yaml:"scrape_configs"`
	}
	if err := rules.Read(filepath.Join(root, "prometheus", "kubernetes-scrape.yaml"), &scrape); err != nil {
		return nil, err
	}
	alerting, ok := config["alerting"].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("render: prometheus.yaml has no alerting")
	}
	alerting["alertmanagers"] = scrape.Alertmanagers
	config["scrape_configs"] = scrape.ScrapeConfigs
	config["rule_files"] = []string{"rules/*.yaml"}
	return rules.Encode("Rendered from prometheus.yaml and kubernetes-scrape.yaml by `make observability`; not to be edited.", config)
}

const kustomizationHead = `# Rendered by ` + "`make observability`" + `; not to be edited.
#
# The ConfigMaps of the stack, for kustomizations that name this folder as a
# resource: kustomize reads no files outside of its root, so they are made here.
# One for each dashboard, since all together would outgrow a ConfigMap and the
# annotation that kubectl apply keeps; grafana_dashboard is the label that
# Grafana's sidecar looks for. pixel-prometheus-rules belongs into rules/ beside
# Prometheus' configuration.
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
configMapGenerator:
`

// kustomization lists the ConfigMaps.
func kustomization(files tree.Files) []byte {
	var b bytes.Buffer
	b.WriteString(kustomizationHead)
	generator := func(name, label string, paths ...string) {
		fmt.Fprintf(&b, "  - name: %s\n    files:\n", name)
		for _, p := range paths {
			fmt.Fprintf(&b, "      - %s\n", p)
		}
		if label != "" {
			fmt.Fprintf(&b, "    options:\n      labels: {%s: \"1\"}\n      disableNameSuffixHash: true\n", label)
		}
	}
	generator("pixel-prometheus", "", "prometheus.yaml=prometheus/kubernetes.yaml")
	var ruleFiles, boards []string
	for _, p := range slices.Sorted(maps.Keys(files)) {
		switch path.Dir(p) {
		case "rules":
			ruleFiles = append(ruleFiles, p)
		case "dashboards":
			boards = append(boards, p)
		}
	}
	generator("pixel-prometheus-rules", "", ruleFiles...)
	generator("pixel-alertmanager", "", "alertmanager/alertmanager.yaml")
	generator("pixel-grafana-datasources", "", "grafana/provisioning/datasources/datasources.yaml")
	generator("pixel-grafana-providers", "", "grafana/provisioning/dashboards/dashboards.yaml")
	for _, p := range boards {
		uid := strings.TrimSuffix(path.Base(p), ".json")
		generator("dashboard-"+uid, "grafana_dashboard", p)
	}
	return b.Bytes()
}
