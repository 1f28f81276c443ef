package gateway

import (
	"context"
	"time"

	"github.com/gin-gonic/gin"

	"docstream/gateway/doors"
	"docstream/schemas"
)

// request is the context of a request and what its handlers leave for one another, and for the one line the log writes of it.
type request struct {
	context.Context
	asker   principal     // who asks
	until   time.Time     // when his token ends
	dialect doors.Dialect // how he wants to be answered; nil: as the API does
	code    schemas.Code  // error code of the answer
}

type requestKey struct{}

// Value finds the request itself from every context that is made of it.
func (r *request) Value(key any) any {
	if key == (requestKey{}) {
		return r
	}
	return r.Context.Value(key)
}

// requestOf is what observe gave the request.
func requestOf(c *gin.Context) *request {
	return c.Request.Context().Value(requestKey{}).(*request)
}
