package local

import (
	"errors"
	"io/fs"
	"syscall"

	"github.com/woodpecker-wal/woodpecker/backends"
)

// errNotDir is what opening a path below a file fails with.
const errNotDir = syscall.ENOTDIR

// errnos is the table of classes. What a put meets before it publishes has
// written nothing; after that published says Ambiguous.
var errnos = []struct {
	errno syscall.Errno
	class backends.Class
	text  string
}{
	{syscall.EEXIST, backends.Exists, ""},
	{syscall.ENOENT, backends.NotFound, ""},
	{syscall.ENOTDIR, backends.NotFound, ""},
	{syscall.EACCES, backends.Denied, "the file system denies access: check owner and mode of the directory"},
	{syscall.EPERM, backends.Denied, "the file system denies access: check owner and mode of the directory"},
	{syscall.EROFS, backends.Denied, "the file system is mounted read-only"},
	{syscall.ENOSPC, backends.Unavailable, "the disk is full: free some space"},
	{syscall.EDQUOT, backends.Unavailable, "the disk quota is used up: free some space"},
	{syscall.EMFILE, backends.Unavailable, "too many open files: raise the limit (ulimit -n)"},
	{syscall.ENFILE, backends.Unavailable, "too many open files on this machine"},
	{syscall.EXDEV, backends.Unsupported, ""},
	{syscall.EMLINK, backends.Unsupported, ""},
	{syscall.EOPNOTSUPP, backends.Unsupported, "the file system has no hard links, which creates need"},
	{syscall.ENAMETOOLONG, backends.Unsupported, "the key is too long for this file system"},
	{syscall.EIO, backends.Ambiguous, "the disk reports an input/output error"},
	{syscall.ESTALE, backends.Ambiguous, "the network file system lost the file"},
}

// fail makes the contract's error out of what the file system said.
func fail(op backends.Op, key string, err error) error {
	if err == nil {
		return nil
	}
	out := &backends.Error{Op: op, Store: "file", Key: key}
	var e *backends.Error
	if errors.As(err, &e) {
		out.Class, out.Err = e.Class, e.Err
	} else if c := backends.ClassOf(err); c != backends.Unknown {
		out.Class = c
	}
	if out.Class != backends.Unknown && out.Class != backends.Ambiguous {
		return out
	}
	var path *fs.PathError
	cause := err
	if errors.As(err, &path) {
		cause = path.Err
	}
	for _, row := range errnos {
		if errors.Is(cause, row.errno) {
			if out.Class == backends.Unknown {
				out.Class = row.class
			}
			out.Code = row.errno.Error()
			if row.text != "" {
				out.Err = errors.New(row.text)
			}
			break
		}
	}
	read := op == backends.OpGet || op == backends.OpHead || op == backends.OpList || op == backends.OpOpen
	switch {
	case read && out.Class == backends.Ambiguous, out.Class == backends.Unknown:
		out.Class = backends.Unavailable
		if out.Err == nil {
			out.Err = cause
		}
	}
	return out
}
