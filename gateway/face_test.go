package gateway_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"docstream/gateway/face"
	"docstream/schemas"
)

func TestABrowserIsShownThePageAndAProgramIsNot(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	for accept, want := range map[string]int{"": http.StatusOK, "*/*": http.StatusOK, "application/json": http.StatusOK, "text/html;q=0, */*": http.StatusOK,
		"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": http.StatusSeeOther} {
		req, _ := http.NewRequest(http.MethodGet, r.url+"/", nil)
		if accept != "" {
			req.Header.Set("Accept", accept)
		}
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want || want == http.StatusSeeOther && res.Header.Get("Location") != "/ui/" {
			t.Errorf("%q: %d to %q", accept, res.StatusCode, res.Header.Get("Location"))
		}
	}
	if a := r.get("", "/ui/nothing.js"); a.code(t) != schemas.RouteNotFound {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}

func TestThePageAsksNobodyElseAndRunsNothingInline(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	page := r.get("", "/ui/")
	if page.StatusCode != http.StatusOK || page.Header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("%d %v", page.StatusCode, page.Header)
	}
	names := regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllStringSubmatch(string(page.body), -1)
	if len(names) < 3 {
		t.Fatalf("it names %v", names)
	}
	whole := string(page.body)
	for _, n := range append(names, []string{"", "calls.js"}, []string{"", "render.js"}) {
		a := r.get("", "/ui/"+n[1])
		if a.StatusCode != http.StatusOK || a.Header.Get("Content-Security-Policy") != face.Policy {
			t.Errorf("%s: %d %v", n[1], a.StatusCode, a.Header)
		}
		whole += string(a.body)
	}
	for _, never := range []string{"https://", "innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "DOMParser", "localStorage", "document.cookie", " style=", "<style", "onclick="} {
		if strings.Contains(strings.ReplaceAll(whole, "http://www.w3.org/2000/svg", ""), never) {
			t.Errorf("the page holds %s", never)
		}
	}
	if strings.Contains(face.Policy, "unsafe") || !strings.HasPrefix(face.Policy, "default-src 'none';") {
		t.Errorf("the policy is %s", face.Policy)
	}
}
