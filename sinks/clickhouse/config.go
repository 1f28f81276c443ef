package clickhouse

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"time"

	driver "github.com/ClickHouse/clickhouse-go/v2"
)

// Config says where ClickHouse is.
type Config struct {
	DSN      string `koanf:"dsn"` // http://, https:// or clickhouse:// (native) with host:port; never a password
	Database string `koanf:"database"`
	User     string `koanf:"user"`
	Password string `koanf:"password" secret:"true"`

	Connections int           `koanf:"connections"` // at most
	Timeout     time.Duration `koanf:"timeout"`     // of one insert or statement of a migration
}

// DefaultConfig is a server on this machine.
func DefaultConfig() Config {
	return Config{DSN: "http://127.0.0.1:8123", Database: "docstream", User: "default", Connections: 4, Timeout: time.Minute}
}

var databaseForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,62}$`)

// Validate refuses settings that cannot work.
func (c Config) Validate() error {
	u, err := url.Parse(c.DSN)
	switch {
	case err != nil || u.Host == "":
		return errors.New("clickhouse: dsn is not an address such as http://host:8123 or clickhouse://host:9000")
	case u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "clickhouse" && u.Scheme != "tcp":
		return fmt.Errorf("clickhouse: dsn scheme %q is not http, https or clickhouse", u.Scheme)
	case u.User != nil || u.Query().Has("password"):
		return errors.New("clickhouse: dsn names a user or password; set user and password apart, where the password is kept out of sight")
	case !databaseForm.MatchString(c.Database):
		return fmt.Errorf("clickhouse: database %q is not a plain name", c.Database)
	case c.Connections < 1:
		return errors.New("clickhouse: connections is at least 1")
	case c.Timeout < time.Second:
		return errors.New("clickhouse: timeout is at least 1s")
	}
	return nil
}

// options of the driver for one database.
func (c Config) options(database string) (*driver.Options, error) {
	o, err := driver.ParseDSN(c.DSN)
	if err != nil {
		return nil, fmt.Errorf("clickhouse: %w", err)
	}
	o.Auth = driver.Auth{Database: database, Username: c.User, Password: c.Password}
	o.ClientInfo.Products = append(o.ClientInfo.Products, struct{ Name, Version string }{"docstream", "1"})
	o.DialTimeout, o.ReadTimeout = 5*time.Second, c.Timeout
	o.MaxOpenConns, o.MaxIdleConns, o.ConnMaxLifetime = c.Connections, c.Connections, 10*time.Minute
	if o.Settings == nil {
		o.Settings = driver.Settings{}
	}
	o.Settings["async_insert"] = 0 // an insert that returned is on disk, and its token is known
	return o, nil
}
