package view

import (
	"crypto/sha256"
	"path"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"docstream/schemas"
)

// sameKey is where the newest completed job of a tenant lies that read certain bytes with certain options. The ending of the file's name
// counts, for it tells kinds of text apart.
func sameKey(tenant string, s schemas.Source, o schemas.Options) []byte {
	sum := sha256.Sum256([]byte(s.SHA256 + "\n" + strings.ToLower(path.Ext(s.Filename)) + "\n" + o.Canonical()))
	return append(ownKey('h', tenant, ""), sum[:]...)
}

// note remembers a job that is completed under what it read.
func (v *View) note(s *schemas.JobSnapshot) error {
	if s == nil || s.Status != schemas.Completed || s.Source.SHA256 == "" {
		return nil
	}
	return v.store.db.Set(sameKey(s.Tenant, s.Source, s.Options), []byte(s.JobID), pebble.NoSync)
}

// unnote forgets a job that is let go under what it read, where no later one took its place.
func (v *View) unnote(row []byte, job string) error {
	s, ok := v.read(row)
	if !ok || s.Source.SHA256 == "" {
		return nil
	}
	at := sameKey(s.Tenant, s.Source, s.Options)
	id, err := v.store.get(at)
	if err != nil || string(id) != job {
		return err
	}
	return v.store.db.Delete(at, pebble.NoSync)
}

// Same returns the newest job of the tenant known here that read the same bytes, as the same kind of document, with the same options, and
// was completed at or after a time; false where there is none. It is as it stands now: run anew, deleted or gone, it is none.
func (v *View) Same(tenant string, source schemas.Source, o schemas.Options, since time.Time) (*schemas.JobSnapshot, bool) {
	if source.SHA256 == "" || !schemas.ValidTenant(tenant) {
		return nil, false
	}
	v.opened.RLock()
	defer v.opened.RUnlock()
	if v.store == nil {
		return nil, false
	}
	id, err := v.store.get(sameKey(tenant, source, o))
	if err != nil || id == nil {
		v.broken(err)
		return nil, false
	}
	s, ok := v.read(rowKey(tenant, string(id)))
	if !ok || s.Status != schemas.Completed || !s.DeletedAt.IsZero() || s.EndedAt.Before(since) || s.Source.SHA256 != source.SHA256 ||
		s.Source.MediaType != source.MediaType || s.Options.Canonical() != o.Canonical() {
		return nil, false
	}
	return s, true
}
