package kstatus

import (
	"os"
	"path/filepath"
	"testing"

	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const health = "../../deploy/argocd/health.lua"

// What Argo CD calls what kstatus says; of a suspended one it has a word of its own.
var argocd = map[string]string{
	"current":     "Healthy",
	"inprogress":  "Progressing",
	"failed":      "Degraded",
	"terminating": "Progressing",
}

// TestHealth runs deploy/argocd/health.lua over the same objects, in the Lua that Argo CD has.
func TestHealth(t *testing.T) {
	seen := map[string]bool{}
	objects(t, func(t *testing.T, file, prefix string, object *unstructured.Unstructured) {
		want := argocd[prefix]
		suspended, _, _ := unstructured.NestedBool(object.Object, "spec", "suspend")
		if suspended && prefix != "failed" && object.GetDeletionTimestamp() == nil && isObserved(object) {
			want = "Suspended"
		}
		got, message := judged(t, object)
		if got != want {
			t.Errorf("%s: Argo CD says %s (%s), not %s", file, got, message, want)
		}
		if message == "" {
			t.Errorf("%s: %s without a message", file, got)
		}
		seen[got] = true
	})
	for _, status := range []string{"Healthy", "Progressing", "Degraded", "Suspended"} {
		if !seen[status] {
			t.Errorf("no object is %s", status)
		}
	}
}

func isObserved(object *unstructured.Unstructured) bool {
	observed, _, _ := unstructured.NestedInt64(object.Object, "status", "observedGeneration")
	return observed == object.GetGeneration()
}

// What the script says, called as Argo CD calls it: the object is the global `obj`.
func judged(t *testing.T, object *unstructured.Unstructured) (string, string) {
	script, err := os.ReadFile(filepath.FromSlash(health))
	if err != nil {
		t.Fatal(err)
	}
	// Argo CD opens no more of the standard library than this.
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for name, open := range map[string]lua.LGFunction{lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable, lua.StringLibName: lua.OpenString} {
		state.Push(state.NewFunction(open))
		state.Push(lua.LString(name))
		state.Call(1, 0)
	}
	state.SetGlobal("obj", value(state, object.Object))
	if err := state.DoString(string(script)); err != nil {
		t.Fatal(err)
	}
	result, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		t.Fatalf("the script returned a %s", state.Get(-1).Type())
	}
	return lua.LVAsString(result.RawGetString("status")), lua.LVAsString(result.RawGetString("message"))
}

func value(state *lua.LState, of any) lua.LValue {
	switch of := of.(type) {
	case map[string]any:
		table := state.NewTable()
		for key, member := range of {
			table.RawSetString(key, value(state, member))
		}
		return table
	case []any:
		table := state.NewTable()
		for _, member := range of {
			table.Append(value(state, member))
		}
		return table
	case string:
		return lua.LString(of)
	case bool:
		return lua.LBool(of)
	case int64:
		return lua.LNumber(of)
	case float64:
		return lua.LNumber(of)
	default:
		return lua.LNil
	}
}
