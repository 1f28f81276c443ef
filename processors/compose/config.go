package compose

import "fmt"

// Config bounds what composing holds in memory.
type Config struct {
	MaxPage int64 `koanf:"max_page"` // bytes of one page result as JSON; a larger one fails the composition
}

// DefaultConfig takes any page that prepare and ocr can write.
func DefaultConfig() Config { return Config{MaxPage: 64 << 20} }

// Validate names every value that cannot work.
func (c Config) Validate() error {
	if c.MaxPage <= 0 {
		return fmt.Errorf("compose: max_page must be positive, is %d", c.MaxPage)
	}
	return nil
}
