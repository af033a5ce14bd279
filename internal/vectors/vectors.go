package vectors

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// Env names the variable that points to the folder.
const Env = "KAPOK_VECTORS"

// Dir returns the folder of the vectors: $KAPOK_VECTORS, or shared/vectors
// beside the folder that holds go.mod. Where there is neither, it skips t.
func Dir(t testing.TB) string {
	t.Helper()
	if dir := os.Getenv(Env); dir != "" {
		if !isDir(dir) {
			t.Fatalf("%s names %s, which is no folder", Env, dir)
		}
		return dir
	}
	at, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; ; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, "go.mod")); err == nil {
			if dir := filepath.Join(at, "..", "shared", "vectors"); isDir(dir) {
				return dir
			}
			break
		}
		if at == filepath.Dir(at) {
			break
		}
	}
	t.Skipf("test vectors not found: no ../shared/vectors beside the module, and %s is not set", Env)
	return ""
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// Read returns the bytes of one file, named with slashes below Dir.
func Read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(Dir(t), filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// JSON reads one file into v.
func JSON(t testing.TB, name string, v any) {
	t.Helper()
	if err := json.Unmarshal(Read(t, name), v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// Ran logs how many cases of a set were run, in the one form that the
// continuous integration counts. Fewer than the set has are a failure: a file
// that lost its end, or a loop that ended early, would pass otherwise.
func Ran(t testing.TB, name string, n int) {
	t.Helper()
	switch s, known := sets[name]; {
	case !known:
		t.Errorf("vectors: %s is no set of the list", name)
	case n < s.cases:
		t.Errorf("vectors: %s: %d cases ran, the set has %d", name, n, s.cases)
	}
	t.Logf("vectors: %s: %d cases", name, n)
}

// Skipped logs how many cases of a set do not apply, and why.
func Skipped(t testing.TB, name string, n int) {
	t.Helper()
	s := sets[name]
	if n != s.skipped {
		t.Errorf("vectors: %s: %d cases were skipped, %d have a reason", name, n, s.skipped)
	}
	t.Logf("vectors: %s: %d skipped: %s", name, n, s.reason)
}
