//go:build !linux

package objects

// keepsOrder knows no file system here that commits names with the files that bear them.
func keepsOrder(string) bool { return false }
