// Package policy says what the rendered manifests must be like, whatever
// overlay they come from. Each policy is a function of the objects (and of what
// the code of the services says about itself) that returns what is wrong. The
// tests apply all of them to every overlay, and show of each that it notices.
package policy

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/cloud-pixel/playground/k8s/manifests"
)

// Policy is one rule.
type Policy struct {
	// Name says what must hold.
	Name  string
	Check func(*manifests.Set, *Code) []string
}

// All are the policies.
var All = []Policy{
	{"pods keep to the restricted profile", restricted},
	{"pods have a service account of their own, without a token", accounts},
	{"pods do not get the addresses of Services as variables", serviceLinks},
	{"images are pinned", images},
	{"probes ask the right question at the right port", probes},
	{"ports are those of the code", ports},
	{"variables are those that the code reads", variables},
	{"the runtime's limits come from the container's", runtimeLimits},
	{"a drain has the time that it needs", drains},
	{"rollouts replace one pod at a time", rollouts},
	{"Services lead to pods", services},
	{"each set of pods has a disruption budget", budgets},
	{"objects have the recommended labels", labels},
	{"just the known flows are allowed", flows},
	{"the Ingress leads each path to its service, and none to what is internal", ingress},
	{"pods are spread from their own kind", spreading},
	{"autoscalers own the number of replicas", autoscalers},
	{"Redis loses and evicts nothing", redis},
	{"no Secret is part of the manifests", secrets},
	{"references lead somewhere", references},
}

// Code is what the services say about themselves.
type Code struct {
	// Settings are the defaults of the variables that a service reads, by
	// service and name.
	Settings map[string]map[string]string
}

var (
	heading = regexp.MustCompile(`^\*\*(.+)\*\*$`)
	row     = regexp.MustCompile("^\\| `([A-Z0-9_]+)` \\| [^|]* \\| (?:`([^`]*)`)? *\\|")
)

// ReadCode reads the table of settings in the project's README, which a test
// there holds to the code.
func ReadCode(readme string) (*Code, error) {
	text, err := os.ReadFile(readme)
	if err != nil {
		return nil, err
	}
	all := []string{"gateway", "api", "frontend"}
	c := &Code{Settings: make(map[string]map[string]string)}
	for _, service := range all {
		c.Settings[service] = make(map[string]string)
	}
	var of []string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if m := heading.FindStringSubmatch(line); m != nil {
			of = nil
			for _, service := range all {
				if m[1] == "Every service" || strings.Contains(strings.ToLower(m[1]), service) {
					of = append(of, service)
				}
			}
		}
		if m := row.FindStringSubmatch(line); m != nil {
			for _, service := range of {
				c.Settings[service][m[1]] = m[2]
			}
		}
	}
	for _, service := range all {
		if c.Settings[service]["PORT"] == "" {
			return nil, fmt.Errorf("%s does not tell the port of %s: has its table of settings another form now?", readme, service)
		}
	}
	return c, nil
}

// service returns which of the project's services a workload is, or "".
func (c *Code) service(w manifests.Workload) string {
	if _, ours := c.Settings[w.Meta.Name]; ours {
		return w.Meta.Name
	}
	return ""
}

// environment returns the variables of a container that are given by value,
// here or in ConfigMaps.
func environment(s *manifests.Set, c *corev1.Container) map[string]string {
	all := make(map[string]string)
	for _, from := range c.EnvFrom {
		if from.ConfigMapRef == nil {
			continue
		}
		for _, m := range s.ConfigMaps {
			if m.Name == from.ConfigMapRef.Name {
				for name, value := range m.Data {
					all[name] = value
				}
			}
		}
	}
	for _, v := range c.Env {
		all[v.Name] = v.Value
	}
	return all
}

// setting returns what a service gets for a variable, its default included.
func setting(s *manifests.Set, code *Code, service string, c *corev1.Container, name string) string {
	if value := environment(s, c)[name]; value != "" {
		return value
	}
	return code.Settings[service][name]
}

func seconds(text string) float64 {
	d, err := time.ParseDuration(text)
	if err != nil {
		return -1
	}
	return d.Seconds()
}

// portOf returns the number of a named port of a container, 0 when there is
// none.
func portOf(c *corev1.Container, name string) int32 {
	i := slices.IndexFunc(c.Ports, func(p corev1.ContainerPort) bool { return p.Name == name })
	if i < 0 {
		return 0
	}
	return c.Ports[i].ContainerPort
}

func number(text string) int32 {
	_, port, found := strings.Cut(text, ":")
	if !found {
		port = text
	}
	n, _ := strconv.ParseInt(port, 10, 32) // 0 is no port
	return int32(n)
}

// complaints collects what is wrong.
type complaints []string

func (c *complaints) unless(holds bool, format string, args ...any) {
	if !holds {
		*c = append(*c, fmt.Sprintf(format, args...))
	}
}
