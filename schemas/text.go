package schemas

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Text writes an event as JSON, field by field under the names of its schema: bytes in base64, times as in RFC 3339. The same event has the
// same bytes. It is for objects that outlive the registry, and for people.
func Text(e Event) ([]byte, error) {
	b, err := json.Marshal(e.native()) // the keys of maps are sorted
	if err != nil {
		return nil, fmt.Errorf("%s as JSON: %w", e.Kind(), err)
	}
	return b, nil
}

// ReadText reads what Text of any build wrote: fields that are missing are the defaults, those that are not known are passed over.
func ReadText(b []byte, into Event) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var m map[string]any
	if err := d.Decode(&m); err != nil {
		return fmt.Errorf("a %s in JSON: %w", into.Kind(), err)
	}
	into.load(m)
	return nil
}
