package main

import (
	"testing"

	"github.com/cloud-pixel/playground/services/proofs/mutations"
)

func TestReadGo(t *testing.T) {
	const out = `{"Action":"run","Test":"TestA"}
the tested program says something
{"Action":"output","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"output","Test":"TestA","Output":"    a_test.go:7: the first line\n"}
{"Action":"output","Test":"TestA","Output":"    a_test.go:8: the second\n"}
{"Action":"output","Test":"TestA","Output":"    harness_test.go:9: what the processes logged\n"}
{"Action":"fail","Test":"TestA"}
{"Action":"output","Test":"TestB/one","Output":"        b_test.go:1: of a subtest\n"}
{"Action":"pass","Test":"TestB/one"}
{"Action":"pass","Test":"TestB"}
{"Action":"pass","Test":"TestC/one"}
{"Action":"output","Test":"TestD/one","Output":"panic: runtime error: index out of range [recovered]\n"}
{"Action":"fail","Test":"TestD/one"}
{"Action":"fail"}
`
	got := make(map[string]result)
	if err := readGo([]byte(out), got); err != nil {
		t.Fatal(err)
	}
	if a := got["TestA"]; a.reason(mutations.Test{}) != a.why || a.reason(mutations.Test{Slow: true}) != a.last {
		t.Errorf("%+v", a)
	}
	for name, want := range map[string]result{
		"TestA": {failed: true, why: "a_test.go:7: the first line", last: "a_test.go:8: the second"},
		"TestB": {passed: true, why: "b_test.go:1: of a subtest", last: "b_test.go:1: of a subtest"},
		"TestC": {}, // it never ended
		"TestD": {failed: true, why: "panic: runtime error: index out of range [recovered]", last: "panic: runtime error: index out of range [recovered]"},
		"TestE": {},
	} {
		if got[name] != want {
			t.Errorf("%s: %+v, want %+v", name, got[name], want)
		}
	}
}

func TestReadGoThatHangsOrDoesNotBuild(t *testing.T) {
	got := make(map[string]result)
	const hangs = `{"Action":"output","Test":"TestA","Output":"panic: test timed out after 3m0s\n"}
{"Action":"fail","Test":"TestA"}`
	if err := readGo([]byte(hangs), got); err != nil || !got["TestA"].hung {
		t.Errorf("%+v, %v", got["TestA"], err)
	}
	if err := readGo([]byte(`{"ImportPath":"x","Action":"build-fail"}`), got); err == nil {
		t.Error("what does not build has results")
	}
}

func TestReadTAP(t *testing.T) {
	const out = `TAP version 13
# Subtest: one
not ok 1 - one
  ---
  error: |-
    Expected values to be strictly equal:
    
    1 !== 2
    
  code: 'ERR_ASSERTION'
  ...
# Subtest: two
not ok 2 - two
  ---
  error: 'not reached'
  ...
ok 3 - three
ok 4 - four # SKIP test name does not match pattern
1..4
`
	got := make(map[string]result)
	readTAP([]byte(out), got)
	for name, want := range map[string]result{
		"one":   {failed: true, why: "Expected values to be strictly equal: 1 !== 2"},
		"two":   {failed: true, why: "not reached"},
		"three": {passed: true},
		"four":  {},
	} {
		if got[name] != want {
			t.Errorf("%s: %+v, want %+v", name, got[name], want)
		}
	}
}

func TestPackagesOfAPatch(t *testing.T) {
	const patch = "x\ndiff --git a/services/b/c.go b/services/b/c.go\n--- a/services/b/c.go\n+++ b/services/b/c.go\n+++ b/services/b/d.go\n+++ b/web/js/e.js\n"
	if got := goPackages(patch); len(got) != 1 || got[0] != "./services/b" {
		t.Errorf("%v", got)
	}
	a, b := mutations.Test{Place: "a", Name: "TestA"}, mutations.Test{Place: "b", Name: "TestB"}
	if groups := byPlace([]mutations.Test{a, b, a}); len(groups) != 2 || len(groups[0]) != 1 || len(groups[1]) != 1 {
		t.Errorf("%v", groups)
	}
}
