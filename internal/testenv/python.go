package testenv

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Python returns the environment of a Python that has the packages of a requirements file, pinned by hash. They are fetched once, with pip,
// into the cache.
func Python(t testing.TB, requirements string) []string {
	t.Helper()
	b, err := os.ReadFile(requirements)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(b)
	dir := filepath.Join(CacheDir(), "python", hex.EncodeToString(sum[:8]))
	if _, err := os.Stat(dir); err != nil {
		tmp := dir + ".new" + filepath.Base(t.TempDir())
		out, err := exec.Command("python3", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:",
			"--require-hashes", "--target", tmp, "-r", requirements).CombinedOutput()
		if err != nil {
			Missing(t, "Python packages of "+filepath.Base(requirements)+": "+tail(string(out), 600))
		}
		if err := os.Rename(tmp, dir); err != nil { // another test was first
			_ = os.RemoveAll(tmp)
		}
	}
	return append(os.Environ(), "PYTHONPATH="+dir)
}
