package policy

import (
	"fmt"
	"net/netip"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/cloud-pixel/playground/k8s/manifests"
)

// peer is one end of a flow: a pod here, a pod elsewhere, or an address.
type peer struct {
	name   string
	labels map[string]string // of the pod; nil: no pod
	// namespace has the labels of the pod's namespace; nil: ours.
	namespace map[string]string
	address   netip.Addr
	ports     []corev1.ContainerPort
}

// strangers are those outside of the namespace who matter: whoever must be let
// in, and some who must not.
func strangers() []peer {
	named := func(namespace string, more ...string) map[string]string {
		l := map[string]string{"kubernetes.io/metadata.name": namespace}
		for i := 0; i+1 < len(more); i += 2 {
			l[more[i]] = more[i+1]
		}
		return l
	}
	pod := func(name, namespace string, labels map[string]string, more ...string) peer {
		return peer{name: name, labels: labels, namespace: named(namespace, more...), address: netip.MustParseAddr("10.1.2.3")}
	}
	dns := pod("DNS", "kube-system", map[string]string{"k8s-app": "kube-dns"})
	dns.ports = []corev1.ContainerPort{{Name: "dns", ContainerPort: 53, Protocol: corev1.ProtocolUDP}, {Name: "dns-tcp", ContainerPort: 53, Protocol: corev1.ProtocolTCP}}
	system := pod("kube-system", "kube-system", map[string]string{"k8s-app": "other"})
	system.ports = []corev1.ContainerPort{{Name: "http", ContainerPort: 53, Protocol: corev1.ProtocolTCP}, {Name: "https", ContainerPort: 443, Protocol: corev1.ProtocolTCP}}
	world := peer{name: "world", address: netip.MustParseAddr("203.0.113.7")}
	world.ports = []corev1.ContainerPort{{Name: "https", ContainerPort: 443, Protocol: corev1.ProtocolTCP}, {Name: "dns", ContainerPort: 53, Protocol: corev1.ProtocolUDP}}
	return []peer{
		dns, system, world,
		pod("ingress", "ingress", map[string]string{"app": "controller"}, "pixel-playground/ingress", "allowed"),
		pod("monitoring", "monitoring", map[string]string{"app": "prometheus"}, "pixel-playground/metrics", "allowed"),
		pod("other", "other", map[string]string{"app": "websocket-gateway"}),
		{name: "unknown", labels: map[string]string{"app": "unknown"}, address: netip.MustParseAddr("10.1.2.4")},
	}
}

// allowed are the flows that there must be, "from → to:port". Others must not.
// Those of a component are there when one of its workloads is.
func allowed(s *manifests.Set) []string {
	flows := []string{
		"gateway → redis:6379", "api → redis:6379",
		"gateway → DNS:53/UDP", "gateway → DNS:53/TCP", "api → DNS:53/UDP", "api → DNS:53/TCP",
	}
	open := []string{"ingress"}
	if slices.ContainsFunc(s.Services, func(service *corev1.Service) bool { return service.Spec.Type == corev1.ServiceTypeNodePort }) {
		open = append(open, "world", "other", "DNS", "kube-system", "monitoring") // whoever can reach a node
	}
	ports := map[string]string{"gateway": ":3002", "api": ":3001", "frontend": ":3000"}
	for _, from := range open {
		for to, port := range ports {
			flows = append(flows, from+" → "+to+port)
		}
	}
	for to, port := range ports {
		if slices.ContainsFunc(s.Jobs, func(j *batchv1.Job) bool { return j.Name == "load" }) {
			flows = append(flows, "load → "+to+port, "load → DNS:53/UDP", "load → DNS:53/TCP")
		}
		if len(s.PodMonitors) > 0 {
			flows = append(flows, "monitoring → "+to+":9464")
		}
	}
	if !slices.ContainsFunc(s.Deployments, func(d *appsv1.Deployment) bool { return d.Name == "prometheus" }) {
		return flows
	}
	for _, name := range []string{"prometheus", "alertmanager", "collector", "jaeger", "victorialogs", "grafana", "canary", "redis-exporter"} {
		flows = append(flows, name+" → DNS:53/UDP", name+" → DNS:53/TCP")
	}
	return append(flows,
		"prometheus → gateway:9464", "prometheus → api:9464", "prometheus → frontend:9464", "prometheus → collector:8888",
		"prometheus → canary:9091", "prometheus → redis-exporter:9121",
		"prometheus → alertmanager:9093", "prometheus → kube-system:443", "prometheus → world:443", // the Kubernetes API is anywhere
		"gateway → collector:4317", "gateway → collector:4318", "api → collector:4317", "api → collector:4318", "collector → jaeger:4317", "collector → victorialogs:9428",
		"grafana → prometheus:9090", "monitoring → prometheus:9090", "grafana → jaeger:16686", "grafana → victorialogs:9428",
		"canary → gateway:3002", "canary → api:3001", "redis-exporter → redis:6379",
	)
}

// flows compares who can reach whom, by the NetworkPolicies, with who must.
func flows(s *manifests.Set, _ *Code) []string {
	var all complaints
	peers := strangers()
	for _, w := range s.Workloads() {
		p := peer{name: w.Meta.Name, labels: w.Pod.Labels, address: netip.MustParseAddr("10.1.2.5")}
		for _, c := range w.Pod.Spec.Containers {
			p.ports = append(p.ports, c.Ports...)
		}
		peers = append(peers, p)
	}
	want := allowed(s)
	var got []string
	for _, from := range peers {
		for _, to := range peers {
			for _, port := range to.ports {
				if from.name == to.name || from.namespace != nil && to.namespace != nil || !inside(from) && !inside(to) {
					continue
				}
				if may(s, from, to, port) {
					flow := fmt.Sprintf("%s → %s:%d", from.name, to.name, port.ContainerPort)
					if to.name == "DNS" {
						flow += "/" + string(port.Protocol)
					}
					got = append(got, flow)
				}
			}
		}
	}
	for _, flow := range got {
		all.unless(slices.Contains(want, flow), "%s is allowed", flow)
	}
	for _, flow := range want {
		all.unless(slices.Contains(got, flow), "%s is needed and not allowed", flow)
	}
	return all
}

func inside(p peer) bool { return p.labels != nil && p.namespace == nil }

// may tells whether from may open a connection to a port of to.
func may(s *manifests.Set, from, to peer, port corev1.ContainerPort) bool {
	return (!inside(from) || passes(s, from, to, port, networkingv1.PolicyTypeEgress)) &&
		(!inside(to) || passes(s, to, from, port, networkingv1.PolicyTypeIngress))
}

// passes evaluates the policies of pod, in one direction: without any that
// selects it all passes, else what one of them allows.
func passes(s *manifests.Set, pod, other peer, port corev1.ContainerPort, direction networkingv1.PolicyType) bool {
	bound := false
	for _, p := range s.Policies {
		if !selects(&p.Spec.PodSelector, pod.labels) || !slices.Contains(p.Spec.PolicyTypes, direction) {
			continue
		}
		bound = true
		if direction == networkingv1.PolicyTypeIngress {
			for _, rule := range p.Spec.Ingress {
				if fits(rule.From, rule.Ports, other, port) {
					return true
				}
			}
			continue
		}
		for _, rule := range p.Spec.Egress {
			if fits(rule.To, rule.Ports, other, port) {
				return true
			}
		}
	}
	return !bound
}

func fits(peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort, other peer, port corev1.ContainerPort) bool {
	if len(ports) > 0 && !slices.ContainsFunc(ports, func(p networkingv1.NetworkPolicyPort) bool {
		protocol, has := corev1.ProtocolTCP, port.Protocol
		if p.Protocol != nil {
			protocol = *p.Protocol
		}
		if has == "" {
			has = corev1.ProtocolTCP
		}
		return protocol == has && (p.Port == nil || *p.Port == intstr.FromInt32(port.ContainerPort) || *p.Port == intstr.FromString(port.Name))
	}) {
		return false
	}
	return len(peers) == 0 || slices.ContainsFunc(peers, func(p networkingv1.NetworkPolicyPeer) bool { return isPeer(p, other) })
}

func isPeer(p networkingv1.NetworkPolicyPeer, other peer) bool {
	if p.IPBlock != nil {
		block, err := netip.ParsePrefix(p.IPBlock.CIDR)
		return err == nil && block.Contains(other.address) && !slices.ContainsFunc(p.IPBlock.Except, func(e string) bool {
			except, err := netip.ParsePrefix(e)
			return err == nil && except.Contains(other.address)
		})
	}
	if other.labels == nil {
		return false
	}
	switch {
	case p.NamespaceSelector == nil && other.namespace != nil:
		return false
	case p.NamespaceSelector != nil:
		namespace := other.namespace
		if namespace == nil {
			namespace = map[string]string{"kubernetes.io/metadata.name": "pixel"}
		}
		if !selects(p.NamespaceSelector, namespace) {
			return false
		}
	}
	return p.PodSelector == nil || selects(p.PodSelector, other.labels) || isEmpty(p.PodSelector)
}

func isEmpty(s *metav1.LabelSelector) bool {
	return len(s.MatchLabels) == 0 && len(s.MatchExpressions) == 0
}
