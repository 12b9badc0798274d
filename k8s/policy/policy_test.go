package policy

import (
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/cloud-pixel/playground/k8s/manifests"
)

func code(t *testing.T) *Code {
	t.Helper()
	c, err := ReadCode("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func render(t *testing.T, dir string) *manifests.Set {
	t.Helper()
	text := rendered[dir]
	if text == nil {
		s, err := manifests.Render(dir)
		if err != nil {
			t.Fatal(err)
		}
		text = s.YAML
		rendered[dir] = text
	}
	s, err := manifests.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// rendered has what overlays render to, by their folders: rendering takes most
// of the time.
var rendered = map[string][]byte{}

// Every overlay keeps to every policy.
func TestOverlays(t *testing.T) {
	c := code(t)
	overlays, err := filepath.Glob("../overlays/*")
	if err != nil || len(overlays) < 2 {
		t.Fatal(overlays, err)
	}
	overlays = append(overlays, "../testdata/everything")
	for _, dir := range overlays {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			s := render(t, dir)
			for _, p := range All {
				for _, wrong := range p.Check(s, c) {
					t.Errorf("%s: %s", p.Name, wrong)
				}
			}
		})
	}
}

// A component that is added to what runs must not change the claims: the cluster
// would refuse the StatefulSet as a whole.
func TestComponentsLeaveClaimsAlone(t *testing.T) {
	claim := func(dir string) *corev1.PersistentVolumeClaim {
		c := named(render(t, dir).StatefulSets, "redis").Spec.VolumeClaimTemplates[0]
		c.Spec.Resources = corev1.VolumeResourceRequirements{} // overlays may differ in the size
		return &c
	}
	want := claim("../testdata/everything")
	for _, dir := range []string{"../base", "../overlays/local", "../overlays/production", "../tilt"} {
		if got := claim(dir); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, with all components %+v", dir, got, want)
		}
	}
}

// broken has, for each policy, ways to break it, each with a part of what the
// policy must say.
var broken = []struct {
	policy, says string
	overlay      string // "": production
	change       func(*manifests.Set)
}{
	{"pods keep to the restricted profile", "runAsNonRoot", "", func(s *manifests.Set) { pod(s, "gateway").SecurityContext.RunAsNonRoot = new(false) }},
	{"pods keep to the restricted profile", "allowPrivilegeEscalation", "", func(s *manifests.Set) { container(s, "redis").SecurityContext.AllowPrivilegeEscalation = nil }},
	{"pods keep to the restricted profile", "written", "", func(s *manifests.Set) { container(s, "api").SecurityContext.ReadOnlyRootFilesystem = nil }},
	{"pods have a service account of their own, without a token", "mounts a token", "", func(s *manifests.Set) { pod(s, "frontend").AutomountServiceAccountToken = nil }},
	{"pods have a service account of their own, without a token", "share", "", func(s *manifests.Set) { pod(s, "api").ServiceAccountName = "gateway" }},
	{"pods do not get the addresses of Services as variables", "REDIS_PORT", "", func(s *manifests.Set) { pod(s, "api").EnableServiceLinks = nil }},
	{"images are pinned", "no version", "", func(s *manifests.Set) { container(s, "redis").Image = "redis:latest" }},
	{"images are pinned", "no version", "", func(s *manifests.Set) { container(s, "api").Image = "registry:5000/pixel-api" }},
	{"probes ask the right question at the right port", "/livez", "", func(s *manifests.Set) { container(s, "gateway").LivenessProbe.HTTPGet.Path = "/readyz" }},
	{"probes ask the right question at the right port", "startup", "", func(s *manifests.Set) { container(s, "api").StartupProbe = nil }},
	{"probes ask the right question at the right port", "busy node", "", func(s *manifests.Set) { container(s, "redis").LivenessProbe = container(s, "redis").ReadinessProbe }},
	{"ports are those of the code", "listens on 3002", "", func(s *manifests.Set) { container(s, "gateway").Ports[0].ContainerPort = 8080 }},
	{"ports are those of the code", "must not be", "", func(s *manifests.Set) { settings(s, "api")["METRICS_ADDR"] = "" }},
	{"ports are those of the code", "debug address", "", func(s *manifests.Set) { settings(s, "api")["DEBUG_ADDR"] = ":6060" }},
	{"variables are those that the code reads", "DRAIN_TIME", "", func(s *manifests.Set) { settings(s, "gateway")["DRAIN_TIME"] = "1s" }},
	{"the runtime's limits come from the container's", "leaves nothing", "", func(s *manifests.Set) {
		container(s, "api").Resources.Limits[corev1.ResourceMemory] = container(s, "api").Resources.Requests[corev1.ResourceMemory]
	}},
	{"the runtime's limits come from the container's", "GOMEMLIMIT", "", func(s *manifests.Set) { container(s, "gateway").Env = nil }},
	{"the runtime's limits come from the container's", "no request", "", func(s *manifests.Set) { delete(container(s, "redis").Resources.Limits, corev1.ResourceCPU) }},
	{"a drain has the time that it needs", "is killed after", "", func(s *manifests.Set) { pod(s, "gateway").TerminationGracePeriodSeconds = new(int64(20)) }},
	{"a drain has the time that it needs", "before balancers know", "", func(s *manifests.Set) { container(s, "api").Lifecycle = nil }},
	{"rollouts replace one pod at a time", "one by one", "", func(s *manifests.Set) {
		deployment(s, "gateway").Spec.Strategy.RollingUpdate.MaxUnavailable = new(intstr.FromString("50%"))
	}},
	{"Services lead to pods", "0 sets of pods", "", func(s *manifests.Set) { service(s, "api").Spec.Selector["app"] = "api" }},
	{"Services lead to pods", "which gateway has not", "", func(s *manifests.Set) { service(s, "gateway").Spec.Ports[0].TargetPort = intstr.FromString("ws") }},
	{"Services lead to pods", "no headless Service", "", func(s *manifests.Set) { service(s, "redis").Spec.ClusterIP = "" }},
	{"each set of pods has a disruption budget", "0 budgets", "", func(s *manifests.Set) { s.Budgets = s.Budgets[1:] }},
	{"each set of pods has a disruption budget", "0 sets of pods", "", func(s *manifests.Set) { s.Budgets[0].Spec.Selector.MatchLabels["app"] = "x" }},
	{"objects have the recommended labels", "app=websocket-gateway", "", func(s *manifests.Set) { deployment(s, "gateway").Labels["app"] = "gateway" }},
	{"objects have the recommended labels", "part-of", "", func(s *manifests.Set) { delete(deployment(s, "api").Spec.Template.Labels, "app.kubernetes.io/part-of") }},
	{"just the known flows are allowed", "world → redis:6379 is allowed", "", func(s *manifests.Set) {
		policy(s, "redis").Spec.Ingress[0].From = nil
	}},
	{"just the known flows are allowed", "gateway → redis:6379 is needed", "", func(s *manifests.Set) {
		policy(s, "gateway").Spec.Egress = policy(s, "gateway").Spec.Egress[1:]
	}},
	{"just the known flows are allowed", "frontend → redis:6379 is allowed", "", func(s *manifests.Set) {
		s.Policies = slices.DeleteFunc(s.Policies, func(p *networkingv1.NetworkPolicy) bool {
			return p.Name == "default-deny" || p.Name == "redis" || p.Name == "frontend"
		})
	}},
	{"just the known flows are allowed", "world → gateway:9464 is allowed", "../overlays/local", func(s *manifests.Set) {
		policy(s, "nodeport").Spec.Ingress[0].Ports = nil
	}},
	{"just the known flows are allowed", "load → redis:6379 is allowed", "../testdata/everything", func(s *manifests.Set) {
		policy(s, "load").Spec.Egress[0].To, policy(s, "load").Spec.Egress[0].Ports = nil, nil
		policy(s, "redis").Spec.Ingress[0].From[0].PodSelector.MatchExpressions[0].Values[0] = "load"
	}},
	{"just the known flows are allowed", "monitoring → api:9464 is needed", "../testdata/everything", func(s *manifests.Set) {
		s.Policies = slices.DeleteFunc(s.Policies, func(p *networkingv1.NetworkPolicy) bool { return p.Name == "metrics" })
	}},
	{"just the known flows are allowed", "api → world:443 is allowed", "", func(s *manifests.Set) {
		policy(s, "api").Spec.Egress[1].To[0].PodSelector = nil
		policy(s, "api").Spec.Egress[1].To = nil
		policy(s, "api").Spec.Egress[1].Ports = nil
	}},
	{"the Ingress leads each path to its service, and none to what is internal", "the paths", "", func(s *manifests.Set) {
		paths := s.Ingresses[0].Spec.Rules[0].HTTP.Paths
		paths[0], paths[5] = paths[5], paths[0]
	}},
	{"the Ingress leads each path to its service, and none to what is internal", "no rule", "", func(s *manifests.Set) { s.Ingresses[0].Spec.TLS[0].Hosts[0] = "other.example.org" }},
	{"pods are spread from their own kind", "over zones", "", func(s *manifests.Set) {
		pod(s, "gateway").TopologySpreadConstraints[0].LabelSelector.MatchLabels["app"] = "x"
	}},
	{"pods are spread from their own kind", "over nodes", "", func(s *manifests.Set) {
		pod(s, "api").Affinity.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution[0].PodAffinityTerm.LabelSelector.MatchLabels["app"] = "x"
	}},
	{"autoscalers own the number of replicas", "undo its work", "", func(s *manifests.Set) { deployment(s, "gateway").Spec.Replicas = new(int32(4)) }},
	{"autoscalers own the number of replicas", "has not 2 replicas", "../overlays/local", func(s *manifests.Set) { deployment(s, "frontend").Spec.Replicas = nil }},
	{"autoscalers own the number of replicas", "at once", "", func(s *manifests.Set) { s.Autoscalers[0].Spec.Behavior = nil }},
	{"Redis loses and evicts nothing", "appendfsync", "", func(s *manifests.Set) {
		m := settings(s, "redis")
		m["redis.conf"] = strings.ReplaceAll(m["redis.conf"], "always", "everysec")
	}},
	{"Redis loses and evicts nothing", "does not fit", "", func(s *manifests.Set) {
		container(s, "redis").Resources.Requests[corev1.ResourceMemory] = resource.MustParse("300Mi")
	}},
	{"Redis loses and evicts nothing", "password", "", func(s *manifests.Set) { container(s, "redis").Args = []string{"--requirepass", "x"} }},
	{"Redis loses and evicts nothing", "not on a volume", "", func(s *manifests.Set) { s.StatefulSets[0].Spec.VolumeClaimTemplates = nil }},
	{"no Secret is part of the manifests", "REDIS_PASSWORD", "", func(s *manifests.Set) { settings(s, "api")["REDIS_PASSWORD"] = "x" }},
	{"no Secret is part of the manifests", "is a Secret", "", func(s *manifests.Set) { s.Secrets = append(s.Secrets, &corev1.Secret{}) }},
	{"references lead somewhere", "on no volume", "", func(s *manifests.Set) { settings(s, "gateway")["REDIS_PASSWORD_FILE"] = "/etc/password" }},
	{"references lead somewhere", "nobody makes", "", func(s *manifests.Set) { pod(s, "gateway").Volumes[0].Secret.SecretName = "x" }},
	{"references lead somewhere", "nobody uses the ConfigMap grafana-dashboard-pixel-redis", "../testdata/everything", func(s *manifests.Set) {
		for i := range pod(s, "grafana").Volumes {
			if p := pod(s, "grafana").Volumes[i].Projected; p != nil {
				p.Sources = p.Sources[:len(p.Sources)-1]
			}
		}
	}},
	{"references lead somewhere", "does not exist", "", func(s *manifests.Set) { s.ConfigMaps = nil }},
}

// Each policy notices when it is broken, and says what is wrong.
func TestPoliciesNotice(t *testing.T) {
	c := code(t)
	covered := make(map[string]bool)
	for _, b := range broken {
		if b.overlay == "" {
			b.overlay = "../overlays/production"
		}
		s := render(t, b.overlay)
		b.change(s)
		i := slices.IndexFunc(All, func(p Policy) bool { return p.Name == b.policy })
		if i < 0 {
			t.Fatalf("there is no policy %q", b.policy)
		}
		covered[b.policy] = true
		said := strings.Join(All[i].Check(s, c), "\n")
		if !strings.Contains(said, b.says) {
			t.Errorf("%q does not say %q but:\n%s", b.policy, b.says, said)
		}
	}
	for _, p := range All {
		if !covered[p.Name] {
			t.Errorf("nothing breaks %q", p.Name)
		}
	}
}

func workload(s *manifests.Set, name string) manifests.Workload {
	all := s.Workloads()
	return all[slices.IndexFunc(all, func(w manifests.Workload) bool { return w.Meta.Name == name })]
}

func pod(s *manifests.Set, name string) *corev1.PodSpec { return &workload(s, name).Pod.Spec }

func container(s *manifests.Set, name string) *corev1.Container { return &pod(s, name).Containers[0] }

func settings(s *manifests.Set, name string) map[string]string {
	return s.ConfigMaps[slices.IndexFunc(s.ConfigMaps, func(m *corev1.ConfigMap) bool { return strings.HasPrefix(m.Name, name+"-settings") })].Data
}
