// Package s3common promises to the S3 and MinIO adapters one meaning of the S3
// protocol's errors: which class each answer has, by its code first and its
// status second.
package s3common

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/woodpecker-wal/woodpecker/backends"
)

// Answer is what a server said, without the SDK that carried it.
type Answer struct {
	Code      string
	Status    int // 0 if there was no answer
	Message   string
	RequestID string
	Header    http.Header // may be nil
}

// kind is what an operation makes of an answer.
type kind uint8

const (
	read kind = iota
	plain
	create
	swap
)

// row is one line of the table: the class of a code for each kind of operation.
// Unknown means that the status decides.
type row struct {
	code                      string
	read, plain, create, swap backends.Class
}

// codes maps error codes, whatever the status they come with.
var codes = []row{
	{"PreconditionFailed", backends.VersionMismatch, backends.VersionMismatch, backends.Exists, backends.VersionMismatch},
	{"ConditionalRequestConflict", backends.Unavailable, backends.Conflict, backends.Conflict, backends.Conflict},
	{"OperationAborted", backends.Unavailable, backends.Conflict, backends.Conflict, backends.Conflict},
	{"ConcurrentModification", backends.Unavailable, backends.Conflict, backends.Conflict, backends.Conflict},
	{"FileAlreadyExists", backends.Unknown, backends.Exists, backends.Exists, backends.VersionMismatch},
	{"ObjectAlreadyExists", backends.Unknown, backends.Exists, backends.Exists, backends.VersionMismatch},
	// A create that is told "no such key" has met a broken server.
	{"NoSuchKey", backends.NotFound, backends.NotFound, backends.Unsupported, backends.VersionMismatch},
	{"NotFound", backends.NotFound, backends.NotFound, backends.Unsupported, backends.VersionMismatch},
	{"NoSuchVersion", backends.NotFound, backends.NotFound, backends.Unsupported, backends.VersionMismatch},
	{"NoSuchBucket", backends.Denied, backends.Denied, backends.Denied, backends.Denied},
	{"NotImplemented", backends.Unsupported, backends.Unsupported, backends.Unsupported, backends.Unsupported},
	{"MethodNotAllowed", backends.Unsupported, backends.Unsupported, backends.Unsupported, backends.Unsupported},
	{"InvalidRange", backends.InvalidRange, backends.InvalidRange, backends.InvalidRange, backends.InvalidRange},
	{"SlowDown", backends.Throttled, backends.Throttled, backends.Throttled, backends.Throttled},
	{"SlowDownRead", backends.Throttled, backends.Throttled, backends.Throttled, backends.Throttled},
	{"SlowDownWrite", backends.Throttled, backends.Throttled, backends.Throttled, backends.Throttled},
	{"ServiceUnavailable", backends.Throttled, backends.Throttled, backends.Throttled, backends.Throttled},
	{"TooManyRequests", backends.Throttled, backends.Throttled, backends.Throttled, backends.Throttled},
	{"XMinioServerNotInitialized", backends.Unavailable, backends.Unavailable, backends.Unavailable, backends.Unavailable},
	{"XMinioStorageFull", backends.Unavailable, backends.Unavailable, backends.Unavailable, backends.Unavailable},
	{"AccessDenied", backends.Denied, backends.Denied, backends.Denied, backends.Denied},
	{"AllAccessDisabled", backends.Denied, backends.Denied, backends.Denied, backends.Denied},
	{"SignatureDoesNotMatch", backends.Denied, backends.Denied, backends.Denied, backends.Denied},
	{"InvalidAccessKeyId", backends.Denied, backends.Denied, backends.Denied, backends.Denied},
	{"InvalidToken", backends.Denied, backends.Denied, backends.Denied, backends.Denied},
	{"ExpiredToken", backends.Denied, backends.Denied, backends.Denied, backends.Denied},
	{"RequestTimeTooSkewed", backends.Denied, backends.Denied, backends.Denied, backends.Denied},
	{"PermanentRedirect", backends.Denied, backends.Denied, backends.Denied, backends.Denied},
	{"AuthorizationHeaderMalformed", backends.Denied, backends.Denied, backends.Denied, backends.Denied},
	{"KeyTooLongError", backends.Unsupported, backends.Unsupported, backends.Unsupported, backends.Unsupported},
	{"XMinioInvalidObjectName", backends.Unsupported, backends.Unsupported, backends.Unsupported, backends.Unsupported},
	{"BadDigest", backends.Corrupt, backends.Corrupt, backends.Corrupt, backends.Corrupt},
	{"XAmzContentSHA256Mismatch", backends.Corrupt, backends.Corrupt, backends.Corrupt, backends.Corrupt},
	{"XAmzContentChecksumMismatch", backends.Corrupt, backends.Corrupt, backends.Corrupt, backends.Corrupt},
}

// statuses maps what no code decided.
var statuses = map[int]row{
	304: {"", backends.VersionMismatch, backends.VersionMismatch, backends.Exists, backends.VersionMismatch},
	401: {"", backends.Denied, backends.Denied, backends.Denied, backends.Denied},
	403: {"", backends.Denied, backends.Denied, backends.Denied, backends.Denied},
	404: {"", backends.NotFound, backends.NotFound, backends.Unsupported, backends.VersionMismatch},
	405: {"", backends.Unsupported, backends.Unsupported, backends.Unsupported, backends.Unsupported},
	409: {"", backends.Unavailable, backends.Conflict, backends.Conflict, backends.Conflict},
	412: {"", backends.VersionMismatch, backends.VersionMismatch, backends.Exists, backends.VersionMismatch},
	416: {"", backends.InvalidRange, backends.InvalidRange, backends.InvalidRange, backends.InvalidRange},
	429: {"", backends.Throttled, backends.Throttled, backends.Throttled, backends.Throttled},
	501: {"", backends.Unsupported, backends.Unsupported, backends.Unsupported, backends.Unsupported},
	503: {"", backends.Throttled, backends.Throttled, backends.Throttled, backends.Throttled},
}

func (r row) of(k kind) backends.Class {
	return [...]backends.Class{r.read, r.plain, r.create, r.swap}[k]
}

// Classify gives the class of an answer to an operation; cond is a put's.
func Classify(op backends.Op, cond backends.Condition, a Answer) backends.Class {
	k := read
	switch _, isSwap := cond.Version(); {
	case cond.IsAbsent():
		k = create
	case isSwap:
		k = swap
	case op == backends.OpPut || op == backends.OpDelete:
		k = plain
	}
	for _, r := range codes {
		if r.code == a.Code && r.of(k) != backends.Unknown {
			return r.of(k)
		}
	}
	if r, ok := statuses[a.Status]; ok {
		return r.of(k)
	}
	switch {
	case a.Status >= 500 && k == read:
		return backends.Unavailable
	case a.Status >= 500:
		return backends.Ambiguous
	case a.Status >= 400 && (k == create || k == swap) && namesCondition(a.Message):
		return backends.Unsupported
	}
	return backends.Unknown
}

// namesCondition reports whether a refusal is about the condition's header.
func namesCondition(message string) bool {
	m := strings.ToLower(message)
	return strings.Contains(m, "if-none-match") || strings.Contains(m, "if-match") || strings.Contains(m, "header you provided")
}

// Error builds the contract's error from an answer, or from a failure without
// one.
func Error(store string, op backends.Op, key string, cond backends.Condition, a Answer, err error) error {
	e := &backends.Error{Op: op, Store: store, Key: key, Code: a.Code, Status: a.Status, RequestID: a.RequestID}
	if a.Status == 0 {
		e.Class = transport(op, err)
		e.Err = plainCause(err)
		return e
	}
	e.Class = Classify(op, cond, a)
	if s, convErr := strconv.Atoi(a.Header.Get("Retry-After")); convErr == nil {
		e.RetryAfter = time.Duration(s) * time.Second
	}
	switch {
	case a.Code == "NoSuchBucket":
		e.Err = errors.New("the bucket does not exist: create it or correct the address")
	case e.Class == backends.Denied && (a.Code == "SignatureDoesNotMatch" || a.Code == "InvalidAccessKeyId"):
		e.Err = errors.New("the store does not accept the credentials: check the access key and secret in the environment")
	case e.Class == backends.Denied:
		e.Err = errors.New("check the credentials, their policy and the bucket's region")
	case e.Class == backends.Unknown && a.Message != "":
		e.Err = errors.New(a.Message)
	}
	return e
}

// transport classifies a failure without an answer. A write is Ambiguous unless
// nothing can have left.
func transport(op backends.Op, err error) backends.Class {
	var unknownCA x509.UnknownAuthorityError
	var wrongHost x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	if errors.As(err, &unknownCA) || errors.As(err, &wrongHost) || errors.As(err, &invalid) || errors.As(err, &record) {
		return backends.Denied
	}
	if NotSent(err) || op == backends.OpGet || op == backends.OpHead || op == backends.OpList || op == backends.OpVersioning {
		return backends.Unavailable
	}
	return backends.Ambiguous
}

// NotSent reports whether err means that no byte of a request left this machine.
func NotSent(err error) bool {
	var dns *net.DNSError
	var dial *net.OpError
	return errors.As(err, &dns) || (errors.As(err, &dial) && dial.Op == "dial")
}

// plainCause strips what an SDK or net/http wraps around the cause, above all
// URLs with their queries.
func plainCause(err error) error {
	var record tls.RecordHeaderError
	if errors.As(err, &record) || strings.Contains(err.Error(), "server gave HTTP response to HTTPS client") {
		return errors.New("the server speaks plain HTTP, not TLS: use an http:// endpoint, or tls=false")
	}
	for _, ctxErr := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, ctxErr) {
			return ctxErr
		}
	}
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
