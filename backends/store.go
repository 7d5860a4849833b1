package backends

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// MaxKeyLen is the longest key, in bytes, that a caller may count on. The WAL
// uses far less; S3, GCS and OSS stop at 1,024.
const MaxKeyLen = 900

// A Store holds objects under keys. All methods may be called from many
// goroutines at once. Errors are, or wrap, an [*Error].
//
// Every method returns promptly once its context ends. A read or a delete that
// was cut short reports [Unavailable], a write that may have left the machine
// reports [Ambiguous]; both wrap the context's error.
type Store interface {
	// Put stores body under key if cond holds at the moment the object becomes
	// visible, and returns the new object's version.
	//
	// It must be atomic (whole or absent) and durable before it returns nil. It
	// must not keep or change body. With [IfAbsent] it makes exactly one attempt
	// and fails with [Exists] if a live object is there; with [IfVersion] it
	// makes exactly one attempt and fails with [VersionMismatch] if the live
	// object has another version or there is none. It must answer [Unsupported],
	// having written nothing, where it cannot carry the condition. The zero
	// Condition is a programmer's mistake and panics.
	Put(ctx context.Context, key string, body []byte, cond Condition) (Version, error)

	// Get opens the object, or the part of it that r names. The returned Info
	// describes the whole object. Reading fewer bytes than the range holds must
	// end in an error of class [Corrupt] or [Unavailable], never in a plain EOF.
	//
	// It fails with [NotFound] if there is no object and with [InvalidRange] if
	// the range begins at or after the end (the whole of an empty object is no
	// such case: it reads as empty). A range that ends past the end is clamped.
	Get(ctx context.Context, key string, r Range) (io.ReadCloser, Info, error)

	// Head describes the object without its bytes, or fails with [NotFound].
	Head(ctx context.Context, key string) (Info, error)

	// List returns at most limit objects whose keys begin with prefix, in
	// ascending order of the keys' bytes, beginning with the first key that is
	// greater than startAfter (which need not exist; empty means from the
	// start). prefix is a plain string, not a directory. limit 0 means what the
	// store likes best, and never more than 1,000. Page.More tells that keys
	// greater than the last returned one may exist; a page may be short, but is
	// empty only if More is false.
	List(ctx context.Context, prefix, startAfter string, limit int) (Page, error)

	// Delete removes the object. A missing object is success. The WAL deletes
	// only what nobody can reach, so no condition is needed.
	Delete(ctx context.Context, key string) error

	// Close releases connections and files. Calls under way may fail.
	Close() error
}

// A Version is a store's opaque token for one state of one object. It is
// received and handed back, never parsed, and never compared across keys. The
// empty Version is no version.
type Version string

// Info describes an object.
type Info struct {
	Key     string
	Size    int64
	Version Version
	// ModTime is the store's own idea of when the object was written, zero if
	// it has none. Nothing may be ordered by it.
	ModTime time.Time
}

// Page is one step of a listing.
type Page struct {
	Objects []Info // ascending by the bytes of Key
	More    bool   // further keys may follow the last one
}

// A Condition says when a Put may take effect. The zero value is invalid: a Put
// without a decision does not compile to an overwrite.
type Condition struct {
	kind    condKind
	version Version
}

type condKind uint8

const (
	condNone condKind = iota
	condAlways
	condAbsent
	condVersion
)

// Always lets a Put overwrite whatever is there.
func Always() Condition { return Condition{kind: condAlways} }

// IfAbsent lets a Put take effect only if no live object is there.
func IfAbsent() Condition { return Condition{kind: condAbsent} }

// IfVersion lets a Put take effect only if the live object has version v. It
// never creates a missing object. It panics on the empty version, which no
// object has.
func IfVersion(v Version) Condition {
	if v == "" {
		panic("backends: IfVersion needs the version of an object, got the empty one")
	}
	return Condition{kind: condVersion, version: v}
}

// IsAlways reports whether c is [Always].
func (c Condition) IsAlways() bool { return c.kind == condAlways }

// IsAbsent reports whether c is [IfAbsent].
func (c Condition) IsAbsent() bool { return c.kind == condAbsent }

// Version returns the version that c demands and whether it demands one.
func (c Condition) Version() (Version, bool) { return c.version, c.kind == condVersion }

// Check panics on the zero Condition. Every Store calls it first.
func (c Condition) Check() {
	if c.kind == condNone {
		panic("backends: Put without a condition: say Always, IfAbsent or IfVersion")
	}
}

// String names the condition for messages.
func (c Condition) String() string {
	switch c.kind {
	case condAlways:
		return "always"
	case condAbsent:
		return "if-absent"
	case condVersion:
		return "if-version"
	default:
		return "none"
	}
}

// A Range names bytes of an object. The zero Range is all of it.
type Range struct {
	// Offset is where the range begins; a negative Offset means the last
	// -Offset bytes (all of a shorter object) and needs Length 0.
	Offset int64
	// Length is the number of bytes; 0 means to the end.
	Length int64
}

// All is the whole object.
func All() Range { return Range{} }

// Span is the n bytes from off on.
func Span(off, n int64) Range { return Range{Offset: off, Length: n} }

// Suffix is the last n bytes.
func Suffix(n int64) Range { return Range{Offset: -n} }

// IsAll reports whether r is the whole object.
func (r Range) IsAll() bool { return r == Range{} }

// Resolve turns r into absolute bounds [from, to) of an object of the given
// size. ok is false where the contract demands [InvalidRange].
func (r Range) Resolve(size int64) (from, to int64, ok bool) {
	switch {
	case r.IsAll():
		return 0, size, true
	case r.Length < 0 || (r.Offset < 0 && r.Length != 0):
		return 0, 0, false
	case r.Offset < 0:
		return max(0, size+r.Offset), size, size > 0
	case r.Offset >= size:
		return 0, 0, false
	case r.Length == 0 || r.Length > size-r.Offset:
		return r.Offset, size, true
	default:
		return r.Offset, r.Offset + r.Length, true
	}
}

// ReadAll gets the bytes that r names and the whole object's Info.
func ReadAll(ctx context.Context, s Store, key string, r Range) ([]byte, Info, error) {
	rc, info, err := s.Get(ctx, key, r)
	if err != nil {
		return nil, Info{}, err
	}
	defer rc.Close()
	from, to, ok := r.Resolve(info.Size)
	if !ok {
		return nil, Info{}, &Error{Op: OpGet, Key: key, Class: Corrupt,
			Err: fmt.Errorf("store answered range %+v of an object of %d bytes", r, info.Size)}
	}
	body := make([]byte, to-from)
	if _, err := io.ReadFull(rc, body); err != nil {
		if ClassOf(err) == Unknown {
			err = &Error{Op: OpGet, Key: key, Class: Unavailable, Err: err}
		}
		return nil, Info{}, err
	}
	// One byte more than promised is as wrong as one less; reading to the end
	// also gives the store its chance to verify.
	var extra [1]byte
	switch n, err := io.ReadFull(rc, extra[:]); {
	case n > 0:
		return nil, Info{}, &Error{Op: OpGet, Key: key, Class: Corrupt,
			Err: fmt.Errorf("store sent more than the %d bytes of the range", len(body))}
	case err != io.EOF:
		if ClassOf(err) == Unknown {
			err = &Error{Op: OpGet, Key: key, Class: Unavailable, Err: err}
		}
		return nil, Info{}, err
	}
	return body, info, nil
}

// ListAll walks the whole listing of prefix in order and calls fn for each
// object until fn returns an error, which ListAll then returns.
func ListAll(ctx context.Context, s Store, prefix string, fn func(Info) error) error {
	after := ""
	for {
		page, err := s.List(ctx, prefix, after, 0)
		if err != nil {
			return err
		}
		for _, o := range page.Objects {
			if o.Key <= after {
				return &Error{Op: OpList, Key: prefix, Class: Corrupt,
					Err: fmt.Errorf("listing is out of order: %q after %q", o.Key, after)}
			}
			after = o.Key
			if err := fn(o); err != nil {
				return err
			}
		}
		if !page.More {
			return nil
		}
		if len(page.Objects) == 0 {
			return &Error{Op: OpList, Key: prefix, Class: Corrupt,
				Err: fmt.Errorf("listing promises more but returned an empty page after %q", after)}
		}
	}
}

// CheckKey tells why key is not a key of the contract, or nil.
func CheckKey(key string) error {
	bad := func(why string) error { return fmt.Errorf("key %q: %s", key, why) }
	switch {
	case key == "":
		return bad("is empty")
	case len(key) > MaxKeyLen:
		return bad(fmt.Sprintf("has %d bytes, the limit is %d", len(key), MaxKeyLen))
	case !utf8.ValidString(key):
		return bad("is not valid UTF-8")
	}
	for i := range len(key) {
		if key[i] < 0x20 || key[i] == 0x7f {
			return bad("has a control character")
		}
	}
	for part := range strings.SplitSeq(key, "/") {
		switch part {
		case "":
			return bad(`has an empty component (a leading, trailing or double "/")`)
		case ".", "..":
			return bad(`has a component "." or ".."`)
		}
	}
	return nil
}

// An Appender can extend an object in place. Local files can; the local log
// engine is built on it.
type Appender interface {
	// Append writes data at offset, which must be the object's present size, 0
	// creating a missing object, and makes it durable. It fails with
	// [VersionMismatch] if the size differs.
	Append(ctx context.Context, key string, offset int64, data []byte) error
}

// Append calls the store's [Appender], or fails with [Unsupported].
func Append(ctx context.Context, s Store, key string, offset int64, data []byte) error {
	if a, ok := s.(Appender); ok {
		return a.Append(ctx, key, offset, data)
	}
	return &Error{Op: OpAppend, Key: key, Class: Unsupported}
}

// Versioning is the state of a bucket's object versioning.
type Versioning string

// The states. Unknown means the store would not say.
const (
	VersioningOff       Versioning = "off" // never enabled
	VersioningEnabled   Versioning = "enabled"
	VersioningSuspended Versioning = "suspended"
	VersioningUnknown   Versioning = "unknown"
)

// A Versioner can tell whether its bucket keeps old versions of objects, which
// on several products changes how conditions behave.
type Versioner interface {
	Versioning(ctx context.Context) (Versioning, error)
}

// VersioningOf asks the store's [Versioner], or fails with [Unsupported].
func VersioningOf(ctx context.Context, s Store) (Versioning, error) {
	if v, ok := s.(Versioner); ok {
		return v.Versioning(ctx)
	}
	return VersioningUnknown, &Error{Op: OpVersioning, Class: Unsupported}
}

// A ConditionalDeleter can delete an object only if it still has a version.
// Several products accept the condition and ignore it, so nothing in the WAL
// uses it; conformance measures it.
type ConditionalDeleter interface {
	// DeleteIf fails with [VersionMismatch] if the live object has another
	// version and with VersionMismatch or [NotFound] if there is none.
	DeleteIf(ctx context.Context, key string, v Version) error
}

// DeleteIf calls the store's [ConditionalDeleter], or fails with [Unsupported].
func DeleteIf(ctx context.Context, s Store, key string, v Version) error {
	if d, ok := s.(ConditionalDeleter); ok {
		return d.DeleteIf(ctx, key, v)
	}
	return &Error{Op: OpDelete, Key: key, Class: Unsupported}
}
