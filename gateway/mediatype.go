package gateway

import (
	"docstream/internal/media"
	"docstream/schemas"
)

// mediaType finds what a file is by its first bytes. The bytes have the last word; what the client declares must not contradict them.
func mediaType(head []byte, declared, filename string) (string, error) {
	found := media.Detect(head, declared, filename)
	if found == "" {
		return "", refuse(schemas.UnsupportedMediaType, "").with("found", media.Looks(head)).with("supported", media.Types)
	}
	if !media.Agrees(found, declared) {
		return "", refuse(schemas.MediaTypeMismatch, "").with("declared", clip(media.Canonical(declared), 80)).with("found", found)
	}
	return found, nil
}
