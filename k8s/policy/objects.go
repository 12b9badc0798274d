package policy

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubelabels "k8s.io/apimachinery/pkg/labels"

	"github.com/cloud-pixel/playground/k8s/manifests"
)

// selects tells whether a selector takes pods with these labels. A nil selector
// takes none.
func selects(selector *metav1.LabelSelector, labels map[string]string) bool {
	if selector == nil {
		return false
	}
	s, err := metav1.LabelSelectorAsSelector(selector)
	return err == nil && s.Matches(kubelabels.Set(labels))
}

func services(s *manifests.Set, _ *Code) []string {
	var all complaints
	for _, service := range s.Services {
		if service.Name == nowhere {
			all.unless(len(service.Spec.Selector) == 0, "%s leads somewhere", nowhere)
			continue
		}
		behind := 0
		for _, w := range s.Workloads() {
			if len(service.Spec.Selector) == 0 || !kubelabels.SelectorFromSet(service.Spec.Selector).Matches(kubelabels.Set(w.Pod.Labels)) {
				continue
			}
			behind++
			for _, p := range service.Spec.Ports {
				all.unless(portOf(&w.Pod.Spec.Containers[0], p.TargetPort.StrVal) != 0, "Service %s leads to the port %q, which %s has not", service.Name, p.TargetPort.String(), w.Meta.Name)
			}
		}
		all.unless(behind == 1, "Service %s leads to %d sets of pods", service.Name, behind)
	}
	for _, name := range []string{"gateway", "api", "frontend", "redis", "redis-primary"} {
		all.unless(slices.ContainsFunc(s.Services, func(service *corev1.Service) bool { return service.Name == name }), "there is no Service %s", name)
	}
	for _, set := range s.StatefulSets {
		i := slices.IndexFunc(s.Services, func(service *corev1.Service) bool { return service.Name == set.Spec.ServiceName })
		all.unless(i >= 0 && s.Services[i].Spec.ClusterIP == corev1.ClusterIPNone, "pods of %s have no name: there is no headless Service %s", set.Name, set.Spec.ServiceName)
	}
	return all
}

func budgets(s *manifests.Set, code *Code) []string {
	var all complaints
	for _, b := range s.Budgets {
		n := 0
		for _, w := range s.Workloads() {
			if selects(b.Spec.Selector, w.Pod.Labels) {
				n++
			}
		}
		all.unless(n == 1, "the budget %s is for %d sets of pods", b.Name, n)
	}
	for _, w := range s.Workloads() {
		if code.service(w) == "" && w.Kind != "StatefulSet" {
			continue
		}
		n := 0
		for _, b := range s.Budgets {
			if selects(b.Spec.Selector, w.Pod.Labels) {
				n++
				all.unless(b.Spec.MaxUnavailable != nil && b.Spec.MinAvailable == nil, "the budget %s counts what must be there: with another number of replicas it blocks all or nothing", b.Name)
			}
		}
		all.unless(n == 1, "%s has %d budgets", w.Meta.Name, n)
	}
	return all
}

// known are labels by which users of the first version of the system select.
var known = map[string]string{"gateway": "websocket-gateway", "api": "canvas-api", "frontend": "frontend"}

func labels(s *manifests.Set, _ *Code) []string {
	var all complaints
	check := func(what string, l map[string]string) {
		for _, name := range []string{"name", "component", "part-of", "instance", "managed-by"} {
			all.unless(l["app.kubernetes.io/"+name] != "", "%s lacks the label app.kubernetes.io/%s", what, name)
		}
		all.unless(l["app.kubernetes.io/part-of"] == "pixel-playground", "%s is part of something else", what)
	}
	for _, w := range s.Workloads() {
		check(w.Kind+" "+w.Meta.Name, w.Meta.Labels)
		check("pods of "+w.Meta.Name, w.Pod.Labels)
		if app, ours := known[w.Meta.Name]; ours {
			all.unless(w.Pod.Labels["app"] == app && w.Meta.Labels["app"] == app, "%s lacks the label app=%s", w.Meta.Name, app)
		}
		all.unless(w.Kind == "Job" || selects(w.Selector, w.Pod.Labels), "%s does not select its pods", w.Meta.Name)
	}
	for _, service := range s.Services {
		check("Service "+service.Name, service.Labels)
	}
	return all
}

// nowhere is the Service behind paths that are denied.
const nowhere = "nowhere"

func ingress(s *manifests.Set, _ *Code) []string {
	var all complaints
	type path struct {
		path, service string
		kind          networkingv1.PathType
	}
	want := []path{
		{"/ws", "gateway", networkingv1.PathTypePrefix},
		{"/api", "api", networkingv1.PathTypePrefix},
		{"/metrics", nowhere, networkingv1.PathTypePrefix},
		{"/livez", nowhere, networkingv1.PathTypePrefix},
		{"/readyz", nowhere, networkingv1.PathTypePrefix},
		{"/", "frontend", networkingv1.PathTypePrefix},
	}
	all.unless(len(s.Ingresses) > 0, "there is no Ingress")
	for _, in := range s.Ingresses {
		for _, rule := range in.Spec.Rules {
			var got []path
			for _, p := range rule.HTTP.Paths {
				got = append(got, path{p.Path, p.Backend.Service.Name, *p.PathType})
				i := slices.IndexFunc(s.Services, func(service *corev1.Service) bool { return service.Name == p.Backend.Service.Name })
				all.unless(i >= 0 && slices.ContainsFunc(s.Services[i].Spec.Ports, func(port corev1.ServicePort) bool {
					return port.Name == p.Backend.Service.Port.Name || p.Backend.Service.Port.Number == port.Port
				}), "%s leads to a port of %s that does not exist", p.Path, p.Backend.Service.Name)
			}
			all.unless(slices.Equal(got, want), "the Ingress has the paths %v, not %v", got, want)
		}
		for _, tls := range in.Spec.TLS {
			for _, host := range tls.Hosts {
				all.unless(slices.ContainsFunc(in.Spec.Rules, func(r networkingv1.IngressRule) bool { return r.Host == host }), "there is a certificate for %s, but no rule", host)
			}
		}
	}
	return all
}

// spreading: what asks for distance selects the pods that ask, or it does
// nothing, and nobody notices.
func spreading(s *manifests.Set, _ *Code) []string {
	var all complaints
	for _, w := range s.Workloads() {
		for _, c := range w.Pod.Spec.TopologySpreadConstraints {
			all.unless(selects(c.LabelSelector, w.Pod.Labels), "%s is spread over %s from other pods than its own", w.Meta.Name, where(c.TopologyKey))
		}
		affinity := w.Pod.Spec.Affinity
		if affinity == nil || affinity.PodAntiAffinity == nil {
			continue
		}
		terms := slices.Clone(affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution)
		for _, p := range affinity.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution {
			terms = append(terms, p.PodAffinityTerm)
		}
		for _, term := range terms {
			all.unless(selects(term.LabelSelector, w.Pod.Labels), "%s is spread over %s from other pods than its own", w.Meta.Name, where(term.TopologyKey))
		}
	}
	return all
}

// where names a topology key.
func where(key string) string {
	switch key {
	case corev1.LabelTopologyZone:
		return "zones"
	case corev1.LabelHostname:
		return "nodes"
	default:
		return key
	}
}

func autoscalers(s *manifests.Set, code *Code) []string {
	var all complaints
	scaled := make(map[string]int32)
	for _, a := range s.Autoscalers {
		all.unless(a.Spec.MinReplicas != nil, "%s may go down to one", a.Name)
		if a.Spec.MinReplicas != nil {
			scaled[a.Spec.ScaleTargetRef.Name] = *a.Spec.MinReplicas
		}
		all.unless(a.Spec.Behavior != nil && a.Spec.Behavior.ScaleDown != nil && a.Spec.Behavior.ScaleDown.StabilizationWindowSeconds != nil && *a.Spec.Behavior.ScaleDown.StabilizationWindowSeconds >= 600,
			"%s takes pods away at once, and their clients with them", a.Name)
	}
	least := map[string]int32{"gateway": 4, "api": 3, "frontend": 2, "redis": 1}
	for _, w := range s.Workloads() {
		minimum, ours := least[w.Meta.Name]
		if !ours {
			continue
		}
		if n, is := scaled[w.Meta.Name]; is {
			all.unless(w.Replicas == nil, "%s says %v replicas, and an autoscaler something else: each deployment would undo its work", w.Meta.Name, w.Replicas)
			all.unless(n >= minimum, "%s may have %d replicas only", w.Meta.Name, n)
		} else {
			all.unless(w.Replicas != nil && *w.Replicas == minimum, "%s has not %d replicas", w.Meta.Name, minimum)
		}
		delete(scaled, w.Meta.Name)
	}
	for name := range scaled {
		all.unless(false, "an autoscaler scales %s, which does not exist", name)
	}
	return all
}

func redis(s *manifests.Set, _ *Code) []string {
	var all complaints
	for _, set := range s.StatefulSets {
		if set.Name != "redis" {
			continue
		}
		c := &set.Spec.Template.Spec.Containers[0]
		conf := map[string]string{}
		for _, m := range s.ConfigMaps {
			if !strings.HasPrefix(m.Name, "redis-settings") {
				continue
			}
			for line := range strings.Lines(m.Data["redis.conf"]) {
				if key, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && !strings.HasPrefix(key, "#") {
					conf[key] = value
				}
			}
		}
		for key, want := range map[string]string{
			"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction",
			"dir": "/data", "aclfile": "/etc/redis-auth/users.acl", "enable-debug-command": "no",
		} {
			all.unless(conf[key] == want, "redis.conf says %s %q, not %q", key, conf[key], want)
		}
		var megabytes int64
		_, err := fmt.Sscanf(conf["maxmemory"], "%dmb", &megabytes)
		asked := c.Resources.Requests[corev1.ResourceMemory]
		all.unless(err == nil && megabytes<<20 <= asked.Value()*9/10, "maxmemory is %q, which does not fit into %v", conf["maxmemory"], asked.String())
		all.unless(slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.MountPath == "/data" && m.Name == "data" }) && len(set.Spec.VolumeClaimTemplates) == 1 && set.Spec.VolumeClaimTemplates[0].Name == "data",
			"/data is not on a volume that stays")
		keep := set.Spec.PersistentVolumeClaimRetentionPolicy
		all.unless(keep == nil || keep.WhenDeleted != "Delete" && keep.WhenScaled != "Delete", "the canvas goes with the StatefulSet")
		all.unless(!strings.Contains(strings.Join(append(c.Command, c.Args...), " "), "pass"), "a password stands in the arguments, which everybody on the node can read")
		return all
	}
	return []string{"there is no Redis"}
}

func secrets(s *manifests.Set, _ *Code) []string {
	var all complaints
	for _, secret := range s.Secrets {
		all.unless(false, "%s is a Secret", secret.Name)
	}
	for _, m := range s.ConfigMaps {
		for name, value := range m.Data {
			all.unless(strings.HasSuffix(name, "_FILE") || !strings.Contains(name, "PASSWORD") && !strings.Contains(name, "TOKEN"), "the ConfigMap %s has %s=%s", m.Name, name, value)
		}
	}
	return all
}

// outside are Secrets that are made before the deployment (scripts/cluster).
var outside = []string{"redis-auth", "api-reset"}

func references(s *manifests.Set, _ *Code) []string {
	var all complaints
	used := make(map[string]bool)
	configMap := func(of, name string, optional *bool) {
		used[name] = true
		all.unless(optional != nil && *optional || slices.ContainsFunc(s.ConfigMaps, func(m *corev1.ConfigMap) bool { return m.Name == name }), "%s wants the ConfigMap %s, which does not exist", of, name)
	}
	for _, w := range s.Workloads() {
		var volumes, mounted []string
		for _, v := range w.Pod.Spec.Volumes {
			volumes = append(volumes, v.Name)
			if v.ConfigMap != nil {
				configMap(w.Meta.Name, v.ConfigMap.Name, v.ConfigMap.Optional)
			}
			if v.Secret != nil {
				all.unless(slices.Contains(outside, v.Secret.SecretName), "%s wants the Secret %s, which nobody makes", w.Meta.Name, v.Secret.SecretName)
			}
			if v.Projected != nil {
				for _, source := range v.Projected.Sources {
					if source.ConfigMap != nil {
						configMap(w.Meta.Name, source.ConfigMap.Name, source.ConfigMap.Optional)
					}
				}
			}
		}
		for _, set := range s.StatefulSets {
			for _, claim := range set.Spec.VolumeClaimTemplates {
				if set.Name == w.Meta.Name {
					volumes = append(volumes, claim.Name)
				}
			}
		}
		for _, c := range containers(w) {
			for _, m := range c.VolumeMounts {
				mounted = append(mounted, m.Name)
				all.unless(slices.Contains(volumes, m.Name), "%s mounts %s, which it has not", w.Meta.Name, m.Name)
			}
			for _, from := range c.EnvFrom {
				if from.ConfigMapRef != nil {
					configMap(w.Meta.Name, from.ConfigMapRef.Name, from.ConfigMapRef.Optional)
				}
			}
			for _, v := range c.Env {
				if v.ValueFrom != nil && v.ValueFrom.SecretKeyRef != nil {
					all.unless(slices.Contains(outside, v.ValueFrom.SecretKeyRef.Name), "%s wants the Secret %s, which nobody makes", w.Meta.Name, v.ValueFrom.SecretKeyRef.Name)
				}
			}
			// What the settings name as a file must be mounted.
			for name, value := range environment(s, &c) {
				all.unless(!strings.HasSuffix(name, "_FILE") || slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return strings.HasPrefix(value, m.MountPath+"/") }),
					"%s: %s=%s is on no volume", w.Meta.Name, name, value)
			}
		}
		for _, v := range volumes {
			all.unless(slices.Contains(mounted, v), "%s has a volume %s that nothing mounts", w.Meta.Name, v)
		}
	}
	for _, m := range s.ConfigMaps {
		all.unless(used[m.Name], "nobody uses the ConfigMap %s", m.Name)
	}
	return all
}
