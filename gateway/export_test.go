package gateway

import (
	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
)

// Routes lists method and path of every route the router has, for the test that holds the description to it.
func Routes() [][2]string {
	gin.SetMode(gin.ReleaseMode)
	g := &Gateway{metrics: newMetrics(nil)}
	var out [][2]string
	for _, r := range g.engine(prometheus.NewRegistry()).Routes() {
		out = append(out, [2]string{r.Method, r.Path})
	}
	return out
}
