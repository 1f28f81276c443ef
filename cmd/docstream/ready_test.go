package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"docstream/internal/testenv"
)

func TestReadySaysWhatARoleSays(t *testing.T) {
	role := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" {
			http.Error(w, "ClickHouse does not answer", http.StatusServiceUnavailable)
		}
	}))
	defer role.Close()
	gone := httptest.NewServer(nil)
	gone.Close()
	for _, c := range []struct {
		name, url string
		code      int
		says      string
	}{
		{"a ready role", role.URL + "/readyz", exitDone, ""},
		{"one that is not", role.URL + "/other", exitNotReady, "ClickHouse does not answer"},
		{"nobody", gone.URL + "/readyz", exitUnreachable, "does not answer"},
		{"no URL", "127.0.0.1:9100", exitUsage, "is no URL"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, out, errs := run(t, nil, "ready", c.url)
			if code != c.code || out != "" || !strings.Contains(errs, c.says) || strings.Count(errs, "\n") > 1 {
				t.Errorf("exit %d, out %q, err %q", code, out, errs)
			}
		})
	}
}

func TestBucketApplyCreatesItOnce(t *testing.T) {
	s3 := testenv.S3(t)
	env := []string{"DOCSTREAM_OBJECTS_ENDPOINT=" + s3.Endpoint, "DOCSTREAM_OBJECTS_ACCESS_KEY=" + s3.AccessKey, "DOCSTREAM_OBJECTS_SECRET_KEY=" + s3.SecretKey,
		"DOCSTREAM_OBJECTS_BUCKET=fresh"}
	for range 2 {
		if code, out, errs := run(t, env, "bucket", "apply"); code != exitDone || out != "the bucket fresh is there; objects expire by: sweep\n" {
			t.Fatalf("exit %d, out %q, err %q", code, out, errs)
		}
	}
	if code, _, errs := run(t, append(env, "DOCSTREAM_OBJECTS_SECRET_KEY=another"), "bucket", "apply"); code == exitDone || strings.Contains(errs, "another") {
		t.Errorf("with a wrong key: exit %d, err %q", code, errs)
	}
	if code, _, errs := run(t, append(env, "DOCSTREAM_OBJECTS_ENDPOINT=http://127.0.0.1:1", "DOCSTREAM_OBJECTS_ATTEMPTS=1"), "bucket", "apply"); code != exitUnreachable {
		t.Errorf("without a store: exit %d, err %q", code, errs)
	}
}
