package archive

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrExists tells that there is such a file already, which was not to be
// replaced.
var ErrExists = errors.New("archive: the file exists already")

// Save writes an archive to a file. Whoever finds the file finds all of it: it
// is written beside its place and gets its name once it is on the disk. An
// existing file is left alone ([ErrExists]) unless replace is set. Only its
// owner can read the file.
func Save(path string, a *Archive, replace bool) (err error) {
	folder := filepath.Dir(path)
	f, err := os.CreateTemp(folder, "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	defer func() {
		if gone := os.Remove(f.Name()); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}()
	if err := errors.Join(Write(f, a), f.Sync(), f.Close()); err != nil {
		return err
	}
	if replace {
		err = os.Rename(f.Name(), path)
	} else if err = os.Link(f.Name(), path); errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: %s", ErrExists, path)
	} else if err != nil {
		// A file system without hard links. The look and the renaming are two
		// steps there, and a file that is made in between is replaced.
		if _, missing := os.Lstat(path); missing == nil {
			return fmt.Errorf("%w: %s", ErrExists, path)
		}
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	return syncFolder(folder)
}

// syncFolder brings the name of a new file to the disk.
func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	// Not every system can do this to a folder, and then it is not needed.
	_ = d.Sync()
	return d.Close()
}

// Open reads the archive in a file.
func Open(path string) (*Archive, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("archive: %w", err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	return Read(f)
}
