//go:build !linux

package doctor

import "errors"

func free(string) (int64, error) { return 0, errors.New("free space is known on Linux only") }
