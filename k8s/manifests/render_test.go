package manifests_test

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/yannh/kubeconform/pkg/validator"

	"github.com/cloud-pixel/playground/k8s/manifests"
	"github.com/cloud-pixel/playground/k8s/schemas"
)

// kubernetes is the version that the manifests are for. The module of that
// version is used for its OpenAPI document alone.
const kubernetes = "v1.34.4"

// conform returns a validator with schemas of the pinned version.
func conform(t *testing.T) validator.Validator {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", "k8s.io/kubernetes@"+kubernetes).Output()
	var module struct{ Dir, Error string }
	if e := json.Unmarshal(out, &module); e != nil || module.Dir == "" {
		t.Fatalf("the module of Kubernetes %s cannot be had: %v %v %s", kubernetes, err, e, module.Error)
	}
	openapi, err := os.ReadFile(filepath.Join(module.Dir, "api", "openapi-spec", "swagger.json"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	n, err := schemas.Write(openapi, dir)
	if err != nil || n < 100 {
		t.Fatalf("%d schemas: %v", n, err)
	}
	v, err := validator.New([]string{filepath.Join(dir, schemas.Template)}, validator.Opts{
		Strict: true, KubernetesVersion: strings.TrimPrefix(kubernetes, "v"),
		// Not of Kubernetes itself: Render decodes these strictly, into the
		// types of the operator.
		SkipKinds: map[string]struct{}{"ServiceMonitor": {}, "PodMonitor": {}, "PrometheusRule": {}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func problems(v validator.Validator, yaml []byte) (valid int, wrong []string) {
	for _, r := range v.Validate("rendered", io.NopCloser(bytes.NewReader(yaml))) {
		switch r.Status {
		case validator.Valid:
			valid++
		case validator.Skipped, validator.Empty:
		default:
			text := string(r.Resource.Bytes)
			wrong = append(wrong, strings.Join(strings.Fields(text[:min(len(text), 80)]), " ")+" …: "+r.Err.Error())
		}
	}
	return valid, wrong
}

// Every overlay renders, has only fields that the pinned version of Kubernetes
// knows, and values that it accepts.
func TestOverlaysConform(t *testing.T) {
	v := conform(t)
	overlays, err := filepath.Glob("../overlays/*")
	if err != nil || len(overlays) < 2 {
		t.Fatal(overlays, err)
	}
	overlays = append(overlays, "../testdata/everything")
	for _, dir := range overlays {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			s, err := manifests.Render(dir)
			if err != nil {
				t.Fatal(err)
			}
			valid, wrong := problems(v, s.YAML)
			for _, w := range wrong {
				t.Error(w)
			}
			if valid < 20 {
				t.Errorf("only %d objects", valid)
			}
		})
	}
}

// The schemas notice what they are for.
func TestSchemasNotice(t *testing.T) {
	v := conform(t)
	s, err := manifests.Render("../overlays/local")
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range [][2]string{
		{"terminationGracePeriodSeconds:", "terminationGraceSeconds:"},
		{"containerPort: 3002", "containerPort: three"},
		{"apiVersion: policy/v1\n", "apiVersion: policy/v1beta1\n"},
		{"maxUnavailable: 0", "maxUnavailable: {}"},
		{"storage: 1Gi", "storage: [1Gi]"},
		{"pathType: Prefix", "pathTypes: Prefix"},
	} {
		if !bytes.Contains(s.YAML, []byte(change[0])) {
			t.Errorf("%q is no part of the objects", change[0])
		}
		if _, wrong := problems(v, bytes.Replace(s.YAML, []byte(change[0]), []byte(change[1]), 1)); len(wrong) == 0 {
			t.Errorf("%q instead of %q is not noticed", change[1], change[0])
		}
	}
}
