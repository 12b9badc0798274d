// Package manifests renders the overlays of this folder and gives their objects
// with their types. Fields that a type does not have are errors.
package manifests

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// Set is everything that an overlay renders to.
type Set struct {
	// YAML is all of it as text.
	YAML []byte

	Namespaces      []*corev1.Namespace
	Accounts        []*corev1.ServiceAccount
	Deployments     []*appsv1.Deployment
	StatefulSets    []*appsv1.StatefulSet
	Jobs            []*batchv1.Job
	Services        []*corev1.Service
	ConfigMaps      []*corev1.ConfigMap
	Secrets         []*corev1.Secret
	Claims          []*corev1.PersistentVolumeClaim
	Budgets         []*policyv1.PodDisruptionBudget
	Policies        []*networkingv1.NetworkPolicy
	Ingresses       []*networkingv1.Ingress
	Autoscalers     []*autoscalingv2.HorizontalPodAutoscaler
	Roles           []*rbacv1.Role
	RoleBindings    []*rbacv1.RoleBinding
	ServiceMonitors []*monitoringv1.ServiceMonitor
	PodMonitors     []*monitoringv1.PodMonitor
	Rules           []*monitoringv1.PrometheusRule
}

// Render renders the kustomization in a folder.
func Render(dir string) (*Set, error) {
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		return nil, fmt.Errorf("rendering %s: %w", filepath.Base(dir), err)
	}
	text, err := resources.AsYaml()
	if err != nil {
		return nil, err
	}
	return Parse(text)
}

// Parse reads the objects of a rendered overlay.
func Parse(text []byte) (*Set, error) {
	s := &Set{YAML: text}
	var errs []error
	for part := range bytes.SplitSeq(text, []byte("\n---\n")) {
		object, err := yaml.YAMLToJSONStrict(part)
		var is struct {
			metav1.TypeMeta
			Metadata struct{ Name string }
		}
		if err == nil {
			err = json.Unmarshal(object, &is)
		}
		if err == nil {
			err = s.add(is.APIVersion+" "+is.Kind, object)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s %s: %w", is.Kind, is.Metadata.Name, err))
		}
	}
	return s, errors.Join(errs...)
}

func (s *Set) add(kind string, text []byte) error {
	switch kind {
	case "v1 Namespace":
		return decode(text, &s.Namespaces)
	case "v1 ServiceAccount":
		return decode(text, &s.Accounts)
	case "apps/v1 Deployment":
		return decode(text, &s.Deployments)
	case "apps/v1 StatefulSet":
		return decode(text, &s.StatefulSets)
	case "batch/v1 Job":
		return decode(text, &s.Jobs)
	case "v1 Service":
		return decode(text, &s.Services)
	case "v1 ConfigMap":
		return decode(text, &s.ConfigMaps)
	case "v1 Secret":
		return decode(text, &s.Secrets)
	case "v1 PersistentVolumeClaim":
		return decode(text, &s.Claims)
	case "policy/v1 PodDisruptionBudget":
		return decode(text, &s.Budgets)
	case "networking.k8s.io/v1 NetworkPolicy":
		return decode(text, &s.Policies)
	case "networking.k8s.io/v1 Ingress":
		return decode(text, &s.Ingresses)
	case "autoscaling/v2 HorizontalPodAutoscaler":
		return decode(text, &s.Autoscalers)
	case "rbac.authorization.k8s.io/v1 Role":
		return decode(text, &s.Roles)
	case "rbac.authorization.k8s.io/v1 RoleBinding":
		return decode(text, &s.RoleBindings)
	case "monitoring.coreos.com/v1 ServiceMonitor":
		return decode(text, &s.ServiceMonitors)
	case "monitoring.coreos.com/v1 PodMonitor":
		return decode(text, &s.PodMonitors)
	case "monitoring.coreos.com/v1 PrometheusRule":
		return decode(text, &s.Rules)
	}
	return fmt.Errorf("no policy knows of %s: add it to package manifests, and say there what it must be like", kind)
}

func decode[T any](text []byte, into *[]*T) error {
	object := new(T)
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(object); err != nil {
		return err
	}
	*into = append(*into, object)
	return nil
}

// Workload is what runs pods.
type Workload struct {
	Kind string
	Meta *metav1.ObjectMeta
	// Replicas is nil where something else sets the number.
	Replicas *int32
	Selector *metav1.LabelSelector // nil for a Job
	Pod      *corev1.PodTemplateSpec
}

// Workloads returns all of them; what they point to is the set's.
func (s *Set) Workloads() []Workload {
	var all []Workload
	for _, d := range s.Deployments {
		all = append(all, Workload{"Deployment", &d.ObjectMeta, d.Spec.Replicas, d.Spec.Selector, &d.Spec.Template})
	}
	for _, d := range s.StatefulSets {
		all = append(all, Workload{"StatefulSet", &d.ObjectMeta, d.Spec.Replicas, d.Spec.Selector, &d.Spec.Template})
	}
	for _, j := range s.Jobs {
		all = append(all, Workload{"Job", &j.ObjectMeta, nil, nil, &j.Spec.Template})
	}
	return all
}
