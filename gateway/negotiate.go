package gateway

import (
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"
)

// mediaTypes are the types the formats are asked for by.
var mediaTypes = map[string]string{
	"markdown": "text/markdown", "json": "application/json", "html": "text/html", "csv": "text/csv", "text": "text/plain",
}

// maxAccept bounds how many entries of an Accept header are read.
const maxAccept = 32

// negotiate lists, best first, the composed formats an Accept header takes. Equal wishes go by the order of Formats; no header takes
// everything.
func negotiate(accept string, composed []string) []string {
	if strings.TrimSpace(accept) == "" {
		accept = "*/*"
	}
	quality := map[string]float64{}
	exact := map[string]int{} // how exactly the entry that decided named the format
	for i, entry := range strings.Split(accept, ",") {
		if i == maxAccept {
			break
		}
		kind, q := preference(entry)
		if q < 0 {
			continue
		}
		for _, f := range Formats {
			if n := exactness(kind, mediaTypes[f]); n > exact[f] {
				exact[f], quality[f] = n, q
			}
		}
	}
	var out []string
	for _, f := range Formats {
		if quality[f] > 0 && slices.Contains(composed, f) {
			out = append(out, f)
		}
	}
	slices.SortStableFunc(out, func(a, b string) int {
		switch {
		case quality[a] > quality[b]:
			return -1
		case quality[a] < quality[b]:
			return 1
		}
		return 0
	})
	return out
}

// preference reads one entry of an Accept header: the type and how much it is wished for; below 0 where it cannot be read.
func preference(entry string) (kind string, q float64) {
	kind, params, err := mime.ParseMediaType(strings.TrimSpace(entry))
	if err != nil {
		return "", -1
	}
	v, ok := params["q"]
	if !ok {
		return kind, 1
	}
	if q, err = strconv.ParseFloat(v, 64); err != nil || q < 0 || q > 1 {
		return "", -1
	}
	return kind, q
}

// exactness is 3 for the type itself, 2 for its family, 1 for anything, 0 where the entry does not take the type.
func exactness(entry, t string) int {
	family, _, _ := strings.Cut(t, "/")
	switch entry {
	case t:
		return 3
	case family + "/*":
		return 2
	case "*/*":
		return 1
	}
	return 0
}

// unchanged answers 304 where the client has what bears the tag, and reports whether it did.
func unchanged(c *gin.Context, tag string) bool {
	known := c.GetHeader("If-None-Match")
	if known == "" || !matches(known, tag) {
		return false
	}
	c.Header("ETag", tag)
	c.Status(http.StatusNotModified)
	c.Writer.WriteHeaderNow()
	return true
}

// matches reports whether an If-None-Match header names the tag; weak and strong count as the same.
func matches(header, tag string) bool {
	for t := range strings.SplitSeq(header, ",") {
		t = strings.TrimSpace(t)
		if t == "*" || t != "" && strings.TrimPrefix(t, "W/") == strings.TrimPrefix(tag, "W/") {
			return true
		}
	}
	return false
}
