package policy

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	podsecurity "k8s.io/pod-security-admission/api"
	security "k8s.io/pod-security-admission/policy"

	"github.com/cloud-pixel/playground/k8s/manifests"
)

// restricted asks the code of the admission controller itself.
func restricted(s *manifests.Set, _ *Code) []string {
	var all complaints
	evaluator, err := security.NewEvaluator(security.DefaultChecks(), nil)
	if err != nil {
		return []string{err.Error()}
	}
	for _, w := range s.Workloads() {
		level := podsecurity.LevelVersion{Level: podsecurity.LevelRestricted, Version: podsecurity.MajorMinorVersion(1, 34)}
		for _, r := range evaluator.EvaluatePod(level, &w.Pod.ObjectMeta, &w.Pod.Spec) {
			all.unless(r.Allowed, "%s: %s: %s", w.Meta.Name, r.ForbiddenReason, r.ForbiddenDetail)
		}
		for _, c := range containers(w) {
			all.unless(c.SecurityContext != nil && c.SecurityContext.ReadOnlyRootFilesystem != nil && *c.SecurityContext.ReadOnlyRootFilesystem,
				"%s: the file system of %s can be written to", w.Meta.Name, c.Name)
		}
	}
	for _, n := range s.Namespaces {
		all.unless(n.Labels["pod-security.kubernetes.io/enforce"] == "restricted", "the namespace %s does not enforce the profile", n.Name)
	}
	return all
}

func containers(w manifests.Workload) []corev1.Container {
	return slices.Concat(w.Pod.Spec.InitContainers, w.Pod.Spec.Containers)
}

// needsToken are the workloads that talk to the Kubernetes API.
var needsToken = []string{"prometheus"}

func accounts(s *manifests.Set, _ *Code) []string {
	var all complaints
	used := make(map[string]string)
	for _, w := range s.Workloads() {
		name := w.Pod.Spec.ServiceAccountName
		all.unless(name != "" && name != "default", "%s runs as the namespace's default account", w.Meta.Name)
		all.unless(used[name] == "", "%s and %s share the account %s", w.Meta.Name, used[name], name)
		used[name] = w.Meta.Name
		i := slices.IndexFunc(s.Accounts, func(a *corev1.ServiceAccount) bool { return a.Name == name })
		if i < 0 {
			all.unless(false, "%s runs as %q, which does not exist", w.Meta.Name, name)
			continue
		}
		if slices.Contains(needsToken, w.Meta.Name) {
			continue
		}
		account := s.Accounts[i]
		all.unless(account.AutomountServiceAccountToken != nil && !*account.AutomountServiceAccountToken, "the account %s gives its token to pods", name)
		mount := w.Pod.Spec.AutomountServiceAccountToken
		all.unless(mount != nil && !*mount, "%s mounts a token", w.Meta.Name)
	}
	return all
}

func serviceLinks(s *manifests.Set, _ *Code) []string {
	var all complaints
	for _, w := range s.Workloads() {
		all.unless(w.Pod.Spec.EnableServiceLinks != nil && !*w.Pod.Spec.EnableServiceLinks,
			"%s gets variables like REDIS_PORT=tcp://… which are not the ones that services read", w.Meta.Name)
	}
	return all
}

func images(s *manifests.Set, _ *Code) []string {
	var all complaints
	for _, w := range s.Workloads() {
		for _, c := range containers(w) {
			if strings.Contains(c.Image, "@sha256:") {
				continue
			}
			_, tag, _ := strings.Cut(c.Image[strings.LastIndexByte(c.Image, '/')+1:], ":")
			all.unless(tag != "" && tag != "latest", "%s: the image %q has no version", w.Meta.Name, c.Image)
			all.unless(c.ImagePullPolicy == corev1.PullIfNotPresent, "%s: images that were loaded into the node are not used", w.Meta.Name)
		}
	}
	return all
}

func probes(s *manifests.Set, code *Code) []string {
	var all complaints
	for _, w := range s.Workloads() {
		if w.Kind == "Job" {
			continue
		}
		c := &w.Pod.Spec.Containers[0]
		for name, p := range map[string]*corev1.Probe{"startup": c.StartupProbe, "liveness": c.LivenessProbe, "readiness": c.ReadinessProbe} {
			all.unless(p != nil, "%s has no %s probe", w.Meta.Name, name)
		}
		if c.StartupProbe == nil || c.LivenessProbe == nil || c.ReadinessProbe == nil {
			continue
		}
		all.unless(c.LivenessProbe.Exec == nil, "%s: liveness runs a program, which a busy node fails first", w.Meta.Name)
		if code.service(w) == "" {
			continue
		}
		for path, p := range map[string]*corev1.Probe{"/livez": c.LivenessProbe, "/readyz": c.ReadinessProbe} {
			all.unless(p.HTTPGet != nil && p.HTTPGet.Path == path && p.HTTPGet.Port == intstr.FromString("http"), "%s: %s is not what is asked", w.Meta.Name, path)
		}
		all.unless(c.StartupProbe.HTTPGet != nil && c.StartupProbe.HTTPGet.Path == "/livez",
			"%s: it counts as started when Redis is there, and is killed when that takes long", w.Meta.Name)
		patience := c.LivenessProbe.PeriodSeconds * c.LivenessProbe.FailureThreshold
		all.unless(patience >= 30, "%s is killed after %d s without an answer: that is no more than a busy node", w.Meta.Name, patience)
	}
	return all
}

func ports(s *manifests.Set, code *Code) []string {
	var all complaints
	for _, w := range s.Workloads() {
		service := code.service(w)
		if service == "" {
			continue
		}
		c := &w.Pod.Spec.Containers[0]
		want := number(setting(s, code, service, c, "PORT"))
		all.unless(portOf(c, "http") == want, "%s listens on %d, its container says %d", service, want, portOf(c, "http"))
		want = number(setting(s, code, service, c, "METRICS_ADDR"))
		all.unless(want != 0 && portOf(c, "metrics") == want, "%s: /metrics is on %d, the port named metrics is %d; on the service's own port, where the Ingress leads, it must not be", service, want, portOf(c, "metrics"))
		debug := setting(s, code, service, c, "DEBUG_ADDR")
		all.unless(debug == "" || strings.HasPrefix(debug, "127.0.0.1:"), "%s: others reach its debug address %s", service, debug)
	}
	return all
}

// ofRuntime are variables that Go and OpenTelemetry read.
func ofRuntime(name string) bool {
	return name == "GOMAXPROCS" || name == "GOMEMLIMIT" || strings.HasPrefix(name, "OTEL_")
}

func variables(s *manifests.Set, code *Code) []string {
	var all complaints
	for _, w := range s.Workloads() {
		service := code.service(w)
		if service == "" {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(environment(s, &w.Pod.Spec.Containers[0]))) {
			_, known := code.Settings[service][name]
			all.unless(known || ofRuntime(name), "%s does not read %s", service, name)
		}
	}
	return all
}

func runtimeLimits(s *manifests.Set, code *Code) []string {
	var all complaints
	for _, w := range s.Workloads() {
		for _, c := range containers(w) {
			r := c.Resources
			for _, what := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
				asked, limit := r.Requests[what], r.Limits[what]
				all.unless(!asked.IsZero() && !limit.IsZero() && asked.Cmp(limit) <= 0, "%s: %s has no request and limit", w.Meta.Name, what)
			}
			if code.service(w) == "" {
				continue
			}
			asked, limit := r.Requests[corev1.ResourceMemory], r.Limits[corev1.ResourceMemory]
			all.unless(float64(asked.Value()) <= 0.9*float64(limit.Value()), "%s: GOMEMLIMIT (%v) leaves nothing of the limit (%v)", w.Meta.Name, asked.String(), limit.String())
			for name, resource := range map[string]string{"GOMEMLIMIT": "requests.memory", "GOMAXPROCS": "limits.cpu"} {
				i := slices.IndexFunc(c.Env, func(v corev1.EnvVar) bool { return v.Name == name })
				all.unless(i >= 0 && c.Env[i].ValueFrom != nil && c.Env[i].ValueFrom.ResourceFieldRef != nil && c.Env[i].ValueFrom.ResourceFieldRef.Resource == resource,
					"%s: %s does not come from %s", w.Meta.Name, name, resource)
			}
		}
	}
	return all
}

// exitSeconds is what a process needs after its drain: for requests that are
// cut off, the last checkpoint, and leaving the list of gateways.
const exitSeconds = 5

func drains(s *manifests.Set, code *Code) []string {
	var all complaints
	for _, w := range s.Workloads() {
		service := code.service(w)
		if service == "" {
			continue
		}
		c := &w.Pod.Spec.Containers[0]
		sleep := 0.0
		if c.Lifecycle != nil && c.Lifecycle.PreStop != nil && c.Lifecycle.PreStop.Sleep != nil {
			sleep = float64(c.Lifecycle.PreStop.Sleep.Seconds)
		}
		all.unless(sleep >= 1, "%s is told to stop before balancers know", service)
		get := func(name string) float64 { return seconds(setting(s, code, service, c, name)) }
		grace := 30.0
		if g := w.Pod.Spec.TerminationGracePeriodSeconds; g != nil {
			grace = float64(*g)
		}
		need := sleep + get("DRAIN_TIMEOUT") + exitSeconds
		all.unless(need <= grace, "%s needs up to %v s to stop, and is killed after %v s", service, need, grace)
		if service == "gateway" {
			all.unless(get("DRAIN_DELAY")+get("DRAIN_SPREAD") <= get("DRAIN_TIMEOUT")/2, "half of the gateway's time to drain is not left for those who wait for Redis")
		}
	}
	return all
}

func rollouts(s *manifests.Set, code *Code) []string {
	var all complaints
	for _, d := range s.Deployments {
		if _, ours := code.Settings[d.Name]; !ours {
			continue
		}
		r := d.Spec.Strategy.RollingUpdate
		all.unless(r != nil && r.MaxUnavailable != nil && *r.MaxUnavailable == intstr.FromInt32(1) && r.MaxSurge != nil && *r.MaxSurge == intstr.FromInt32(1),
			"%s does not go one by one", d.Name)
		all.unless(d.Spec.MinReadySeconds > 0, "%s goes on before the new pod has shown that it stays", d.Name)
	}
	return all
}
