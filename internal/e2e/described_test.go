package e2e_test

import (
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
)

// watched is an address before the API for clients that are no Go code of ours: what goes through is held to the OpenAPI document.
func (p *platform) watched() string {
	p.t.Helper()
	if p.watch == nil {
		s := httptest.NewServer(&httputil.ReverseProxy{
			Rewrite: func(r *httputil.ProxyRequest) {
				to, err := url.Parse(p.dev.API) // it may have moved
				if err != nil {
					p.t.Errorf("the address of the API: %v", err)
					return
				}
				r.SetURL(to)
			},
			Transport: p.client().Transport,
		})
		p.t.Cleanup(s.Close)
		p.watch = s
	}
	return p.watch.URL
}
