package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// put takes a file from the standard input; it has its name only when it is whole.
func put(asked request) error {
	part, count, err := take(os.Stdin, asked.size, asked.dir, asked.name, 0o644)
	if err != nil {
		return err
	}
	if err := name(part, filepath.Join(asked.dir, asked.name)); err != nil {
		return err
	}
	return answer(count)
}

// receive waits until a file was put.
func receive(asked request) error {
	changes, err := watch(syscall.IN_CREATE|syscall.IN_MOVED_TO, os.Stderr, asked.dir)
	if err != nil {
		return err
	}
	defer changes.close()
	path, deadline := filepath.Join(asked.dir, asked.name), time.After(asked.linger)
	for !isRegular(path) {
		select {
		case <-changes.seen:
		case <-time.After(changes.longest):
		case <-deadline:
			return fail(failed, "nobody put %s within %s", path, asked.linger)
		}
	}
	return nil
}

// install copies this program, so that it can be run in a container of another image.
func install(path string) error {
	program, err := os.Open("/proc/self/exe")
	if err != nil {
		return err
	}
	defer program.Close()
	part, _, err := take(program, -1, filepath.Dir(path), filepath.Base(path), 0o755)
	if err != nil {
		return err
	}
	return name(part, path)
}

// cat writes a file of an image to the standard output. Images use links, symbolic and hard, so both may stand there.
func cat(path string) error {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	status, err := file.Stat()
	if err != nil {
		return err
	}
	if !status.Mode().IsRegular() {
		return fail(failed, "%s is not a regular file (%s)", path, status.Mode())
	}
	content := &source{reader: file}
	if _, err := io.Copy(os.Stdout, content); err != nil {
		if content.err != nil {
			return content.err
		}
		return fail(broken, "the standard output cannot be written: %v", err)
	}
	return nil
}

// source remembers whether reading failed, so that it can be told from writing.
type source struct {
	reader io.Reader
	err    error
}

func (s *source) Read(chunk []byte) (int, error) {
	count, err := s.reader.Read(chunk)
	if err != io.EOF {
		s.err = err
	}
	return count, err
}

// take writes size bytes of input (-1: all) to a hidden file in a folder, and returns its path and its size.
func take(input io.Reader, size int64, folder, name string, mode os.FileMode) (string, int64, error) {
	part, err := os.CreateTemp(folder, "."+name+".*")
	if err != nil {
		return "", 0, err
	}
	limit := size
	if size < 0 {
		limit = math.MaxInt64
	}
	count, err := io.Copy(part, io.LimitReader(input, limit))
	if err == nil && size >= 0 && count != size {
		err = fail(failed, "%d of %d bytes of %s came before the standard input ended: send it again", count, size, name)
	}
	if err = errors.Join(err, part.Chmod(mode), part.Close()); err != nil {
		os.Remove(part.Name())
		return "", 0, err
	}
	return part.Name(), count, nil
}

// name gives a file its name, in the place of what had it.
func name(part, path string) error {
	if err := os.Rename(part, path); err != nil {
		os.Remove(part)
		return err
	}
	return nil
}

func answer(count int64) error {
	if _, err := fmt.Println(count); err != nil {
		return fail(broken, "the standard output cannot be written: %v", err)
	}
	return nil
}
