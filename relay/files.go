package main

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// openStrange opens a file that a workload may have made, without following a link or waiting at a FIFO.
func openStrange(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if errors.Is(err, syscall.ELOOP) || errors.Is(err, syscall.ENXIO) {
		return nil, fail(replaced, "%s is a link or a socket, not a regular file: something replaced it", path)
	}
	if err != nil {
		return nil, err
	}
	status, err := file.Stat()
	if err == nil && (!status.Mode().IsRegular() || names(status) > 1) {
		err = fail(replaced, "%s is not a regular file with one name (%s, %d names): something replaced it",
			path, status.Mode(), names(status))
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// names returns how many names a file has.
func names(status fs.FileInfo) uint64 { return uint64(status.Sys().(*syscall.Stat_t).Nlink) }

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func isFIFO(path string) bool {
	status, err := os.Lstat(path)
	return err == nil && status.Mode().Type() == fs.ModeNamedPipe
}

func isRegular(path string) bool {
	status, err := os.Lstat(path)
	return err == nil && status.Mode().IsRegular()
}
