package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// replaceFile writes a file, readable by its owner alone, such that it is as it was
// or as it shall be, whenever the machine stops. Folders that are not there are made.
func replaceFile(path string, text []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	temp, err := os.CreateTemp(dir, "."+filepath.Base(path)+"-*") // its mode is 0600
	if err != nil {
		return err
	}
	_, err = temp.Write(text)
	err = errors.Join(err, temp.Sync(), temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, errors.Join(err, os.Remove(temp.Name())))
	}
	if d, err := os.Open(dir); err == nil {
		_ = d.Sync() // not every system can sync a directory; the file is merely old if it is lost
		_ = d.Close()
	}
	return nil
}
