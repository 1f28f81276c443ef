package analytics

import (
	"encoding/binary"
	"math"
)

// helloQuery is what the Go driver asks first, in its own block format.
const helloQuery = "SELECT displayName(), version(), revision(), timezone()"

// hello answers it with one row at the driver's protocol version. The revision it reports is 0: from then on the
// driver speaks and expects plain Native blocks, which is what the engine reads and writes.
func hello(version, timezone string) []byte {
	b := []byte{1, 0, 2} // block info: not an overflow block, bucket …
	b = binary.LittleEndian.AppendUint32(b, math.MaxUint32)
	b = append(b, 0, 4, 1) // … none; four columns, one row
	text := func(s string) { b = append(binary.AppendUvarint(b, uint64(len(s))), s...) }
	column := func(name, kind string) {
		text(name)
		text(kind)
		b = append(b, 0) // no custom serialization
	}
	column("displayName()", "String")
	text("docstream")
	column("version()", "String")
	text(version)
	column("revision()", "UInt32")
	b = binary.LittleEndian.AppendUint32(b, 0)
	column("timezone()", "String")
	text(timezone)
	return b
}
