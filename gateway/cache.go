package gateway

import (
	"docstream/producers"
	"docstream/schemas"
)

// reuse lets a submission keep the pages of an earlier job of the tenant that read the same bytes with the same options lately, and was
// completed. What is decided stands in the submission, so that everybody who reads it goes by the same. Prepare copies the pages where the
// pipeline is still the same and they are still there, and reads those that are not.
func (g *Gateway) reuse(e *schemas.DocumentSubmitted, fresh bool) {
	if g.cfg.Cache == 0 || fresh {
		g.metrics.cache.WithLabelValues("off").Inc()
		return
	}
	was, ok := g.view.Same(e.Tenant, e.Source, e.Options, e.At.Add(-g.cfg.Cache))
	if !ok {
		g.metrics.cache.WithLabelValues("miss").Inc()
		return
	}
	g.metrics.cache.WithLabelValues("hit").Inc()
	producers.Keep(e, was)
	e.BaseJob = was.JobID
}
