//go:build linux && (amd64 || arm64)

package trap

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// pageSize is what a disk keeps or loses as one, in bytes.
const pageSize = 4096

// Disk knows what of a directory would survive a power cut. It is told of the calls
// that sync (Syncs), before they are made.
//
// A file's sync keeps its content and its name, as ext4, XFS and Btrfs do; a
// directory's keeps the names in it, those that went too. All else may be lost. The
// contents are held in memory.
type Disk struct {
	root  string
	names map[string]node // by path: what the name stands for on disk
	files map[node]image  // what is on disk of a file
	// through are files that were written through; the call was not made yet when
	// Note was told of it.
	through map[string]bool
}

// node is a file, whatever its name. Numbers are used again, so its birth belongs to it.
type node struct {
	number uint64
	birth  unix.StatxTimestamp
	dir    bool
}

// image is a file's content: parts of it, and zeros between them.
type image struct {
	size  int64
	parts []part
}

type part struct {
	at   int64
	data []byte
}

// NewDisk takes a directory as it is: all of it is on disk.
func NewDisk(root string) (*Disk, error) {
	d := &Disk{root: root, names: make(map[string]node), files: make(map[node]image), through: make(map[string]bool)}
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return d.keep(path)
	})
	return d, err
}

// Note notes what a call (of Syncs) is about to put on disk.
func (d *Disk) Note(c Call) error {
	for path := range d.through {
		if err := gone(d.keep(path)); err != nil {
			return err
		}
	}
	clear(d.through)
	switch {
	case c.Through:
		d.through[c.Path] = true
		return nil
	case !strings.HasSuffix(c.Name, "sync"):
		return nil
	}
	err := d.keep(c.Path)
	if err != nil || !d.names[c.Path].dir {
		return gone(err)
	}
	entries, err := os.ReadDir(c.Path)
	if err != nil {
		return gone(err)
	}
	there := make(map[string]bool)
	for _, e := range entries {
		path := filepath.Join(c.Path, e.Name())
		there[path] = true
		n, err := nodeOf(path)
		if gone(err) != nil {
			return err
		}
		if err == nil {
			d.names[path] = n
		}
	}
	for path := range d.names {
		if filepath.Dir(path) == c.Path && !there[path] {
			delete(d.names, path)
		}
	}
	return nil
}

// gone drops an error that says that another thread removed the file meanwhile.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// keep puts a file, or a directory without its names, on disk.
func (d *Disk) keep(path string) error {
	n, err := nodeOf(path)
	if err != nil {
		return err
	}
	d.names[path] = n
	if n.dir {
		return nil
	}
	d.files[n], err = read(path)
	return err
}

func nodeOf(path string) (node, error) {
	var s unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_INO|unix.STATX_BTIME|unix.STATX_TYPE, &s)
	if err != nil {
		return node{}, &fs.PathError{Op: "statx", Path: path, Err: err}
	}
	return node{s.Ino, s.Btime, s.Mode&unix.S_IFMT == unix.S_IFDIR}, nil
}

// read reads what a file has written in it.
func read(path string) (image, error) {
	f, err := os.Open(path)
	if err != nil {
		return image{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return image{}, err
	}
	m := image{size: info.Size()}
	for at := int64(0); at < m.size; {
		from, err := unix.Seek(int(f.Fd()), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			break // nothing but zeros from here on
		}
		if err != nil {
			return image{}, err
		}
		if at, err = unix.Seek(int(f.Fd()), from, unix.SEEK_HOLE); err != nil {
			return image{}, err
		}
		data := make([]byte, min(at, m.size)-from)
		if _, err := f.ReadAt(data, from); err != nil {
			return image{}, err
		}
		m.parts = append(m.parts, part{from, data})
	}
	return m, nil
}

// Cut makes the directory what a power cut leaves, once the process is dead. Of what
// was never synced it keeps what chance says, by file names and by pages; a nil
// chance keeps nothing. What is left is on disk.
func (d *Disk) Cut(chance func() bool) error {
	now, err := NewDisk(d.root)
	if err != nil {
		return err
	}
	left := make(map[string]image)
	dirs := []string{d.root} // parents first
	walk := func(path string, n node, on bool) {
		switch {
		case !on:
		case !n.dir:
			left[path] = mix(d.files[n], now.files[n], chance)
		case path != d.root:
			dirs = append(dirs, path)
		}
	}
	lucky := func() bool { return chance != nil && chance() }
	for path, n := range now.names {
		walk(path, n, d.names[path] == n || lucky())
	}
	for path, n := range d.names {
		if _, again := left[path]; !again && now.names[path] != n {
			walk(path, n, !lucky()) // removed, or another file by now: the old one is still there
		}
	}
	return d.replace(dirs, left)
}

// mix is a file of which some pages are as they were on disk, the others as they were
// in memory.
func mix(disk, memory image, chance func() bool) image {
	if chance == nil {
		return disk
	}
	if memory.size == 0 && memory.parts == nil && disk.size > 0 {
		return disk // removed: nothing is known of its last content
	}
	size := disk.size
	if chance() {
		size = memory.size
	}
	old, new := disk.pages(size), memory.pages(size)
	all := slices.Collect(maps.Keys(old))
	for at := range new {
		if old[at] == nil {
			all = append(all, at)
		}
	}
	slices.Sort(all)
	m := image{size: size}
	for _, at := range all {
		page := old[at]
		if chance() {
			page = new[at]
		}
		if page != nil {
			m.parts = append(m.parts, part{at, page})
		}
	}
	return m
}

// pages are the pages of a file up to a size that are not holes, by where they begin.
func (m image) pages(size int64) map[int64][]byte {
	all := make(map[int64][]byte)
	for _, p := range m.parts { // they begin and end where pages do, but for the last end
		for at := 0; at < len(p.data) && p.at+int64(at) < size; at += pageSize {
			end := min(int64(at+pageSize), int64(len(p.data)), size-p.at)
			all[p.at+int64(at)] = p.data[at:end]
		}
	}
	return all
}
