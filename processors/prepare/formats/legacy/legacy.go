// Package legacy reads the old formats of Word, Excel and PowerPoint: LibreOffice turns them into the new ones, which are read as such.
//
// LibreOffice runs as a process of its own, with a folder of its own for everything it writes, and is killed with all it started when its
// time is over. Where it is not installed, such documents are refused with a code that says so.
package legacy

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"docstream/internal/fault"
	"docstream/processors/prepare/formats"
	"docstream/schemas"
)

// The media types of the format.
const (
	Word   = "application/msword"
	Excel  = "application/vnd.ms-excel"
	Slides = "application/vnd.ms-powerpoint"
)

// modern are the endings of what each is turned into.
var modern = map[string]struct{ from, to string }{Word: {"doc", "docx"}, Excel: {"xls", "xlsx"}, Slides: {"ppt", "pptx"}}

// Format is the three old formats.
type Format struct {
	program string
	time    time.Duration
	formats map[string]formats.Format // of the new kinds, by ending
}

// New returns the format; the program is looked for in the path unless it is one.
func New(program string, limit time.Duration, word, excel, slides formats.Format) Format {
	return Format{program, limit, map[string]formats.Format{"docx": word, "xlsx": excel, "pptx": slides}}
}

// Claims reports whether the media type is one of the three.
func (Format) Claims(media string) bool { return modern[media].to != "" }

// Open converts the document and opens what came of it.
func (m Format) Open(f *os.File, _ int64, media string, l formats.Limits) (formats.Document, error) {
	program, err := exec.LookPath(m.program)
	if err != nil {
		return nil, fault.Document(schemas.ConverterMissing, "%s", schemas.Codes[schemas.ConverterMissing].Meaning)
	}
	dir, err := os.MkdirTemp("", "docstream-convert-")
	if err != nil {
		return nil, local(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	kind := modern[media]
	if err := copyTo(filepath.Join(dir, "document."+kind.from), f); err != nil {
		return nil, local(err)
	}
	if err := m.convert(program, dir, kind.from, kind.to); err != nil {
		return nil, err
	}
	out, err := os.Open(filepath.Join(dir, "out", "document."+kind.to))
	if err != nil {
		return nil, formats.Corrupt(errors.New("LibreOffice wrote nothing")) // it says nothing more of a document it cannot read
	}
	info, err := out.Stat()
	if err != nil {
		_ = out.Close()
		return nil, local(err)
	}
	d, err := m.formats[kind.to].Open(out, info.Size(), "", l)
	if err != nil {
		_ = out.Close()
		return nil, err
	}
	return &converted{d, out}, nil
}

// convert runs the program, bounded in time.
func (m Format) convert(program, dir, from, to string) error {
	ctx, cancel := context.WithTimeout(context.Background(), m.time)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "-env:UserInstallation=file://"+filepath.ToSlash(filepath.Join(dir, "profile")), "--headless", "--norestore", "--nolockcheck",
		"--nodefault", "--nofirststartwizard", "--convert-to", to, "--outdir", filepath.Join(dir, "out"), filepath.Join(dir, "document."+from))
	cmd.Dir = dir
	cmd.Env = []string{"HOME=" + dir, "TMPDIR=" + dir, "PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8"} // nothing of the worker's
	together(cmd)
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		return fault.Document(schemas.EngineTimeout, "%s", schemas.Codes[schemas.EngineTimeout].Meaning).Because(ctx.Err())
	case err != nil:
		return formats.Corrupt(err)
	}
	return nil
}

func copyTo(name string, f *os.File) error {
	out, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err := f.Seek(0, 0); err != nil {
		_ = out.Close()
		return err
	}
	_, err = out.ReadFrom(f)
	return errors.Join(err, out.Close())
}

// converted is the new document with the file it is read from; the file has no name any more.
type converted struct {
	formats.Document
	file *os.File
}

// Close closes both.
func (c *converted) Close() {
	c.Document.Close()
	_ = c.file.Close()
}

func local(err error) error {
	return fault.World(schemas.ServiceUnavailable, "%s", schemas.Codes[schemas.ServiceUnavailable].Meaning).Because(err)
}
