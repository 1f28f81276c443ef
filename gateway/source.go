package gateway

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/http"
	"net/textproto"
	"time"

	"github.com/gin-gonic/gin"
)

// errTooLarge ends the reading of a file at its limit.
var errTooLarge = errors.New("the file is above the limit")

// source is a file as it streams by: counted, hashed, cut off at its limit. What it holds is independent of the size (P6).
type source struct {
	from   io.Reader
	limit  int64
	size   int64
	hash   hash.Hash
	failed error // why reading ended, other than at the end of the file
}

func newSource(from io.Reader, limit int64) *source {
	return &source{from: from, limit: limit, hash: sha256.New()}
}

func (s *source) Read(p []byte) (int, error) {
	if s.failed != nil {
		return 0, s.failed
	}
	n, err := s.from.Read(p)
	s.size += int64(n)
	s.hash.Write(p[:n])
	if s.size > s.limit {
		s.failed = errTooLarge
		return 0, s.failed
	}
	if err != nil && err != io.EOF {
		s.failed = err
	}
	return n, err
}

// digest is the lower-case hex SHA-256 of what was read.
func (s *source) digest() string { return hex.EncodeToString(s.hash.Sum(nil)) }

// paced is a request body with a deadline that moves on as bytes come: nothing for the stall time, or less than the least rate over all,
// and the connection is given up. A large file may take its time, a stalled one holds no place for long.
//
// It also bounds what may come between two files: the multipart reader holds the head of a part in memory, however long it is (P6).
type paced struct {
	body  io.ReadCloser
	conn  *http.ResponseController
	cfg   Config
	began time.Time
	read  int64
	until int64 // what may have been read before the next allow
	ended bool  // the body was read to its end
}

// errHeads says that a body is all heads of parts.
var errHeads = errors.New("the head of a part is too long")

func newPaced(c *gin.Context, cfg Config) *paced {
	return &paced{body: c.Request.Body, conn: http.NewResponseController(c.Writer), cfg: cfg, began: time.Now()}
}

// allow lets n more bytes be read.
func (p *paced) allow(n int64) { p.until = p.read + n }

func (p *paced) Read(b []byte) (int, error) {
	if p.read >= p.until {
		return 0, errHeads
	}
	now := time.Now()
	soon := now.Add(p.cfg.Stall)
	if slow := p.began.Add(p.cfg.Stall + time.Duration(float64(p.read)/float64(p.cfg.MinUploadRate)*float64(time.Second))); slow.Before(soon) {
		soon = slow
	}
	_ = p.conn.SetReadDeadline(soon) // a recorder has no deadline
	n, err := p.body.Read(b[:min(int64(len(b)), p.until-p.read)])
	p.read += int64(n)
	p.ended = p.ended || err == io.EOF
	return n, err
}

func (p *paced) Close() error { return p.body.Close() }

// done lifts the deadline of a body that was read to its end: from there on the server only watches whether the client is still there.
// What is left of any other the server reads, a little, before it answers: that is not waited for long.
func (p *paced) done() {
	until := time.Time{}
	if !p.ended {
		until = time.Now().Add(min(p.cfg.Stall, leftover))
	}
	_ = p.conn.SetReadDeadline(until) // a recorder has no deadline
}

// malformed reports whether an error lies in what the client wrote rather than in the connection.
func malformed(err error) bool {
	var p textproto.ProtocolError
	return errors.As(err, &p) || errors.Is(err, errHeads)
}
