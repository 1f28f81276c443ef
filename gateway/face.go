package gateway

import (
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"docstream/gateway/face"
	"docstream/schemas"
)

// browsers is where the page for people lies.
const browsers = "/ui/"

// face serves the page for people and its files. They hold nothing of anybody: whoever uses them brings a key.
func (g *Gateway) face(c *gin.Context) error {
	body, media, ok := face.Open(c.Param("asset"))
	if !ok {
		return refuse(schemas.RouteNotFound, "")
	}
	c.Header("Content-Security-Policy", face.Policy)
	g.reply(c, http.StatusOK, media, body)
	return nil
}

// wantsPage reports whether a client names HTML, as browsers do and programs do not.
func wantsPage(accept string) bool {
	for part := range strings.SplitSeq(accept, ",") {
		if kind, q := preference(part); kind == "text/html" && q > 0 {
			return true
		}
	}
	return false
}
