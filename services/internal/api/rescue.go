package api

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cloud-pixel/playground/services/canvas"
)

// maxRescued is how many pictures the folder keeps: losing Redis again and
// again must not fill the disk.
const maxRescued = 20

const rescuePrefix = "pixel-rescue-"

// rescuer writes the last picture of a canvas that Redis lost to disk, before
// the canvas begins anew, blank. The files are for people: nothing reads them.
type rescuer struct {
	dir     string
	log     *slog.Logger
	metrics *metrics
}

// save is called by the goroutine of the replica, which has nothing better to
// do: its canvas is gone.
func (r *rescuer) save(id string, at canvas.Position, f *canvas.Frozen) {
	path, err := r.write(id, at, f)
	if err != nil {
		r.metrics.rescues.WithLabelValues("failed").Inc()
		r.log.Error("the last picture of a lost canvas could not be written", "canvas", id, "position", at.String(), "error", err)
		return
	}
	r.metrics.rescues.WithLabelValues("written").Inc()
	r.log.Warn("the last picture of a lost canvas was written", "canvas", id, "position", at.String(), "file", path)
}

func (r *rescuer) write(id string, at canvas.Position, f *canvas.Frozen) (path string, err error) {
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		return "", err
	}
	// The names sort by canvas only; the age of the files is their own.
	path = filepath.Join(r.dir, fmt.Sprintf("%s%s-%s-%d.png", rescuePrefix, id, at.Epoch, at.Seq))
	file, err := os.CreateTemp(r.dir, ".writing-*")
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(file.Name()))
		}
	}()
	err = errors.Join(encodePNG(file, f, 1), file.Sync(), file.Close())
	if err != nil {
		return "", err
	}
	// Whoever finds the file finds all of it.
	if err = os.Rename(file.Name(), path); err != nil {
		return "", err
	}
	return path, r.forget()
}

// forget removes the oldest files beyond maxRescued.
func (r *rescuer) forget() error {
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		return err
	}
	type rescued struct {
		name string
		age  int64
	}
	var all []rescued
	for _, e := range entries {
		if info, err := e.Info(); err == nil && strings.HasPrefix(e.Name(), rescuePrefix) {
			all = append(all, rescued{e.Name(), info.ModTime().UnixNano()})
		}
	}
	slices.SortFunc(all, func(a, b rescued) int { return int(min(max(b.age-a.age, -1), 1)) })
	for _, old := range all[min(len(all), maxRescued):] {
		err = errors.Join(err, os.Remove(filepath.Join(r.dir, old.name)))
	}
	return err
}
