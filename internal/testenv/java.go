package testenv

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Jars returns the class path of what the pom.xml in a folder asks for, every jar as the jars.sha256 beside it has it. They are fetched once,
// with Maven, into the cache.
func Jars(t testing.TB, folder string) string {
	t.Helper()
	for _, tool := range []string{"java", "javac"} {
		if _, err := exec.LookPath(tool); err != nil {
			Missing(t, tool+" (a JDK 17, package openjdk-17-jdk-headless on Debian)")
		}
	}
	pinned, err := os.ReadFile(filepath.Join(folder, "jars.sha256"))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(pinned)
	dir := filepath.Join(CacheDir(), "java", hex.EncodeToString(sum[:8]))
	if _, err := os.Stat(dir); err != nil {
		tmp := dir + ".new" + filepath.Base(t.TempDir())
		t.Logf("fetching the jars of %s with Maven (26 MB)", filepath.Join(folder, "pom.xml"))
		out, err := exec.Command("mvn", "-q", "-B", "-f", filepath.Join(folder, "pom.xml"), "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies",
			"-DincludeScope=runtime", "-DoutputDirectory="+tmp).CombinedOutput()
		if err != nil {
			Missing(t, "jars of "+folder+": "+tail(string(out), 600))
		}
		compare(t, tmp, string(pinned))
		if err := os.Rename(tmp, dir); err != nil { // another test was first
			_ = os.RemoveAll(tmp)
		}
	}
	return filepath.Join(dir, "*")
}

// compare fails where a folder does not hold exactly the pinned files.
func compare(t testing.TB, dir, pinned string) {
	t.Helper()
	var found, want []string
	for lines := bufio.NewScanner(strings.NewReader(pinned)); lines.Scan(); {
		want = append(want, strings.Join(strings.Fields(lines.Text()), " "))
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(b)
		found = append(found, hex.EncodeToString(sum[:])+" "+f.Name())
	}
	slices.Sort(found)
	slices.Sort(want)
	if !slices.Equal(found, want) {
		_ = os.RemoveAll(dir)
		t.Fatalf("the jars are not the pinned ones: %v, want %v", found, want)
	}
}

// Apicurio starts a real schema registry that keeps its schemas in memory, and returns the address of its Confluent API. It ends, by its id,
// with the test.
func Apicurio(t testing.TB) string {
	t.Helper()
	found, _ := filepath.Glob(filepath.Join(CacheDir(), "apicurio", "*", "*-runner.jar")) // the pattern is a good one
	if len(found) == 0 {
		Missing(t, "Apicurio Registry (python3 ops/parts/fetch.py --with apicurio)")
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host, port, _ := net.SplitHostPort(free.Addr().String())
	_ = free.Close()
	said, err := os.Create(filepath.Join(t.TempDir(), "registry.log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("java", "-Xmx384m", "-jar", found[len(found)-1])
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), "QUARKUS_HTTP_HOST="+host, "QUARKUS_HTTP_PORT="+port), said, said
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting the registry: %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = said.Close()
	})
	address := "http://" + net.JoinHostPort(host, port) + "/apis/ccompat/v7"
	for deadline := time.Now().Add(90 * time.Second); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		if res, err := http.Get(address + "/subjects"); err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return address
			}
		}
	}
	t.Fatal("the registry did not start")
	return ""
}
