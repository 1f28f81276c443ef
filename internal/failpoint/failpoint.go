// Package failpoint lets a test end a process between two steps of its work, as a kill would that comes at that very moment.
//
// The environment variable FAILPOINTS, read once, names a folder. A process that passes a point of which a file in the folder has the name
// removes the file and kills itself with signal 9. Without the variable a point costs a comparison, and nothing can be armed.
package failpoint

import (
	"os"
	"path/filepath"
	"syscall"
)

// Variable names the folder in the environment.
const Variable = "FAILPOINTS"

var folder = os.Getenv(Variable)

// The steps of a submission, in order.
const (
	Stored    = "gateway.stored"    // the bytes are durable, nothing else is
	Promised  = "gateway.promised"  // with an Idempotency-Key: what was promised is durable, the event is not
	Published = "gateway.published" // the event is durable, the client has no answer
)

// The steps that every stage and every fold has, after its name.
const (
	Worked    = ".worked"    // the work is done, nothing is produced
	Produced  = ".produced"  // everything is produced, the transaction is open
	Committed = ".committed" // the transaction is decided, nobody here knows it
)

// The objects of prepare: no event names them yet.
const (
	Imaged  = "prepare.imaged"  // the image of one page is durable
	Chunked = "prepare.chunked" // the pages of a chunk that need no image are durable
)

// The steps of a message to a receiver, and of the event it comes from.
const (
	Spread   = "deliver.spread"   // the receivers were looked up, no message is written
	Answered = "deliver.answered" // the receiver answered, nothing says so
	Told     = "deliver.told"     // what became of it is durable, and was not read back
)

// Composed is the moment at which every output of a document is durable and no event says so; Composing that at which one of them is.
const (
	Composing = "compose.composing"
	Composed  = "compose.composed"
)

// The steps of a sink.
const (
	Inserted = "clickhouse.inserted" // one of the tables has its rows
	Written  = ".written"            // after its name: the store has the batch, the offsets are not committed
	Kept     = "jobs.kept"           // how the runs of a batch ended is durable, and no fact says so
)

// At is a point between two steps.
func At(name string) {
	if folder == "" || os.Remove(filepath.Join(folder, name)) != nil {
		return
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}
