package e2e_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	setup "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"docstream/ops/sample"
)

// tab is one tab of a real Chromium, with all it complained of and asked for.
type tab struct {
	t   *testing.T
	ctx context.Context
	dir string // of what is saved

	mu    sync.Mutex
	wrong []string // what the browser says of the page: violations of its policy, errors, exceptions
	asked []string // addresses
}

// openTab starts a browser of its own on an address.
func openTab(t *testing.T, address string) *tab {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("missing in CI: chromium (package chromium on Debian)")
		}
		t.Skip("missing: chromium (package chromium on Debian)")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()),
		chromedp.WindowSize(1200, 900), chromedp.WSURLReadTimeout(time.Minute), chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))
	ctx, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	b := &tab{t: t, ctx: ctx, dir: t.TempDir()}
	if _, err := chromedp.Run(ctx, chromedp.Navigate("about:blank")); err != nil { // starts the browser
		t.Fatal(err)
	}
	if err := chromedp.Listen(ctx, b.heard); err != nil {
		t.Fatal(err)
	}
	b.do(order(network.Enable, network.EnableParams{}), order(log.Enable, cdp.Empty{}), order(runtime.Enable, cdp.Empty{}),
		order(browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{Behavior: browser.SetDownloadBehaviorBehaviorAllow, DownloadPath: b.dir}),
		order(setup.AddScriptToEvaluateOnNewDocument, setup.AddScriptToEvaluateOnNewDocumentParams{
			Source: `window.violations = []; addEventListener("securitypolicyviolation", e => violations.push(e.violatedDirective + " " + e.blockedURI))`}),
		chromedp.Navigate(address))
	return b
}

// order is a command of the browser's own protocol.
func order[P, R any](command cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, t, command, params)
		return chromedp.Void{}, err
	}
}

// heard keeps what the browser tells.
func (b *tab) heard(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError && !strings.Contains(e.Entry.Text, "Failed to load resource") { // an answer of the API that is an error
			b.wrong = append(b.wrong, string(e.Entry.Source)+": "+e.Entry.Text)
		}
	case *runtime.EventExceptionThrown:
		b.wrong = append(b.wrong, "exception: "+e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		if string(e.Type) == "error" {
			b.wrong = append(b.wrong, "console.error")
		}
	case *network.EventRequestWillBeSent:
		b.asked = append(b.asked, e.Request.URL)
	}
}

func (b *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	for _, a := range actions {
		ctx, cancel := context.WithTimeout(b.ctx, 90*time.Second)
		_, err := chromedp.Run(ctx, a)
		cancel()
		if err != nil {
			b.t.Fatalf("the browser: %v; it complains of %v", err, b.wrong)
		}
	}
}

// eval returns what an expression is, as text.
func (b *tab) eval(expression string) string {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 90*time.Second)
	defer cancel()
	out, err := chromedp.Run(ctx, chromedp.Evaluate[string]("String("+expression+")"))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return out
}

// until waits until an expression is true.
func (b *tab) until(expression string) {
	b.t.Helper()
	for end := time.Now().Add(3 * time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if b.eval(expression) == "true" {
			return
		}
	}
	b.t.Fatalf("not in time: %s\nthe page reads: %s\nit complains of %v", expression, b.eval("document.body.innerText"), b.wrong)
}

// send submits a file the way a person does and waits for the job's end.
func (b *tab) send(path string) (job string) {
	b.t.Helper()
	b.do(chromedp.SetUploadFiles("#file", []string{path}), chromedp.Click("#submit"))
	b.until(`document.querySelectorAll("#downloads button").length === 6 && document.getElementById("name").textContent === ` + fmt.Sprintf("%q", filepath.Base(path)))
	return b.eval("location.hash.slice(1)")
}

// clean holds the page to what it promises whatever it shows.
func (b *tab) clean(api string) {
	b.t.Helper()
	if got := b.eval(`JSON.stringify([violations, localStorage.length, document.cookie, typeof window.pwned])`); got != `[[],0,"","undefined"]` {
		b.t.Errorf("violations of the policy, local storage, cookies, what a document ran: %s", got)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.wrong) > 0 {
		b.t.Errorf("the browser complains: %v", b.wrong)
	}
	for _, a := range b.asked {
		if !strings.HasPrefix(a, api+"/") && !strings.HasPrefix(a, "blob:"+api+"/") {
			b.t.Errorf("it asked for %s", a)
		}
	}
}

const hostile = "# Title <script>window.pwned = 1</script>\n\n<script>window.pwned = 2</script>\n\n<img src=x onerror=\"window.pwned = 3\">\n\n" +
	"[a link](javascript:window.pwned=4) and [another](data:text/html,<script>window.pwned=5</script>) and [a good one](https://example.org/good)\n\n" +
	"plain javascript:window.pwned=6 and <svg onload=window.pwned=7> <iframe srcdoc=\"<script>parent.pwned=8</script>\"></iframe>\n\n" +
	"| a | b |\n|---|---|\n| <b onclick=window.pwned=9>x</b> | [y](JaVaScRiPt:window.pwned=10) |\n"

func TestAPersonReadsADocumentInTheBrowser(t *testing.T) {
	p := start(t)
	b := openTab(t, p.dev.API)
	b.until(`location.pathname === "/ui/"`)

	b.do(chromedp.SendKeys("#key", "dsk_0000000000000000_nobody\r"))
	b.until(`document.getElementById("problem").textContent.startsWith("UNAUTHENTICATED: ")`)
	b.eval(`document.getElementById("key").value = ""`)
	b.do(chromedp.SendKeys("#key", p.dev.APIKey+"\r"))
	b.until(`!document.getElementById("send").hidden && document.getElementById("problem").hidden && document.activeElement.id === "file"`)

	pdf, _ := made(t, sample.Default())
	scan := filepath.Join(t.TempDir(), "a scan.pdf")
	if err := os.WriteFile(scan, pdf, 0o600); err != nil {
		t.Fatal(err)
	}
	id := b.send(scan)
	if got := b.eval(`[...document.querySelectorAll("#pages button")].map(e => e.textContent).join()`); got != "Page 1,Page 2,Page 3" {
		t.Errorf("its pages are %s", got)
	}
	b.do(chromedp.Click(`#pages li:nth-child(2) button`))
	b.until(`document.getElementById("reading").dataset.page === "2" && document.querySelector("#pages [aria-current]").textContent === "Page 2"`)
	b.do(chromedp.Focus(`input[value=read]`), chromedp.KeyEvent("\u0303")) // the arrow to the right goes from one way of showing to the next
	b.until(`document.getElementById("reading").dataset.view === "markdown"`)
	want := string(p.get("/api/v1/jobs/" + id + "/pages/2?format=markdown").body)
	if got := b.eval(`document.querySelector("#reading pre").textContent`); got != want {
		t.Errorf("raw reads\n%q\nwant\n%q", got, want)
	}
	b.do(chromedp.Click(`input[value=picture]`))
	b.until(`document.getElementById("reading").dataset.view === "picture" && document.querySelector("#reading img").naturalWidth > 100`)
	b.saved(p, id, "a scan")
	b.accessible()

	light := b.eval(`getComputedStyle(document.body).backgroundColor`)
	b.do(order(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}}))
	if dark := b.eval(`getComputedStyle(document.body).backgroundColor`); dark == light {
		t.Errorf("dark is as light: %s", dark)
	}
	b.do(chromedp.Reload())
	b.until(`document.querySelectorAll("#downloads button").length === 6`) // the address names the job, the tab keeps the key
	b.clean(p.dev.API)
	b.do(chromedp.Click("#forget"))
	if got := b.eval(`sessionStorage.length + " " + document.getElementById("send").hidden`); got != "0 true" {
		t.Errorf("the key is kept: %s", got)
	}

	b.do(chromedp.SendKeys("#key", p.dev.APIKey+"\r"))
	b.until(`!document.getElementById("send").hidden`)
	for _, name := range []string{"<img src=x onerror=window.pwned=11>.md", "'; window.pwned=12; '.html"} {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(hostile), 0o600); err != nil {
			t.Fatal(err)
		}
		b.hostile(path)
		b.clean(p.dev.API)
	}
}

// hostile shows a document that would run something, every way there is, and looks for what it could have made.
func (b *tab) hostile(path string) {
	b.t.Helper()
	b.send(path)
	for _, view := range []string{"read", "raw"} {
		b.do(chromedp.Click(`input[value=` + view + `]`))
		formats := []string{"read"}
		if view == "raw" {
			formats = []string{"markdown", "json", "html", "csv", "text"}
		}
		for _, f := range formats {
			if view == "raw" {
				b.eval(`document.getElementById("format").value = "` + f + `"`)
				b.eval(`document.getElementById("format").dispatchEvent(new Event("change"))`)
			}
			b.until(`document.getElementById("reading").dataset.view === "` + f + `" && document.getElementById("reading").childNodes.length > 0`)
			if got := b.eval(`document.querySelectorAll("#job script, #job iframe, #job svg, #job object, #job [onerror], #job [onload], #job [onclick], #job img").length`); got != "0" {
				b.t.Errorf("%s as %s made %s elements that could run", filepath.Base(path), f, got)
			}
			if got := b.eval(`[...document.querySelectorAll("#job a")].map(a => a.protocol).filter(p => p !== "https:").length`); got != "0" {
				b.t.Errorf("%s as %s made a link that could run", filepath.Base(path), f)
			}
		}
	}
	if !strings.Contains(b.eval(`document.getElementById("name").textContent`), "pwned") {
		b.t.Error("the name is not shown as it is")
	}
	b.do(chromedp.Click(`input[value=read]`))
	b.until(`document.getElementById("reading").dataset.view === "read"`)
}

// saved clicks every button and compares the files with what the API gives.
func (b *tab) saved(p *platform, id, name string) {
	b.t.Helper()
	for format, ending := range map[string]string{"markdown": ".md", "json": ".json", "html": ".html", "csv": ".csv", "text": ".txt", "zip": ".zip"} {
		want := p.result(id, format)
		b.eval(`[...document.querySelectorAll("#downloads button")].find(e => e.textContent === "Save ` + format + `").click()`)
		var got []byte
		p.eventually(time.Minute, format+" to be saved", func() bool {
			var err error
			got, err = os.ReadFile(filepath.Join(b.dir, name+ending))
			return err == nil && len(got) == len(want)
		})
		if string(got) != want {
			b.t.Errorf("%s as it was saved is not what the API gives", format)
		}
	}
}

// accessible holds every control to having a name, and the order of the keyboard to reaching all of them.
func (b *tab) accessible() {
	b.t.Helper()
	if got := b.eval(`[...document.querySelectorAll("input, select, button")].filter(e => !e.textContent.trim() && !(e.labels && e.labels.length) && !e.getAttribute("aria-label")).map(e => e.outerHTML).join()`); got != "" {
		b.t.Errorf("controls without a name: %s", got)
	}
	if got := b.eval(`document.querySelectorAll("[tabindex]:not([tabindex='0'])").length`); got != "0" {
		b.t.Errorf("%s elements are out of the order of the keyboard", got)
	}
	b.eval(`document.getElementById("forget").focus()`)
	reached := map[string]bool{}
	for range 30 {
		b.do(chromedp.KeyEvent("\t"))
		reached[b.eval(`document.activeElement.id || document.activeElement.textContent || document.activeElement.value`)] = true
	}
	for _, want := range []string{"file", "ocr", "figures", "submit", "Save markdown", "Page 1", "Page 3", "format", "reading"} {
		if !reached[want] {
			b.t.Errorf("the keyboard does not reach %s: %v", want, reached)
		}
	}
}
