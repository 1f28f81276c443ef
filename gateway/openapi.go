package gateway

import (
	_ "embed"
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"
)

// OpenAPI is the description of the API: OpenAPI 3.1, the same routes as the router and only those.
//
//go:embed openapi.json
var OpenAPI []byte

func (g *Gateway) openAPI(c *gin.Context) error {
	g.mayWrite(c)
	c.Header("Content-Length", strconv.Itoa(len(OpenAPI)))
	c.Data(http.StatusOK, "application/json", OpenAPI)
	return nil
}
