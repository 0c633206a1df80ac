// Package kstatus checks that Flux, `helm --wait` and whatever else reads conditions as kstatus does understand an
// OAuthCredential, and that Argo CD does. Each file is one object; the word before the first "-" of its name is the status to find.
// Files come from testdata and, where KSTATUS_OBJECTS names a directory, from there: what the integration tests saw.
package kstatus

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

var expected = map[string]status.Status{
	"current":     status.CurrentStatus,
	"inprogress":  status.InProgressStatus,
	"failed":      status.FailedStatus,
	"terminating": status.TerminatingStatus,
}

func TestStatus(t *testing.T) {
	objects(t, check)
}

// objects calls test with each object, and the word that its file's name begins with.
func objects(t *testing.T, test func(t *testing.T, file, prefix string, object *unstructured.Unstructured)) {
	directories := []string{"testdata"}
	if dir := os.Getenv("KSTATUS_OBJECTS"); dir != "" {
		directories = append(directories, dir)
	}
	for _, dir := range directories {
		files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		if dir == "testdata" && len(files) == 0 {
			t.Fatal("no objects in testdata")
		}
		t.Logf("%d objects in %s", len(files), dir)
		for _, file := range files {
			t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
				prefix, object := read(t, file)
				test(t, file, prefix, object)
			})
		}
	}
}

func read(t *testing.T, file string) (string, *unstructured.Unstructured) {
	prefix, _, _ := strings.Cut(filepath.Base(file), "-")
	if _, ok := expected[prefix]; !ok {
		t.Fatalf("%s: the file's name says no status", file)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var object unstructured.Unstructured
	if err := yaml.Unmarshal(text, &object.Object); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	if object.GetKind() != "OAuthCredential" || object.GetGeneration() == 0 {
		t.Fatalf("%s: not an OAuthCredential as an API server returns it", file)
	}
	return prefix, &object
}

func check(t *testing.T, file, prefix string, object *unstructured.Unstructured) {
	result, err := status.Compute(object)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	if want := expected[prefix]; result.Status != want {
		t.Errorf("%s: kstatus says %s (%s), not %s", file, result.Status, result.Message, want)
	}
	// With both true the answer would depend on their order.
	if isTrue(t, object, "Reconciling") && isTrue(t, object, "Stalled") {
		t.Errorf("%s: Reconciling and Stalled are both True", file)
	}
}

func isTrue(t *testing.T, object *unstructured.Unstructured, kind status.ConditionType) bool {
	conditions, err := status.GetObjectWithConditions(object.Object)
	if err != nil {
		t.Fatal(err)
	}
	for _, condition := range conditions.Status.Conditions {
		if condition.Type == string(kind) {
			return condition.Status == "True"
		}
	}
	return false
}
