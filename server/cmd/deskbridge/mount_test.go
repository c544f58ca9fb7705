package main_test

import (
	"context"
	"slices"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// mount makes a disk visible at a directory. It needs root and /dev/fuse.
type mount struct {
	disk   *disk
	server *fuse.Server
}

func mountDisk(d *disk, directory string) (*mount, error) {
	timeout := time.Second // nobody but the kernel changes anything
	server, err := fs.Mount(directory, &node{disk: d, inode: d.root}, &fs.Options{
		EntryTimeout: &timeout, AttrTimeout: &timeout, NullPermissions: true,
		MountOptions: fuse.MountOptions{DirectMountStrict: true, Name: "powercut", FsName: "powercut", DisableXAttrs: true},
	})
	if err != nil {
		return nil, err
	}
	return &mount{disk: d, server: server}, nil
}

// unmount waits for the kernel to let go of the files of a process that has just ended.
func (m *mount) unmount() error {
	deadline := time.Now().Add(patience)
	for {
		err := m.server.Unmount() // tries for a while itself
		if err == nil || time.Now().After(deadline) {
			return err
		}
	}
}

// node is an inode as go-fuse sees it.
type node struct {
	fs.Inode
	disk  *disk
	inode *inode
}

var (
	_ fs.NodeLookuper  = (*node)(nil)
	_ fs.NodeGetattrer = (*node)(nil)
	_ fs.NodeSetattrer = (*node)(nil)
	_ fs.NodeCreater   = (*node)(nil)
	_ fs.NodeOpener    = (*node)(nil)
	_ fs.NodeReader    = (*node)(nil)
	_ fs.NodeWriter    = (*node)(nil)
	_ fs.NodeFsyncer   = (*node)(nil)
	_ fs.NodeMkdirer   = (*node)(nil)
	_ fs.NodeUnlinker  = (*node)(nil)
	_ fs.NodeRmdirer   = (*node)(nil)
	_ fs.NodeRenamer   = (*node)(nil)
	_ fs.NodeReaddirer = (*node)(nil)
	_ fs.NodeStatfser  = (*node)(nil)
)

// handle is an open file.
type handle struct{ synchronous bool }

func newHandle(flags uint32) *handle {
	return &handle{synchronous: flags&(syscall.O_SYNC|syscall.O_DSYNC) != 0}
}

func (n *node) attributes(out *fuse.Attr) {
	out.Ino, out.Mode, out.Size, out.Nlink = n.inode.number, n.inode.mode, uint64(len(n.inode.content)), 1
	out.Blocks, out.Blksize = (out.Size+sectorSize-1)/sectorSize, 4096
}

func (n *node) child(ctx context.Context, i *inode, out *fuse.EntryOut) *fs.Inode {
	child := &node{disk: n.disk, inode: i}
	child.attributes(&out.Attr)
	return n.NewInode(ctx, child, fs.StableAttr{Mode: i.mode & syscall.S_IFMT, Ino: i.number})
}

func (n *node) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (found *fs.Inode, errno syscall.Errno) {
	errno = n.disk.with(func() syscall.Errno {
		i := n.inode.entries[name]
		if i == nil {
			return syscall.ENOENT
		}
		found = n.child(ctx, i, out)
		return 0
	})
	return found, errno
}

func (n *node) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	return n.disk.with(func() syscall.Errno {
		n.attributes(&out.Attr)
		return 0
	})
}

func (n *node) Setattr(_ context.Context, _ fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	return n.disk.changing(func() syscall.Errno {
		if size, ok := in.GetSize(); ok {
			n.inode.truncate(int(size))
		}
		if mode, ok := in.GetMode(); ok {
			n.inode.mode = n.inode.mode&syscall.S_IFMT | mode&^syscall.S_IFMT
		}
		n.attributes(&out.Attr)
		return 0
	})
}

func (n *node) Create(
	ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut,
) (created *fs.Inode, _ fs.FileHandle, _ uint32, errno syscall.Errno) {
	errno = n.disk.changing(func() syscall.Errno {
		i, errno := n.disk.create(n.inode, name, syscall.S_IFREG|mode&^syscall.S_IFMT)
		if errno == 0 {
			created = n.child(ctx, i, out)
		}
		return errno
	})
	return created, newHandle(flags), 0, errno
}

func (n *node) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (created *fs.Inode, errno syscall.Errno) {
	errno = n.disk.changing(func() syscall.Errno {
		i, errno := n.disk.create(n.inode, name, syscall.S_IFDIR|mode&^syscall.S_IFMT)
		if errno == 0 {
			created = n.child(ctx, i, out)
		}
		return errno
	})
	return created, errno
}

// Open gets O_TRUNC as a Setattr of its own.
func (n *node) Open(_ context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return newHandle(flags), 0, n.disk.with(func() syscall.Errno { return 0 })
}

func (n *node) Read(_ context.Context, _ fs.FileHandle, into []byte, offset int64) (result fuse.ReadResult, errno syscall.Errno) {
	errno = n.disk.with(func() syscall.Errno {
		count := 0
		if offset < int64(len(n.inode.content)) {
			count = copy(into, n.inode.content[offset:])
		}
		result = fuse.ReadResultData(into[:count])
		return 0
	})
	return result, errno
}

func (n *node) Write(_ context.Context, f fs.FileHandle, data []byte, offset int64) (uint32, syscall.Errno) {
	errno := n.disk.changing(func() syscall.Errno {
		errno := n.disk.write(n.inode, data, int(offset))
		if errno == 0 && f.(*handle).synchronous {
			n.inode.sync()
		}
		return errno
	})
	return uint32(len(data)), errno
}

// Fsync is for files and directories.
func (n *node) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	return n.disk.changing(func() syscall.Errno {
		n.inode.sync()
		return 0
	})
}

func (n *node) Unlink(_ context.Context, name string) syscall.Errno {
	return n.disk.changing(func() syscall.Errno { return n.disk.remove(n.inode, name, false) })
}

func (n *node) Rmdir(_ context.Context, name string) syscall.Errno {
	return n.disk.changing(func() syscall.Errno { return n.disk.remove(n.inode, name, true) })
}

func (n *node) Rename(_ context.Context, name string, parent fs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	if flags != 0 {
		return syscall.EINVAL
	}
	return n.disk.changing(func() syscall.Errno {
		return n.disk.rename(n.inode, name, parent.(*node).inode, newName)
	})
}

func (n *node) Readdir(context.Context) (stream fs.DirStream, errno syscall.Errno) {
	errno = n.disk.with(func() syscall.Errno {
		var list []fuse.DirEntry
		for _, name := range sortedKeys(n.inode.entries) {
			i := n.inode.entries[name]
			list = append(list, fuse.DirEntry{Name: name, Mode: i.mode & syscall.S_IFMT, Ino: i.number})
		}
		stream = fs.NewListDirStream(list)
		return 0
	})
	return stream, errno
}

// Statfs says that there is room, or none.
func (n *node) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	const blocks = 1 << 28
	return n.disk.with(func() syscall.Errno {
		free := uint64(blocks)
		if n.disk.full {
			free = 0
		}
		*out = fuse.StatfsOut{Blocks: blocks, Bfree: free, Bavail: free, Files: blocks, Ffree: blocks, Bsize: 4096, Frsize: 4096, NameLen: 255}
		return 0
	})
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
