// Package local promises the contract of [backends.Store] on a directory:
// creates that are exclusive across processes, whole or absent after a crash at
// any instruction, and durable before they are acknowledged. README.md has the
// form on disk. It is made for Linux; elsewhere Open says that it cannot.
package local

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/woodpecker-wal/woodpecker/backends"
)

// Store is a directory.
type Store struct {
	root string
	sync syncMode
	step func(step, key string)
}

const (
	headLen   = 40
	magic     = "WPF1"
	tmpPrefix = "~tmp-"
	suffix    = "~"
	maxName   = 250
	// retries bounds how often a put starts over because its directory was
	// pruned by a concurrent delete.
	retries = 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// header is the beginning of an object file.
type header struct {
	id     [16]byte
	length int64
	crc    uint32
}

func (h header) encode() []byte {
	b := make([]byte, headLen)
	copy(b, magic)
	copy(b[8:], h.id[:])
	binary.BigEndian.PutUint64(b[24:], uint64(h.length))
	binary.BigEndian.PutUint32(b[32:], h.crc)
	binary.BigEndian.PutUint32(b[36:], crc32.Checksum(b[:36], castagnoli))
	return b
}

func (h header) version() backends.Version { return backends.Version(hex.EncodeToString(h.id[:])) }

// readHeader reads and checks the beginning of an object file of the given size.
func readHeader(f *os.File, size int64) (header, error) {
	var h header
	b := make([]byte, headLen)
	if _, err := f.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		return h, err
	}
	switch {
	case size < headLen || string(b[:4]) != magic:
		return h, corrupt("it is not an object of this store")
	case binary.BigEndian.Uint32(b[36:]) != crc32.Checksum(b[:36], castagnoli):
		return h, corrupt("its header has a wrong checksum")
	}
	copy(h.id[:], b[8:24])
	h.length = int64(binary.BigEndian.Uint64(b[24:]))
	h.crc = binary.BigEndian.Uint32(b[32:])
	if size-headLen != h.length {
		return h, corrupt(fmt.Sprintf("it has %d bytes instead of %d", size-headLen, h.length))
	}
	return h, nil
}

// corrupt is damage that was found in a file.
func corrupt(why string) error {
	return &backends.Error{Class: backends.Corrupt, Err: errors.New("the object's file is damaged: " + why)}
}

var escaper = strings.NewReplacer("%", "%25", "~", "%7E")
var unescaper = strings.NewReplacer("%25", "%", "%7E", "~")

// path is the object file of a key.
func (s *Store) path(key string) (string, error) {
	if err := backends.CheckKey(key); err != nil {
		return "", &backends.Error{Class: backends.Unsupported, Err: err}
	}
	parts := strings.Split(key, "/")
	for i, p := range parts {
		parts[i] = escaper.Replace(p)
		if len(parts[i]) > maxName {
			return "", &backends.Error{Class: backends.Unsupported, Err: fmt.Errorf("a part of the key has %d bytes as a file name, the limit is %d", len(parts[i]), maxName)}
		}
	}
	return filepath.Join(append([]string{s.root}, parts...)...) + suffix, nil
}

func (s *Store) at(step, key string) {
	if s.step != nil {
		s.step(step, key)
	}
}

// Put implements [backends.Store].
func (s *Store) Put(ctx context.Context, key string, body []byte, cond backends.Condition) (backends.Version, error) {
	cond.Check()
	if err := ctx.Err(); err != nil {
		return "", fail(backends.OpPut, key, &backends.Error{Class: backends.Unavailable, Err: err})
	}
	path, err := s.path(key)
	if err != nil {
		return "", fail(backends.OpPut, key, err)
	}
	h := header{length: int64(len(body)), crc: crc32.Checksum(body, castagnoli)}
	if _, err := rand.Read(h.id[:]); err != nil {
		return "", fail(backends.OpPut, key, err)
	}
	for try := 0; ; try++ {
		err = s.put(ctx, key, path, h, body, cond)
		// A concurrent delete may have pruned the directory under us.
		if errors.Is(err, fs.ErrNotExist) && try < retries && s.alive() == nil {
			continue
		}
		break
	}
	if err != nil {
		return "", fail(backends.OpPut, key, err)
	}
	s.at("acknowledge", key)
	return h.version(), nil
}

func (s *Store) put(ctx context.Context, key, path string, h header, body []byte, cond backends.Condition) error {
	dir := filepath.Dir(path)
	want, swap := cond.Version()
	if swap {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return backends.VersionMismatch
		}
	}
	if err := s.mkdirs(dir); err != nil {
		return err
	}
	s.at("body", key)
	tmp, err := s.writeTemp(dir, h, body)
	if err != nil {
		return err
	}
	// The name is removed while the lock on it is still held, so that nobody
	// takes it for garbage meanwhile.
	defer tmp.Close()
	defer os.Remove(tmp.Name())
	if cond.IsAbsent() {
		s.at("publish", key)
		if err := os.Link(tmp.Name(), path); err != nil {
			// On a network file system the answer to a successful link may be
			// lost; the temporary file's link count knows (link(2)).
			if !linked(tmp) {
				return err
			}
		}
		return s.published(dir)
	}
	s.at("publish", key) // before the lock: who is stopped here must stop nobody else
	unlock, err := s.lock(ctx, dir)
	if err != nil {
		return err
	}
	defer unlock()
	if swap {
		info, err := s.head(path)
		if errors.Is(err, fs.ErrNotExist) || (err == nil && info.Version != want) {
			return backends.VersionMismatch
		}
		if err != nil {
			return err
		}
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	return s.published(dir)
}

// published makes a name durable that is visible already: from here on a
// failure leaves the outcome open.
func (s *Store) published(dir string) error {
	if err := s.syncDir(dir); err != nil {
		return &backends.Error{Class: backends.Ambiguous, Err: err}
	}
	return nil
}

// mkdirs makes dir and its ancestors below the root, each durable in its parent.
func (s *Store) mkdirs(dir string) error {
	if dir == s.root {
		return s.alive()
	}
	err := os.Mkdir(dir, 0o777)
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil
	case errors.Is(err, fs.ErrNotExist):
		if err := s.mkdirs(filepath.Dir(dir)); err != nil {
			return err
		}
		if err = os.Mkdir(dir, 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	case err != nil:
		return err
	}
	return s.syncDir(filepath.Dir(dir))
}

// writeTemp writes a complete, synced temporary file, and holds a lock on it.
func (s *Store) writeTemp(dir string, h header, body []byte) (*os.File, error) {
	for {
		f, err := os.CreateTemp(dir, tmpPrefix+"*")
		if err != nil {
			return nil, err
		}
		if !tryLock(f) { // a listing took it for garbage in this moment
			_ = f.Close()
			continue
		}
		_, err = f.Write(h.encode())
		if err == nil {
			_, err = f.Write(body)
		}
		if err == nil {
			err = s.syncFile(f)
		}
		if err != nil {
			// Nothing was published. After a failed sync the file is never
			// used again: the system may have dropped its pages.
			_ = os.Remove(f.Name())
			_ = f.Close()
			return nil, err
		}
		return f, nil
	}
}

// alive tells whether the root is still there.
func (s *Store) alive() error {
	info, err := os.Stat(s.root)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &backends.Error{Class: backends.Denied, Err: fmt.Errorf("the directory %s does not exist: create it or correct the address", s.root)}
	case err != nil:
		return err
	case !info.IsDir():
		return &backends.Error{Class: backends.Denied, Err: fmt.Errorf("%s is not a directory", s.root)}
	}
	return nil
}

// Get implements [backends.Store]. The whole object is verified by its
// checksum when it is read to its end.
func (s *Store) Get(ctx context.Context, key string, r backends.Range) (io.ReadCloser, backends.Info, error) {
	path, err := s.reading(ctx, key)
	if err != nil {
		return nil, backends.Info{}, fail(backends.OpGet, key, err)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, backends.Info{}, fail(backends.OpGet, key, s.missing(err))
	}
	st, err := f.Stat()
	var h header
	if err == nil {
		h, err = readHeader(f, st.Size())
	}
	if err != nil {
		_ = f.Close()
		return nil, backends.Info{}, fail(backends.OpGet, key, err)
	}
	from, to, ok := r.Resolve(h.length)
	if !ok {
		_ = f.Close()
		return nil, backends.Info{}, fail(backends.OpGet, key, &backends.Error{Class: backends.InvalidRange, Err: fmt.Errorf("%+v of %d bytes", r, h.length)})
	}
	b := &body{f: f, r: io.NewSectionReader(f, headLen+from, to-from), left: to - from, key: key}
	if from == 0 && to == h.length {
		b.verify, b.want = true, h.crc
	}
	return b, backends.Info{Key: key, Size: h.length, Version: h.version(), ModTime: st.ModTime()}, nil
}

// reading is the path of a key for a read.
func (s *Store) reading(ctx context.Context, key string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", &backends.Error{Class: backends.Unavailable, Err: err}
	}
	return s.path(key)
}

// missing tells a missing object from a missing store.
func (s *Store) missing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		if gone := s.alive(); gone != nil {
			return gone
		}
	}
	return err
}

// body reads a part of an object file.
type body struct {
	f      *os.File
	r      io.Reader
	key    string
	left   int64
	verify bool
	want   uint32
	crc    uint32
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	b.left -= int64(n)
	if b.verify {
		b.crc = crc32.Update(b.crc, castagnoli, p[:n])
	}
	switch {
	case err == nil:
	case err != io.EOF:
		err = fail(backends.OpGet, b.key, err)
	case b.left > 0:
		err = fail(backends.OpGet, b.key, corrupt(fmt.Sprintf("%d bytes are missing at its end", b.left)))
	case b.verify && b.crc != b.want:
		err = fail(backends.OpGet, b.key, corrupt("its body has a wrong checksum"))
	}
	return n, err
}

func (b *body) Close() error { return b.f.Close() }

// head reads what a file tells of its object.
func (s *Store) head(path string) (backends.Info, error) {
	f, err := os.Open(path)
	if err != nil {
		return backends.Info{}, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return backends.Info{}, err
	}
	h, err := readHeader(f, st.Size())
	if err != nil {
		return backends.Info{}, err
	}
	return backends.Info{Size: h.length, Version: h.version(), ModTime: st.ModTime()}, nil
}

// Head implements [backends.Store].
func (s *Store) Head(ctx context.Context, key string) (backends.Info, error) {
	path, err := s.reading(ctx, key)
	if err != nil {
		return backends.Info{}, fail(backends.OpHead, key, err)
	}
	info, err := s.head(path)
	if err != nil {
		return backends.Info{}, fail(backends.OpHead, key, s.missing(err))
	}
	info.Key = key
	return info, nil
}

// Delete implements [backends.Store]. Directories that it empties go too.
func (s *Store) Delete(ctx context.Context, key string) error {
	return s.remove(ctx, key, func(string) error { return nil })
}

// DeleteIf implements [backends.ConditionalDeleter].
func (s *Store) DeleteIf(ctx context.Context, key string, v backends.Version) error {
	found := false
	err := s.remove(ctx, key, func(path string) error {
		info, err := s.head(path)
		if err != nil {
			return err
		}
		if info.Version != v {
			return backends.VersionMismatch
		}
		found = true
		return nil
	})
	if err == nil && !found {
		return fail(backends.OpDelete, key, backends.VersionMismatch)
	}
	return err
}

func (s *Store) remove(ctx context.Context, key string, check func(path string) error) error {
	path, err := s.reading(ctx, key)
	if err != nil {
		return fail(backends.OpDelete, key, err)
	}
	dir := filepath.Dir(path)
	unlock, err := s.lock(ctx, dir)
	if errors.Is(err, fs.ErrNotExist) {
		if err := s.alive(); err != nil {
			return fail(backends.OpDelete, key, err)
		}
		return nil
	}
	if err != nil {
		return fail(backends.OpDelete, key, err)
	}
	defer unlock()
	if err = check(path); err == nil {
		err = os.Remove(path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fail(backends.OpDelete, key, err)
	}
	if err := s.syncDir(dir); err != nil {
		return fail(backends.OpDelete, key, &backends.Error{Class: backends.Ambiguous, Err: err})
	}
	s.prune(dir)
	return nil
}

// prune removes empty directories from dir up to the root. A directory that is
// not empty refuses, and a put that loses its directory begins anew.
func (s *Store) prune(dir string) {
	for dir != s.root && os.Remove(dir) == nil {
		dir = filepath.Dir(dir)
	}
}

// List implements [backends.Store]. It reads the directories that can hold keys
// of the prefix, and sorts by the keys' bytes: a directory walk has another
// order.
func (s *Store) List(ctx context.Context, prefix, startAfter string, limit int) (backends.Page, error) {
	if limit <= 0 || limit > 1000 {
		limit = 1000
	}
	base := ""
	if i := strings.LastIndexByte(prefix, '/'); i >= 0 {
		base = prefix[:i]
	}
	var keys []string
	if err := s.walk(ctx, base, prefix, startAfter, &keys); err != nil {
		return backends.Page{}, fail(backends.OpList, prefix, s.missing(err))
	}
	slices.Sort(keys)
	var page backends.Page
	for _, key := range keys {
		if len(page.Objects) == limit {
			page.More = true
			break
		}
		path, err := s.path(key)
		if err != nil {
			continue // not a key that this store could have made
		}
		info, err := s.head(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted meanwhile
		}
		if err != nil {
			return backends.Page{}, fail(backends.OpList, key, err)
		}
		info.Key = key
		page.Objects = append(page.Objects, info)
	}
	return page, nil
}

// walk gathers the keys below the directory of base that have prefix and come
// after startAfter.
func (s *Store) walk(ctx context.Context, base, prefix, startAfter string, keys *[]string) error {
	if err := ctx.Err(); err != nil {
		return &backends.Error{Class: backends.Unavailable, Err: err}
	}
	dir := s.root
	if base != "" {
		for part := range strings.SplitSeq(base, "/") {
			dir = filepath.Join(dir, escaper.Replace(part))
		}
		base += "/"
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNotDir) {
		return s.alive() // nothing there, or pruned meanwhile
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		name := entry.Name()
		switch {
		case strings.HasPrefix(name, tmpPrefix):
			s.reap(dir, name)
		case entry.IsDir():
			below := base + unescaper.Replace(name)
			// Keys below lie between below+"/" and below+"0", the byte after "/".
			if strings.HasSuffix(name, suffix) || startAfter >= below+"0" {
				continue
			}
			if strings.HasPrefix(below+"/", prefix) || strings.HasPrefix(prefix, below+"/") {
				if err := s.walk(ctx, below, prefix, startAfter, keys); err != nil {
					return err
				}
			}
		case strings.HasSuffix(name, suffix):
			key := base + unescaper.Replace(strings.TrimSuffix(name, suffix))
			if key > startAfter && strings.HasPrefix(key, prefix) {
				*keys = append(*keys, key)
			}
		}
	}
	return nil
}

// reap removes a temporary file whose writer is gone.
func (s *Store) reap(dir, name string) {
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_RDWR, 0)
	if err != nil {
		return // finished meanwhile
	}
	defer f.Close()
	if tryLock(f) {
		_ = os.Remove(f.Name()) // garbage: the next listing tries again
		s.prune(dir)
	}
}

// Versioning implements [backends.Versioner]: there is none.
func (s *Store) Versioning(context.Context) (backends.Versioning, error) {
	return backends.VersioningOff, s.alive()
}

// Close implements [backends.Store].
func (s *Store) Close() error { return nil }
