package engine

// #cgo linux LDFLAGS: -ldl
// #include <dlfcn.h>
// #include <stdlib.h>
import "C"

import (
	"errors"
	"unsafe"
)

// loadable asks the dynamic loader for a library by its name, which is the only answer that counts: it knows every search path.
func loadable(name string) error {
	s := C.CString(name)
	defer C.free(unsafe.Pointer(s))
	if C.dlopen(s, C.RTLD_LAZY) != nil {
		return nil // it stays loaded: the provider needs it next
	}
	return errors.New(C.GoString(C.dlerror()))
}
