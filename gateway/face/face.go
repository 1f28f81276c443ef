// Package face is the first page a person sees in a browser: submit a document, watch its pages arrive, read and save the result.
//
// It is a client of the public API and of nothing else: static files without a build step, which ask no other origin for anything. Text of
// documents reaches the page as text alone; nothing in it is ever parsed as HTML (P7, P8).
package face

import (
	"embed"
	"path"
)

//go:embed index.html style.css app.js calls.js render.js icon.svg
var files embed.FS

// Policy is the Content-Security-Policy of every file: scripts and styles of this origin and no inline ones, pictures also out of memory,
// requests to this origin, no frames, no forms that go anywhere; and the browser refuses text where script could come of it.
const Policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; " +
	"frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// mediaTypes of the files, by ending.
var mediaTypes = map[string]string{
	".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
}

// Open returns a file by its name and its media type; the empty name is the page itself. False: there is none.
func Open(name string) (body []byte, mediaType string, ok bool) {
	if name == "" {
		name = "index.html"
	}
	b, err := files.ReadFile(name)
	return b, mediaTypes[path.Ext(name)], err == nil
}
