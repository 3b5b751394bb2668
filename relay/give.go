package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const (
	// A reader that found the FIFO's name just before the file took its place may open it a little later.
	lateReader = 2 * time.Second
	retry      = 10 * time.Millisecond
)

// give puts a file in the place of a FIFO, and writes it to the reader that waits there.
//
// The file first: whoever opens the name from then on reads the file, and only who waits already needs the FIFO. That
// keeps a second name until it is no longer needed, so that a give that was cut can be done again.
func give(asked request) error {
	path := filepath.Join(asked.dir, asked.name)
	pipe := filepath.Join(asked.dir, "."+asked.name+".fifo")
	part, count, err := take(os.Stdin, asked.size, asked.dir, asked.name, 0o644)
	if err != nil {
		return err
	}
	switch {
	case isFIFO(path):
		if err := os.Link(path, pipe); err != nil && !errors.Is(err, fs.ErrExist) {
			os.Remove(part)
			return fmt.Errorf("the FIFO cannot get a second name, give as its owner: %w", err)
		}
	case isFIFO(pipe): // A give before this one was cut.
	case isRegular(path): // A give before this one was not cut.
		defer os.Remove(part)
		if same, err := equal(part, path); err != nil || !same {
			return errors.Join(err, fail(failed, "%s was given already, with another content", path))
		}
		return answer(count)
	default:
		os.Remove(part)
		return fail(replaced, "%s is not the FIFO that was to be given to: something replaced it", path)
	}
	if err := name(part, path); err != nil {
		return err
	}
	if err := answer(count); err != nil {
		return err
	}
	if err := offer(pipe, path, asked.linger); err != nil {
		return err
	}
	return os.Remove(pipe)
}

// offer writes a file to the reader of a FIFO, if one comes within the time that a late one needs.
func offer(pipe, path string, linger time.Duration) error {
	content, err := openStrange(path)
	if err != nil {
		return err
	}
	defer content.Close()
	for begun := time.Now(); ; time.Sleep(retry) {
		reader, err := os.OpenFile(pipe, os.O_WRONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
		if err == nil {
			err = send(reader, content, linger)
			reader.Close()
		}
		// ENXIO: nobody waits. EPIPE: the reader died before it had all, perhaps beside another.
		if err == nil || !errors.Is(err, syscall.ENXIO) && !errors.Is(err, syscall.EPIPE) {
			return err
		}
		if time.Since(begun) >= lateReader {
			return nil
		}
	}
}

func send(reader *os.File, content *os.File, linger time.Duration) error {
	if _, err := content.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if err := reader.SetWriteDeadline(time.Now().Add(linger)); err != nil {
		return err
	}
	_, err := io.Copy(reader, content)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fail(failed, "the reader of %s did not take it within %s", reader.Name(), linger)
	}
	return err
}

func equal(one, other string) (bool, error) {
	first, err := os.ReadFile(one)
	if err != nil {
		return false, err
	}
	file, err := openStrange(other)
	if err != nil {
		return false, err
	}
	defer file.Close()
	second, err := io.ReadAll(io.LimitReader(file, int64(len(first))+1))
	return bytes.Equal(first, second), err
}
