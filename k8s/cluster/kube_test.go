//go:build cluster

package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

const namespace = "pixel"

// kubectl runs it and returns what it says.
func kubectl(ctx context.Context, args ...string) (string, error) {
	c := exec.CommandContext(ctx, "kubectl", args...)
	c.WaitDelay = time.Second
	out, err := c.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("kubectl %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

func mustKubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := kubectl(t.Context(), append([]string{"-n", namespace}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func object(t *testing.T, into any, args ...string) {
	t.Helper()
	c := exec.CommandContext(t.Context(), "kubectl", append([]string{"-n", namespace, "get", "-o", "json"}, args...)...)
	out, err := c.Output()
	if err == nil {
		err = json.Unmarshal(out, into)
	}
	if err != nil {
		t.Fatalf("kubectl get %v: %v", args, err)
	}
}

// running are the pods of an app that are ready and not about to end.
func running(t *testing.T, app string) []corev1.Pod {
	t.Helper()
	var pods corev1.PodList
	object(t, &pods, "pods", "-l", "app="+app)
	return slices.DeleteFunc(pods.Items, func(p corev1.Pod) bool {
		return p.DeletionTimestamp != nil || !slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
		})
	})
}

func names(pods []corev1.Pod) []string {
	var all []string
	for _, p := range pods {
		all = append(all, p.Name)
	}
	slices.Sort(all)
	return all
}

func deployment(t *testing.T, name string) *appsv1.Deployment {
	t.Helper()
	d := &appsv1.Deployment{}
	object(t, d, "deployment", name)
	return d
}

// awaitReady waits until a deployment has all its pods, and no other.
func awaitReady(t *testing.T, name string, replicas int32) {
	t.Helper()
	eventually(t, 5*time.Minute, fmt.Sprintf("%d pods of %s are ready", replicas, name), func() bool {
		d := deployment(t, name)
		s := d.Status
		return s.ObservedGeneration >= d.Generation && s.Replicas == replicas && s.UpdatedReplicas == replicas && s.AvailableReplicas == replicas
	})
}

// apps are the labels of the deployments' pods.
var apps = map[string]string{"gateway": "websocket-gateway", "api": "canvas-api", "frontend": "frontend"}

// settle puts the system back into its shape.
func settle(t *testing.T) {
	t.Helper()
	for name, n := range map[string]int32{"gateway": 4, "api": 3, "frontend": 2} {
		if *deployment(t, name).Spec.Replicas != n {
			mustKubectl(t, "scale", "deployment", name, "--replicas="+strconv.Itoa(int(n)))
		}
		awaitReady(t, name, n)
	}
	mustKubectl(t, "rollout", "status", "statefulset/redis", "--timeout=120s")
}

// kill ends a pod without any farewell, as a node does that fails.
func kill(t *testing.T, pod string) {
	t.Helper()
	mustKubectl(t, "delete", "pod", pod, "--grace-period=0", "--force", "--wait=false")
}

// addresses says where the system is reached.
func addresses(t *testing.T) (ws, api, page string) {
	t.Helper()
	host := os.Getenv("CLUSTER_HOST")
	if host == "" {
		var nodes corev1.NodeList
		object(t, &nodes, "nodes")
		for _, a := range nodes.Items[0].Status.Addresses {
			if a.Type == corev1.NodeInternalIP {
				host = a.Address
			}
		}
	}
	port := func(service string) string {
		var s corev1.Service
		object(t, &s, "service", service+"-nodeport")
		return strconv.Itoa(int(s.Spec.Ports[0].NodePort))
	}
	ws, api, page = os.Getenv("CLUSTER_WS"), os.Getenv("CLUSTER_API"), os.Getenv("CLUSTER_PAGE")
	if ws == "" {
		ws = "ws://" + host + ":" + port("gateway") + "/ws"
	}
	if api == "" {
		api = "http://" + host + ":" + port("api")
	}
	if page == "" {
		page = "http://" + host + ":" + port("frontend")
	}
	return ws, api, page
}

// eventually waits for a condition.
func eventually(t *testing.T, most time.Duration, what string, holds func() bool) {
	t.Helper()
	deadline := time.NewTimer(most)
	defer deadline.Stop()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("not within %v: %s", most, what)
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		}
	}
}

// pause waits for a time that belongs to the scenario.
func pause(t *testing.T, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
		t.Fatal(t.Context().Err())
	}
}
