package faults

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"
)

func pod(namespace, name, service string, ready bool) *unstructured.Unstructured {
	status := map[bool]string{true: "True", false: "False"}[ready]
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": map[string]any{"namespace": namespace, "name": name, "labels": map[string]any{"app.kubernetes.io/name": service}},
		"status":   map[string]any{"conditions": []any{map[string]any{"type": "Initialized", "status": "True"}, map[string]any{"type": "Ready", "status": status}}},
	}}
}

// cluster is the API of a cluster, without one, and an injector for it.
func cluster(pods ...runtime.Object) (*fake.FakeDynamicClient, *Kubernetes) {
	kinds := map[schema.GroupVersionResource]string{{Version: "v1", Resource: "pods"}: "PodList"}
	c := fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), kinds, pods...)
	k := newKubernetes(c, KubernetesOptions{Namespace: "pixels"})
	k.poll = time.Millisecond
	return c, k
}

func TestKubernetesTargets(t *testing.T) {
	_, k := cluster(
		pod("pixels", "gateway-b", "gateway", true), pod("pixels", "gateway-a", "gateway", true), pod("pixels", "gateway-c", "gateway", false),
		pod("pixels", "api-a", "api", true), pod("other", "gateway-x", "gateway", true))
	got, err := k.Targets(t.Context(), Gateway)
	if want := []string{"gateway-a", "gateway-b"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	if _, err := k.Targets(t.Context(), "frontend"); err == nil {
		t.Error("a service without a selector was taken: that would match every pod")
	}
}

// A kill leaves no time, a stop leaves what the pod says itself; only pods of
// the system can be named.
func TestKubernetesDeletes(t *testing.T) {
	c, k := cluster(pod("pixels", "gateway-a", "gateway", true), pod("pixels", "gateway-b", "gateway", true), pod("pixels", "database", "other", true))
	if err := k.Kill(t.Context(), "gateway-a"); err != nil {
		t.Error(err)
	}
	if err := k.Stop(t.Context(), "gateway-b"); err != nil {
		t.Error(err)
	}
	if err := k.Kill(t.Context(), "database"); err == nil || !strings.Contains(err.Error(), "database") {
		t.Errorf("killing a pod of somebody else: %v", err)
	}
	var deleted []string
	for _, a := range c.Actions() {
		if d, ok := a.(clienttesting.DeleteActionImpl); ok {
			grace := "own"
			if s := d.DeleteOptions.GracePeriodSeconds; s != nil && *s == 0 {
				grace = "none"
			}
			deleted = append(deleted, d.Namespace+"/"+d.Name+" "+grace)
		}
	}
	if want := []string{"pixels/gateway-a none", "pixels/gateway-b own"}; !slices.Equal(deleted, want) {
		t.Errorf("deleted %v, want %v", deleted, want)
	}
	if _, err := k.Pause(t.Context(), "gateway-a"); !errors.Is(err, ErrUnsupported) {
		t.Errorf("pausing a pod: %v", err)
	}
}

// Recovered waits for a new pod to be ready, and for no less.
func TestKubernetesRecovers(t *testing.T) {
	c, k := cluster(pod("pixels", "gateway-a", "gateway", true), pod("pixels", "gateway-b", "gateway", true))
	chaos := Chaos{Injector: k}
	var told []Event
	chaos.Annotate = func(_ context.Context, e Event) error { told = append(told, e); return errors.New("nobody listens") }
	done := make(chan error, 1)
	go func() { done <- chaos.Kill(t.Context(), Gateway, "gateway-a") }()

	pods := k.pods()
	await(t, func() bool { _, err := pods.Get(t.Context(), "gateway-a", metav1.GetOptions{}); return err != nil })
	if _, err := pods.Create(t.Context(), pod("pixels", "gateway-z", "gateway", false), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	lists := func() (n int) {
		for _, a := range c.Actions() {
			if a.GetVerb() == "list" {
				n++
			}
		}
		return n
	}
	seen := lists()
	await(t, func() bool { return lists() > seen+2 }) // it has looked, and found it not ready
	select {
	case err := <-done:
		t.Fatalf("recovered with a pod that is not ready: %v", err)
	default:
	}
	if _, err := pods.UpdateStatus(t.Context(), pod("pixels", "gateway-z", "gateway", true), metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	events := chaos.Events()
	if len(events) != 1 || events[0].String() != "kill gateway-a" || events[0].Recovered.Before(events[0].At) {
		t.Errorf("events: %+v", events)
	}
	if len(told) != 2 || !told[0].Recovered.IsZero() || told[1].Recovered.IsZero() || chaos.Err() == nil {
		t.Errorf("annotated: %+v, %v", told, chaos.Err())
	}

	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := chaos.Kill(short, Gateway, "gateway-z"); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "1 of 2") {
		t.Errorf("nothing takes the place of a pod: %v", err)
	}
}
