package s3

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"
)

// What a record can mean beside a new object. Each is filtered on purpose and counted under its name.
const (
	reasonTest         = "test"         // S3 checks that it may write here
	reasonSubscription = "subscription" // SNS speaks of itself
	reasonForeign      = "foreign"      // another service's event
	reasonDeleted      = "deleted"      // an object went away
	reasonOther        = "other_event"  // anything else that happens to an object
	reasonFolder       = "folder"       // a key that ends in a slash, without bytes
	reasonNoRule       = "no_rule"      // no rule wants it
	reasonDuplicate    = "duplicate"    // its job is there already
)

// record is what one record of a message says: an object that was created, or a reason to pass it over.
type record struct {
	object
	sequencer string
	filtered  string
}

// envelope is every form a message can have, told apart by the fields that are there.
type envelope struct {
	Records []json.RawMessage `json:"Records"` // S3's own
	Event   string            `json:"Event"`   // of S3's test

	Type    string `json:"Type"` // SNS
	Message string `json:"Message"`

	DetailType string          `json:"detail-type"` // EventBridge
	Source     string          `json:"source"`
	Detail     json.RawMessage `json:"detail"`
	Time       string          `json:"time"`
}

// parse reads a message. A record that cannot be read is among the errors, and the others are returned none the less.
func parse(body []byte) ([]record, []error) { return unwrap(body, true) }

func unwrap(body []byte, outer bool) ([]record, []error) {
	var e envelope
	if err := json.Unmarshal(bytes.TrimSpace(body), &e); err != nil {
		return nil, []error{fmt.Errorf("the message is no JSON object of a notification: %w", err)}
	}
	switch {
	case e.Records != nil:
		return records(e.Records)
	case e.DetailType != "" && len(e.Detail) > 0:
		r, err := bridged(e)
		return one(r, err)
	case e.Event == "s3:TestEvent":
		return one(record{filtered: reasonTest}, nil)
	case e.Type == "Notification" && outer:
		return unwrap([]byte(e.Message), false)
	case e.Type == "SubscriptionConfirmation" || e.Type == "UnsubscribeConfirmation":
		return one(record{filtered: reasonSubscription}, nil)
	}
	return nil, []error{errors.New("the message is no notification of S3, SNS or EventBridge")}
}

func one(r record, err error) ([]record, []error) {
	if err != nil {
		return nil, []error{err}
	}
	return []record{r}, nil
}

func records(raw []json.RawMessage) (out []record, errs []error) {
	if len(raw) == 0 {
		return nil, []error{errors.New("the message has no records")}
	}
	for i, r := range raw {
		rec, err := native(r)
		if err != nil {
			errs = append(errs, fmt.Errorf("record %d of %d: %w", i+1, len(raw), err))
			continue
		}
		out = append(out, rec)
	}
	return out, errs
}

// notification is a record as S3 writes it; MinIO and Ceph write the same.
type notification struct {
	EventVersion string `json:"eventVersion"`
	EventSource  string `json:"eventSource"`
	EventName    string `json:"eventName"`
	EventTime    string `json:"eventTime"`
	Response     struct {
		RequestID string `json:"x-amz-request-id"`
	} `json:"responseElements"`
	S3 struct {
		Bucket struct {
			Name string `json:"name"`
		} `json:"bucket"`
		Object struct {
			Key       string `json:"key"`
			Size      int64  `json:"size"`
			ETag      string `json:"eTag"`
			VersionID string `json:"versionId"`
			Sequencer string `json:"sequencer"`
		} `json:"object"`
	} `json:"s3"`
}

// rawKeys is the one source whose keys are not URL-encoded.
const rawKeys = "ceph:s3"

func native(raw json.RawMessage) (record, error) {
	var n notification
	if err := json.Unmarshal(raw, &n); err != nil {
		return record{}, err
	}
	switch {
	case n.EventSource == "":
		return record{}, errors.New("it names no source")
	case !strings.HasSuffix(n.EventSource, ":s3"):
		return record{filtered: reasonForeign}, nil
	case n.EventVersion != "" && !strings.HasPrefix(n.EventVersion, "2."):
		return record{}, fmt.Errorf("version %q of the notification is not known", n.EventVersion)
	}
	o := n.S3.Object
	key := o.Key
	if n.EventSource != rawKeys {
		var err error
		if key, err = url.QueryUnescape(key); err != nil {
			return record{}, fmt.Errorf("the key is not URL-encoded: %w", err)
		}
	}
	r := record{sequencer: o.Sequencer, object: object{bucket: n.S3.Bucket.Name, key: key, version: versionOf(o.VersionID), etag: strings.Trim(o.ETag, `"`),
		size: o.Size, request: n.Response.RequestID}}
	return finish(r, kind(n.EventName), n.EventTime)
}

// kind returns what an event's name means: "" for a created object, else the reason to pass it over.
func kind(name string) string {
	name = strings.TrimPrefix(name, "s3:")
	switch {
	case strings.HasPrefix(name, "ObjectCreated:"):
		return ""
	case strings.HasPrefix(name, "ObjectRemoved:"), strings.HasPrefix(name, "LifecycleExpiration:"):
		return reasonDeleted
	case name == "TestEvent":
		return reasonTest
	}
	return reasonOther
}

// bridged reads an event of EventBridge, whose keys are written as they are.
func bridged(e envelope) (record, error) {
	if e.Source != "aws.s3" {
		return record{filtered: reasonForeign}, nil
	}
	var d struct {
		Bucket struct {
			Name string `json:"name"`
		} `json:"bucket"`
		Object struct {
			Key       string `json:"key"`
			Size      int64  `json:"size"`
			ETag      string `json:"etag"`
			VersionID string `json:"version-id"`
			Sequencer string `json:"sequencer"`
		} `json:"object"`
		RequestID string `json:"request-id"`
	}
	if err := json.Unmarshal(e.Detail, &d); err != nil {
		return record{}, err
	}
	meaning := reasonOther
	switch e.DetailType {
	case "Object Created":
		meaning = ""
	case "Object Deleted":
		meaning = reasonDeleted
	}
	r := record{sequencer: d.Object.Sequencer, object: object{bucket: d.Bucket.Name, key: d.Object.Key, version: versionOf(d.Object.VersionID),
		etag: strings.Trim(d.Object.ETag, `"`), size: d.Object.Size, request: d.RequestID}}
	return finish(r, meaning, e.Time)
}

// maxKey is S3's own bound of a key, in bytes.
const maxKey = 1024

// finish checks what every created object must say.
func finish(r record, meaning, at string) (record, error) {
	r.filtered = meaning
	if meaning != "" {
		return r, nil
	}
	switch {
	case r.bucket == "" || r.key == "":
		return record{}, errors.New("it names no bucket or no key")
	case len(r.key) > maxKey || !utf8.ValidString(r.key) || strings.ContainsRune(r.key, 0):
		return record{}, errors.New("the key is none that S3 can hold")
	case r.version == "" && r.etag == "":
		return record{}, errors.New("it names neither a version nor an entity tag")
	case r.size < 0:
		return record{}, errors.New("the size is negative")
	}
	if at != "" {
		t, err := time.Parse(time.RFC3339, at)
		if err != nil {
			return record{}, errors.New("the time of the event cannot be read")
		}
		r.at = t
	}
	if r.size == 0 && strings.HasSuffix(r.key, "/") {
		r.filtered = reasonFolder
	}
	return r, nil
}

// versionOf drops the name S3 has for the version of an object in a bucket that keeps none.
func versionOf(id string) string {
	if id == "null" {
		return ""
	}
	return id
}

// later compares two sequencers of one key as S3 says to: the shorter one padded with zeros on the right.
func later(a, b string) int {
	n := max(len(a), len(b))
	pad := func(s string) string { return strings.ToUpper(s) + strings.Repeat("0", n-len(s)) }
	return strings.Compare(pad(a), pad(b))
}
