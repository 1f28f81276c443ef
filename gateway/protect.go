package gateway

import (
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
)

// protection is what every answer says. All answers share these values: they are replaced, never written to.
var protection = []struct {
	name  string // in its canonical form
	value []string
}{
	{"X-Content-Type-Options", []string{"nosniff"}},
	{"X-Frame-Options", []string{"DENY"}},
	{"Referrer-Policy", []string{"no-referrer"}},
	{"Cross-Origin-Resource-Policy", []string{"same-origin"}},
	{"Cache-Control", []string{"no-store"}},
	// A result in HTML is a stranger's document: it may be looked at, never run.
	{"Content-Security-Policy", []string{"default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; sandbox"}},
}

// protect sets what every answer says to browsers. There is no CORS: a page of another origin reads nothing.
func (g *Gateway) protect(c *gin.Context) {
	h := c.Writer.Header()
	for _, p := range protection {
		h[p.name] = p.value
	}
	if strings.HasPrefix(g.cfg.PublicURL, "https://") {
		c.Header("Strict-Transport-Security", "max-age=31536000")
	}
	conn := http.NewResponseController(c.Writer) // a recorder has no deadlines: errors mean nothing
	_ = conn.SetWriteDeadline(time.Now().Add(g.cfg.MaxWait + leftover + g.cfg.Stall))
	if c.Request.ContentLength != 0 { // of a body that a route leaves unread the server reads a little before it answers: not for ever
		_ = conn.SetReadDeadline(time.Now().Add(min(g.cfg.Stall, leftover)))
	}
	c.Next()
}

// leftover bounds the wait for what is left of a body nobody wants.
const leftover = 5 * time.Second

// clip shortens what a client wrote before it is said back.
func clip(s string, n int) string {
	s = strings.ToValidUTF8(s, "?")
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
