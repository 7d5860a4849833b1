package local

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/woodpecker-wal/woodpecker/backends"
)

// syncFile makes a file's bytes durable.
func (s *Store) syncFile(f *os.File) error {
	switch s.sync {
	case syncNone:
		return nil
	case syncData:
		return unix.Fdatasync(int(f.Fd()))
	default:
		return f.Sync()
	}
}

// syncDir makes the names in a directory durable.
func (s *Store) syncDir(dir string) error {
	if s.sync == syncNone {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// tryLock takes an exclusive lock on an open file, if it is free.
func tryLock(f *os.File) bool { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil }

// linked reports whether a file has a second name.
func linked(f *os.File) bool {
	var st unix.Stat_t
	return unix.Fstat(int(f.Fd()), &st) == nil && st.Nlink == 2
}

// lock takes the exclusive lock on a directory, across goroutines and processes.
// The directory may be pruned and made anew while one waits, so its identity is
// checked under the lock.
func (s *Store) lock(ctx context.Context, dir string) (unlock func(), err error) {
	wait := 100 * time.Microsecond
	for {
		d, err := os.Open(dir)
		if err != nil {
			return nil, err
		}
		if tryLock(d) {
			held, err1 := d.Stat()
			now, err2 := os.Stat(dir)
			if err1 == nil && err2 == nil && os.SameFile(held, now) {
				return func() { _ = d.Close() }, nil // closing releases
			}
			_ = d.Close()
			if errors.Is(err2, fs.ErrNotExist) {
				return nil, err2
			}
			continue
		}
		_ = d.Close()
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return nil, &backends.Error{Class: backends.Unavailable, Err: ctx.Err()}
		}
		wait = min(2*wait, 5*time.Millisecond)
	}
}

// networks are the magic numbers of file systems on which locks and durability
// are somebody else's (statfs(2)).
var networks = map[int64]string{
	unix.NFS_SUPER_MAGIC: "nfs", unix.SMB_SUPER_MAGIC: "smb", unix.SMB2_SUPER_MAGIC: "smb2", unix.CIFS_SUPER_MAGIC: "cifs",
	unix.CODA_SUPER_MAGIC: "coda", unix.AFS_FS_MAGIC: "afs", unix.AFS_SUPER_MAGIC: "afs", unix.NCP_SUPER_MAGIC: "ncp",
	unix.V9FS_MAGIC: "9p", unix.CEPH_SUPER_MAGIC: "ceph", unix.FUSE_SUPER_MAGIC: "fuse", 0x0BD00BD0: "lustre",
	0x47504653: "gpfs", 0x7461636f: "ocfs2", 0x01161970: "gfs2",
}

// fileSystem names the file system of a directory if it is a network one.
func fileSystem(dir string) (name string, network bool, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return "", false, err
	}
	name, network = networks[int64(st.Type)]
	return name, network, nil
}
