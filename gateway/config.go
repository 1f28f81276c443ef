package gateway

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"docstream/gateway/issuers"
	"docstream/internal/blob"
	"docstream/internal/outbound"
	"docstream/internal/topology"
)

// Config is what an operator decides about the HTTP face.
type Config struct {
	Listen    string `koanf:"listen"`     // host:port; this machine only, unless told otherwise
	PublicURL string `koanf:"public_url"` // put before the addresses in answers; empty: they are relative

	MaxUploadBytes int64         `koanf:"max_upload_bytes"` // of one file
	MaxInlineBytes int64         `koanf:"max_inline_bytes"` // of a document in base64, which is held in memory
	Uploads        int           `koanf:"uploads"`          // at once; above it 503
	UploadWait     time.Duration `koanf:"upload_wait"`      // for a place among them
	UploadBytes    int64         `koanf:"upload_bytes"`     // of all files in flight together; above it 503
	MinUploadRate  int64         `koanf:"min_upload_rate"`  // bytes a second, after the stall time; a slower body is given up
	Stall          time.Duration `koanf:"stall"`            // a connection on which no byte moves for so long is given up

	Followers      int           `koanf:"followers"`       // streams of events at once; above it 503
	DoorWait       time.Duration `koanf:"door_wait"`       // for a job to end at the synchronous doors of other services' APIs; past it they say where to ask on
	MaxWait        time.Duration `koanf:"max_wait"`        // for the view to be as new as a request; past it 503
	PublishTimeout time.Duration `koanf:"publish_timeout"` // for the log to take a submission; past it 503
	HeaderTimeout  time.Duration `koanf:"header_timeout"`  // to send the head of a request
	IdleTimeout    time.Duration `koanf:"idle_timeout"`    // between two requests of a connection
	DrainDelay     time.Duration `koanf:"drain_delay"`     // after which a gateway that stops takes no new connection: the time until a balancer has asked /readyz
	DrainTimeout   time.Duration `koanf:"drain_timeout"`   // for requests in flight when the gateway stops

	ResultLinks time.Duration `koanf:"result_links"` // a whole output is fetched from the object store itself, by a link that holds so long; 0: through the gateway

	UploadLinks     time.Duration `koanf:"upload_links"`      // a document is sent to the object store itself by links that hold so long, and completed within it
	UploadPartBytes int64         `koanf:"upload_part_bytes"` // a larger one is sent in parts of so many bytes, unless the client says otherwise

	BatchBytes    int64 `koanf:"batch_bytes"`    // of a batch as it is sent
	BatchUnpacked int64 `koanf:"batch_unpacked"` // bytes that the files of a batch in a zip have together

	Cache time.Duration `koanf:"cache"` // the same document with the same options is not read again for so long; 0: always

	MaxBacklog time.Duration `koanf:"max_backlog"` // work that would wait longer is not accepted: 503; 0: any is

	Plans       []Plan `koanf:"plans"`
	DefaultPlan string `koanf:"default_plan"` // of a tenant that was given none
	Prices      Prices `koanf:"prices"`       // nano-dollars

	Tokens issuers.Config `koanf:"tokens"` // of OpenID Connect issuers, taken besides API keys

	Fetch    outbound.Config `koanf:"-"` // which addresses documents may be fetched from: fetch's own section
	Webhooks outbound.Config `koanf:"-"` // whom webhooks may reach: deliver's own section

	GPUTypes []string `koanf:"gpu_types"` // media types that go to the gpu class at submit, such as image/*; all others go to cpu
}

// DefaultConfig suits one machine.
func DefaultConfig() Config {
	return Config{
		Listen: "127.0.0.1:8080", MaxUploadBytes: 500 << 20, MaxInlineBytes: 4 << 20, Uploads: 64, UploadBytes: 8 << 30, UploadWait: time.Second, MinUploadRate: 4 << 10,
		Stall: 30 * time.Second, Followers: 4096,
		DoorWait: 2 * time.Minute, MaxWait: 5 * time.Second, PublishTimeout: 10 * time.Second, HeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		DrainTimeout: 30 * time.Second, GPUTypes: []string{"image/*"}, MaxBacklog: 12 * time.Hour, Cache: 24 * time.Hour, UploadLinks: time.Hour, UploadPartBytes: 64 << 20, BatchBytes: 1 << 30, BatchUnpacked: 8 << 30,
		Webhooks: outbound.DefaultConfig(), Fetch: outbound.DefaultConfig(), Plans: DefaultPlans(), DefaultPlan: "enterprise", Tokens: issuers.DefaultConfig(),
		Prices: Prices{Document: 100_000, Page: 500_000, CPUSecond: 20_000, GPUSecond: 300_000, StoredGB: 20_000_000},
	}
}

// Validate refuses settings that cannot work.
func (c Config) Validate() error {
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		return fmt.Errorf("gateway: listen %q is not host:port", c.Listen)
	}
	if c.PublicURL != "" {
		if u, err := url.Parse(c.PublicURL); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.RawQuery != "" {
			return errors.New("gateway: public_url is not an http:// or https:// address")
		}
	}
	switch {
	case c.MaxUploadBytes < 1:
		return errors.New("gateway: max_upload_bytes is below 1")
	case c.MaxInlineBytes < 1 || c.MaxInlineBytes > 64<<20:
		return errors.New("gateway: max_inline_bytes is not between 1 and 64 MiB")
	case c.Followers < 1:
		return errors.New("gateway: followers is below 1")
	case c.Uploads < 1:
		return errors.New("gateway: uploads is below 1")
	case c.UploadBytes < 1:
		return errors.New("gateway: upload_bytes is below 1")
	case c.ResultLinks < 0 || c.ResultLinks > blob.MaxLink || c.ResultLinks > 0 && c.ResultLinks < time.Second:
		return errors.New("gateway: result_links is neither 0 nor between 1s and 168h")
	case c.UploadLinks < time.Second || c.UploadLinks > blob.MaxLink:
		return errors.New("gateway: upload_links is not between 1s and 168h")
	case c.UploadPartBytes < leastPart || c.UploadPartBytes > mostPart || c.MaxUploadBytes/c.UploadPartBytes >= maxDirectParts:
		return errors.New("gateway: upload_part_bytes is not between 5 MiB and 5 GiB, or max_upload_bytes has more than 1000 such parts")
	case c.BatchBytes < 1 || c.BatchUnpacked < 1:
		return errors.New("gateway: batch_bytes and batch_unpacked are above 0")
	case c.Cache < 0:
		return errors.New("gateway: cache is negative")
	case c.MaxBacklog < 0:
		return errors.New("gateway: max_backlog is negative")
	case c.MinUploadRate < 1:
		return errors.New("gateway: min_upload_rate is below 1")
	case c.UploadWait < 0:
		return errors.New("gateway: upload_wait is negative")
	case c.DrainDelay < 0 || c.DrainDelay > time.Minute:
		return errors.New("gateway: drain_delay is not between 0 and 1m")
	}
	for name, d := range map[string]time.Duration{"stall": c.Stall, "door_wait": c.DoorWait, "max_wait": c.MaxWait, "publish_timeout": c.PublishTimeout,
		"header_timeout": c.HeaderTimeout, "idle_timeout": c.IdleTimeout, "drain_timeout": c.DrainTimeout} {
		if d <= 0 {
			return fmt.Errorf("gateway: %s is not above 0", name)
		}
	}
	return c.plans()
}

// plans refuses plans that cannot work, two of one name, and those that are named and there are not.
func (c Config) plans() error {
	seen := map[string]bool{}
	for _, p := range c.Plans {
		if err := p.Validate(); err != nil {
			return err
		}
		if seen[p.Name] {
			return fmt.Errorf("gateway: there are two plans %s", p.Name)
		}
		seen[p.Name] = true
	}
	if !seen[c.DefaultPlan] {
		return fmt.Errorf("gateway: default_plan %q is none of the plans", c.DefaultPlan)
	}
	for _, i := range c.Tokens.Issuers {
		if i.Plan != "" && !seen[i.Plan] {
			return fmt.Errorf("gateway: the plan %q of issuer %q is none of the plans", i.Plan, i.URL)
		}
	}
	if err := c.Tokens.Validate(); err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	return c.Prices.Validate()
}

// class is the hardware class a document of the media type is first sent to. Prepare corrects it once it has opened the document.
func (c Config) class(media string) string {
	for _, t := range c.GPUTypes {
		if family, all := strings.CutSuffix(t, "/*"); t == media || all && strings.HasPrefix(media, family+"/") {
			return topology.Classes[1]
		}
	}
	return topology.Classes[0]
}
