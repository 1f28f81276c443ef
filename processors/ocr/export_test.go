package ocr

import "docstream/internal/engine/raster"

// Part is a line after the spaces that were not read were added; each character stands in the middle of its own part of the width, an
// underscore for a place where nothing was read.
func Part(line string, im *raster.Image) string {
	var s transcript
	runes := []rune(line)
	for i, c := range runes {
		if c == '_' {
			continue
		}
		s.chars = append(s.chars, char{string(c), (float64(i) + .5) / float64(len(runes)), 1})
	}
	s.part((&gauge{}).ink(nil, im))
	return s.text()
}
