package docstream

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// ErrForged is a webhook that was not signed with the secret, or not within five minutes.
var ErrForged = errors.New("docstream: the webhook is not genuine")

// Verify holds a webhook to a secret (whsec_…): the endpoint's own, or, where a submission named the address, the tenant's. body is what
// came, byte for byte. A message may come more than once: its webhook-id is then the same.
func Verify(secret string, h http.Header, body []byte, now time.Time) error {
	raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil || len(raw) == 0 {
		return errors.New("docstream: the secret is not one of webhooks")
	}
	at, err := strconv.ParseInt(h.Get("webhook-timestamp"), 10, 64)
	if err != nil || now.Sub(time.Unix(at, 0)).Abs() > 5*time.Minute {
		return ErrForged
	}
	mac := hmac.New(sha256.New, raw)
	mac.Write([]byte(h.Get("webhook-id") + "." + h.Get("webhook-timestamp") + "."))
	mac.Write(body)
	want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	for one := range strings.FieldsSeq(h.Get("webhook-signature")) { // one for each secret that is good, while they rotate
		if hmac.Equal([]byte(one), []byte(want)) {
			return nil
		}
	}
	return ErrForged
}
