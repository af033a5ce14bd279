//go:build linux && (amd64 || arm64)

package trap

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
)

// replace writes a directory anew, and takes it as it is then.
func (d *Disk) replace(dirs []string, files map[string]image) error {
	entries, err := os.ReadDir(d.root)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(d.root, e.Name())); err != nil {
			return err
		}
	}
	slices.Sort(dirs)
	for _, dir := range dirs {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	for path, m := range files {
		if err := m.write(path); err != nil {
			return err
		}
	}
	again, err := NewDisk(d.root)
	if err == nil {
		*d = *again
	}
	return err
}

// write makes a file of that content. Pages of zeros stay holes, as they were.
func (m image) write(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	err = f.Truncate(m.size)
	zeros := make([]byte, pageSize)
	for _, p := range m.parts {
		for at := 0; at < len(p.data) && err == nil; at += pageSize {
			page := p.data[at:min(at+pageSize, len(p.data))]
			if !bytes.Equal(page, zeros[:len(page)]) {
				_, err = f.WriteAt(page, p.at+int64(at))
			}
		}
	}
	return errors.Join(err, f.Close())
}
