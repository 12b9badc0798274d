package policy

import (
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/cloud-pixel/playground/k8s/manifests"
)

// named returns the object of that name; the test panics where there is none.
func named[T metav1.Object](all []T, name string) T {
	return all[slices.IndexFunc(all, func(o T) bool { return o.GetName() == name })]
}

func deployment(s *manifests.Set, name string) *appsv1.Deployment { return named(s.Deployments, name) }

func service(s *manifests.Set, name string) *corev1.Service { return named(s.Services, name) }

func policy(s *manifests.Set, name string) *networkingv1.NetworkPolicy {
	return named(s.Policies, name)
}
