package faults

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"
)

// Kubernetes breaks pods of a cluster. Their controller replaces them.
//
// It uses the dynamic client, since of all the types that the typed one brings
// it needs a pod's name and whether it is ready.
type Kubernetes struct {
	cluster   dynamic.Interface
	namespace string
	selectors map[string]string // by service
	poll      time.Duration

	mu     sync.Mutex
	broken map[string]int // pod → how many of its service were ready before
}

// KubernetesOptions say which cluster and which pods. Empty fields have the
// defaults that are given.
type KubernetesOptions struct {
	Kubeconfig string // file; default: as kubectl finds it, or the pod's own account
	Context    string // default: the file's current one
	Namespace  string // default: the context's
	// Selectors are label selectors by service; default
	// app.kubernetes.io/name=<service>.
	Selectors map[string]string
}

// NewKubernetes returns an injector for a cluster.
func NewKubernetes(o KubernetesOptions) (*Kubernetes, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = o.Kubeconfig
	config := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: o.Context})
	if o.Namespace == "" {
		namespace, _, err := config.Namespace()
		if err != nil {
			return nil, fmt.Errorf("faults: %w", err)
		}
		o.Namespace = namespace
	}
	rest, err := config.ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("faults: %w", err)
	}
	cluster, err := dynamic.NewForConfig(rest)
	if err != nil {
		return nil, fmt.Errorf("faults: %w", err)
	}
	return newKubernetes(cluster, o), nil
}

func newKubernetes(cluster dynamic.Interface, o KubernetesOptions) *Kubernetes {
	k := &Kubernetes{cluster: cluster, namespace: o.Namespace, selectors: map[string]string{}, poll: 250 * time.Millisecond, broken: map[string]int{}}
	for _, service := range []string{Gateway, API, Redis} {
		k.selectors[service] = "app.kubernetes.io/name=" + service
	}
	for service, selector := range o.Selectors {
		k.selectors[service] = selector
	}
	return k
}

// pods is the cluster's API for pods of the namespace.
func (k *Kubernetes) pods() dynamic.ResourceInterface {
	return k.cluster.Resource(schema.GroupVersionResource{Version: "v1", Resource: "pods"}).Namespace(k.namespace)
}

// isReady tells whether a pod says that it is ready, and is not going away.
func isReady(pod *unstructured.Unstructured) bool {
	conditions, _, err := unstructured.NestedSlice(pod.Object, "status", "conditions")
	if err != nil || pod.GetDeletionTimestamp() != nil {
		return false
	}
	return slices.ContainsFunc(conditions, func(c any) bool {
		condition, ok := c.(map[string]any)
		return ok && condition["type"] == "Ready" && condition["status"] == "True"
	})
}

// ready returns the pods of a service that are ready, and are not going away.
func (k *Kubernetes) ready(ctx context.Context, service string) ([]string, error) {
	selector, ok := k.selectors[service]
	if !ok || strings.TrimSpace(selector) == "" { // it would match everything
		return nil, fmt.Errorf("faults: no label selector for %q", service)
	}
	list, err := k.pods().List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, fmt.Errorf("faults: pods of %s: %w", service, err)
	}
	var names []string
	for i := range list.Items {
		if pod := &list.Items[i]; isReady(pod) {
			names = append(names, pod.GetName())
		}
	}
	slices.Sort(names)
	return names, nil
}

// Targets names the pods of a service that are ready.
func (k *Kubernetes) Targets(ctx context.Context, service string) ([]string, error) {
	return k.ready(ctx, service)
}

// Kill deletes the pod without a grace period: its processes get SIGKILL.
func (k *Kubernetes) Kill(ctx context.Context, target string) error {
	now := int64(0)
	return k.remove(ctx, target, metav1.DeleteOptions{GracePeriodSeconds: &now})
}

// Stop deletes the pod, which has its own grace period.
func (k *Kubernetes) Stop(ctx context.Context, target string) error {
	return k.remove(ctx, target, metav1.DeleteOptions{})
}

func (k *Kubernetes) remove(ctx context.Context, target string, o metav1.DeleteOptions) error {
	for service := range k.selectors {
		names, err := k.ready(ctx, service)
		if err != nil {
			return err
		}
		if !slices.Contains(names, target) {
			continue
		}
		k.mu.Lock()
		k.broken[target] = len(names)
		k.mu.Unlock()
		if err := k.pods().Delete(ctx, target, o); err != nil {
			return fmt.Errorf("faults: deleting %s: %w", target, err)
		}
		return nil
	}
	return fmt.Errorf("faults: %q is no ready pod of any service in namespace %s", target, k.namespace)
}

// Pause is not possible: a signal to a process in a container needs more rights
// than who deletes pods should have.
func (k *Kubernetes) Pause(context.Context, string) (func() error, error) {
	return nil, fmt.Errorf("%w: a pod cannot be paused", ErrUnsupported)
}

// Recovered waits until as many pods are ready as before. A pod of a
// StatefulSet comes back by the same name.
func (k *Kubernetes) Recovered(ctx context.Context, service, target string) error {
	k.mu.Lock()
	before, ok := k.broken[target]
	k.mu.Unlock()
	if !ok {
		return fmt.Errorf("faults: %s was not broken here", target)
	}
	tick := time.NewTicker(k.poll)
	defer tick.Stop()
	for {
		names, err := k.ready(ctx, service)
		if err != nil {
			return err
		}
		if len(names) >= before {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("faults: %d of %d pods of %s are ready: %w", len(names), before, service, ctx.Err())
		}
	}
}
