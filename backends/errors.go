package backends

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// A Class says what the caller of a failed operation should do next. The set is
// closed. A Class is itself an error, so that errors.Is(err, backends.Exists)
// asks for it.
type Class uint8

// The classes.
const (
	// Unknown is the class of an error that no Store made.
	Unknown Class = iota
	// NotFound: there is no such object. The bucket or directory itself is
	// there; its absence is Denied.
	NotFound
	// Exists: a create was refused because an object is there. On a first
	// attempt it is somebody else's; after any other attempt, read it.
	Exists
	// VersionMismatch: the live object has another version, or there is none.
	VersionMismatch
	// Conflict: the store did not decide because of a concurrent request, and
	// wrote nothing. Wait and try again with unchanged bytes.
	Conflict
	// Throttled: the store asks for fewer requests. Wait, at least RetryAfter.
	// A throttled write may yet have been applied by a gateway in between.
	Throttled
	// Ambiguous: the write may or may not have been applied, or may be applied
	// later. Only the object itself can tell.
	Ambiguous
	// Unsupported: the store cannot do this, said so, and wrote nothing. Trying
	// again is useless.
	Unsupported
	// Denied: the store refuses this caller or this address: wrong credentials,
	// missing permission, missing bucket, read-only file system. Trying again is
	// useless until somebody changes that.
	Denied
	// InvalidRange: the range begins at or after the object's end.
	InvalidRange
	// Corrupt: what came back contradicts itself: wrong length, wrong checksum,
	// broken order.
	Corrupt
	// Unavailable: the store did not answer, or could not serve, and nothing was
	// written. Try again later.
	Unavailable
)

var classNames = [...]string{
	Unknown: "unknown", NotFound: "not-found", Exists: "exists", VersionMismatch: "version-mismatch",
	Conflict: "conflict", Throttled: "throttled", Ambiguous: "ambiguous", Unsupported: "unsupported",
	Denied: "denied", InvalidRange: "invalid-range", Corrupt: "corrupt", Unavailable: "unavailable",
}

// classTexts are the sentences of Error, in the words of who reads a log.
var classTexts = [...]string{
	Unknown: "unclassified failure", NotFound: "no such object", Exists: "an object is already there",
	VersionMismatch: "the object has another version or is gone",
	Conflict:        "the store did not decide between concurrent requests",
	Throttled:       "the store asks for fewer requests", Ambiguous: "the outcome of the write is unknown",
	Unsupported: "the store does not support this", Denied: "the store refuses this caller or address",
	InvalidRange: "the range begins past the end of the object", Corrupt: "the store's answer contradicts itself",
	Unavailable: "the store is not available",
}

// Classes returns every class but Unknown.
func Classes() []Class {
	all := make([]Class, 0, len(classNames)-1)
	for c := NotFound; int(c) < len(classNames); c++ {
		all = append(all, c)
	}
	return all
}

// String is the stable name of the class, as in reports and metrics.
func (c Class) String() string {
	if int(c) < len(classNames) {
		return classNames[c]
	}
	return fmt.Sprintf("class(%d)", uint8(c))
}

// Error makes a Class the target of errors.Is.
func (c Class) Error() string {
	if int(c) < len(classTexts) {
		return classTexts[c]
	}
	return c.String()
}

// An Op names a verb, for errors and hooks.
type Op string

// The verbs.
const (
	OpPut        Op = "put"
	OpGet        Op = "get"
	OpHead       Op = "head"
	OpList       Op = "list"
	OpDelete     Op = "delete"
	OpAppend     Op = "append"
	OpVersioning Op = "versioning"
	OpOpen       Op = "open"
)

// Error is the one error type of all stores.
type Error struct {
	Op    Op
	Store string // the adapter: "s3", "minio", "file", "mem"
	Key   string // the object or, for a listing, the prefix
	Class Class

	// What the store said, where it said something. None of it is secret.
	Code       string        // provider code, for instance "PreconditionFailed"
	Status     int           // HTTP status
	RequestID  string        // to give to the vendor
	RetryAfter time.Duration // what Throttled asked for

	Err error // the cause, if any
}

// Error gives operation, store, key, the class in words and what the store said.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Store != "" {
		b.WriteString(e.Store)
		b.WriteByte(' ')
	}
	b.WriteString(string(e.Op))
	if e.Key != "" {
		fmt.Fprintf(&b, " %q", e.Key)
	}
	b.WriteString(": ")
	b.WriteString(e.Class.Error())
	var said []string
	if e.Code != "" {
		said = append(said, e.Code)
	}
	if e.Status != 0 {
		said = append(said, fmt.Sprintf("status %d", e.Status))
	}
	if e.RequestID != "" {
		said = append(said, "request "+e.RequestID)
	}
	if len(said) > 0 {
		fmt.Fprintf(&b, " (%s)", strings.Join(said, ", "))
	}
	if e.Err != nil {
		b.WriteString(": ")
		b.WriteString(e.Err.Error())
	}
	return b.String()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is the error's class.
func (e *Error) Is(target error) bool {
	c, ok := target.(Class)
	return ok && c == e.Class
}

// ClassOf gives the class of err: that of the outermost [*Error] in its chain,
// Unknown if there is none or err is nil.
func ClassOf(err error) Class {
	var e *Error
	if errors.As(err, &e) {
		return e.Class
	}
	var c Class
	if errors.As(err, &c) {
		return c
	}
	return Unknown
}

// IsDone reports whether err stems from a context that ended.
func IsDone(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
