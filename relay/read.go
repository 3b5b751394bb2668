package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const (
	chunkBytes = 256 * 1024
	seekHole   = 4        // SEEK_HOLE of lseek(2)
	nullDevice = 1<<8 | 3 // major and minor number of /dev/null
	// A follower whose output is stuck cannot look at its input: it is ended from outside after this time.
	stuck = 300 * time.Millisecond
	// What a host says to a follower, each in a line.
	restWord, doneWord = "rest", "done"
	mostWords          = 8
)

// read writes a file's bytes from an offset on.
func read(asked request, out io.Writer) error {
	file, err := openTail(filepath.Join(asked.dir, asked.name), asked.from, out)
	if err != nil {
		return err
	}
	defer file.close()
	// Up to what is there now: a workload that goes on writing would keep it busy for ever.
	return file.move(file.size)
}

// follow writes a file's bytes from an offset on, and those that are appended, until `.ended` is there and all was read,
// or until the host's words end. A host that knows that the workload has ended says `rest`.
func follow(asked request, out, said io.Writer, words <-chan string) error {
	changes, err := watch(syscall.IN_MODIFY|syscall.IN_ATTRIB|syscall.IN_MOVE|syscall.IN_CREATE|syscall.IN_DELETE, said,
		asked.dir, asked.state)
	if err != nil {
		return err
	}
	defer changes.close()
	path, ended := filepath.Join(asked.dir, asked.name), filepath.Join(asked.state, endedFile)
	var file *tail
	at, quietSince := asked.from, time.Now()
	for {
		// First this, then the bytes: what was written before the end is read before the end is believed.
		over := exists(ended)
		if file == nil {
			file, err = openTail(path, asked.from, out)
			if err != nil && !(errors.Is(err, fs.ErrNotExist) && !over && asked.from == 0) {
				return err
			}
			if file != nil {
				defer file.close()
			}
		}
		if file != nil {
			if err := file.move(math.MaxInt64); err != nil {
				return err
			}
			if file.at > at {
				at, quietSince = file.at, time.Now()
			}
			if over {
				return nil
			}
		}
		wait := changes.longest
		if asked.beat > 0 {
			if time.Since(quietSince) >= asked.beat {
				if _, err := fmt.Fprintf(said, "{\"at\":%d}\n", at); err != nil {
					return fail(broken, "the standard error cannot be written: %v", err)
				}
				quietSince = time.Now()
			}
			wait = min(wait, time.Until(quietSince.Add(asked.beat)))
		}
		select {
		case word, more := <-words:
			if !more {
				return nil
			}
			if word == restWord {
				return finish(asked, file, out, said, words)
			}
		case <-changes.seen:
		case <-time.After(wait):
		}
	}
}

// finish writes what is there now, says how much that is, and lets hold and stay end once the host says `done`.
func finish(asked request, file *tail, out, said io.Writer, words <-chan string) error {
	if file == nil {
		var err error
		if file, err = openTail(filepath.Join(asked.dir, asked.name), asked.from, out); err != nil {
			return err
		}
		defer file.close()
	}
	// Its size may be that of an earlier look.
	if err := file.requireWhole(); err != nil {
		return err
	}
	if err := file.move(file.size); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(said, "{\"rest\":%d}\n", file.at); err != nil {
		return fail(broken, "the standard error cannot be written: %v", err)
	}
	for word := range words {
		if word == doneWord {
			return done(asked.state)
		}
	}
	return nil
}

// hostWords passes on the lines of an attached standard input; they end when its host is gone.
func hostWords(input *os.File) <-chan string {
	words := make(chan string, mostWords)
	if !attached(input) {
		return words
	}
	go func() {
		// Without waiting for whoever takes them, who may be stuck: the end must be noticed.
		for lines := bufio.NewScanner(input); lines.Scan(); {
			select {
			case words <- lines.Text():
			default:
			}
		}
		close(words)
		time.Sleep(stuck)
		os.Exit(0)
	}()
	return words
}

// attached returns whether somebody can be at the other end. An engine that attaches nothing gives /dev/null.
func attached(input *os.File) bool {
	status, err := input.Stat()
	return err == nil && !status.Mode().IsRegular() && status.Sys().(*syscall.Stat_t).Rdev != nullDevice
}

// tail moves the bytes of a file that is only appended to.
type tail struct {
	path   string
	file   *os.File
	out    io.Writer
	at     int64 // the next byte
	size   int64 // as last seen
	buffer []byte
}

func openTail(path string, from int64, out io.Writer) (*tail, error) {
	file, err := openStrange(path)
	if errors.Is(err, fs.ErrNotExist) && from > 0 {
		return nil, fail(replaced, "%s was removed: a workload must only append to it", path)
	}
	if err != nil {
		return nil, err
	}
	opened := &tail{path, file, out, from, from, make([]byte, chunkBytes)}
	if err := opened.requireWhole(); err != nil {
		file.Close()
		return nil, err
	}
	return opened, nil
}

func (t *tail) close() { t.file.Close() }

// move writes all bytes before limit that are there.
func (t *tail) move(limit int64) error {
	for t.at < limit {
		count, err := t.file.ReadAt(t.buffer[:min(chunkBytes, limit-t.at)], t.at)
		if count > 0 {
			if err := t.write(t.buffer[:count]); err != nil {
				return err
			}
			continue
		}
		if err != io.EOF {
			return fail(failed, "%s cannot be read: %v", t.path, err)
		}
		break
	}
	return t.requireWhole()
}

func (t *tail) write(chunk []byte) error {
	// A terabyte of nothing is made in no time: do not carry it through the network.
	if len(bytes.TrimLeft(chunk, "\x00")) == 0 {
		hole, err := syscall.Seek(int(t.file.Fd()), t.at, seekHole)
		if err == nil && hole < t.at+int64(len(chunk)) {
			return fail(replaced, "%s has a hole at byte %d: a workload must only append to it", t.path, hole)
		}
	}
	if _, err := t.out.Write(chunk); err != nil {
		return fail(broken, "the standard output cannot be written: %v", err)
	}
	t.at += int64(len(chunk))
	return nil
}

// requireWhole sees that the file is still the one of its name, and has not become shorter.
func (t *tail) requireWhole() error {
	opened, err := t.file.Stat()
	if err != nil {
		return fail(failed, "%s cannot be read: %v", t.path, err)
	}
	named, err := os.Lstat(t.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fail(replaced, "%s was removed: a workload must only append to it", t.path)
	case err != nil:
		return fail(failed, "%s cannot be read: %v", t.path, err)
	case !os.SameFile(opened, named):
		return fail(replaced, "%s was replaced by another file (%s): a workload must only append to it", t.path, named.Mode())
	case names(opened) > 1:
		return fail(replaced, "%s got another name: a workload must only append to it", t.path)
	case opened.Size() < t.size:
		return fail(replaced, "%s was truncated to %d bytes, and had %d: a workload must only append to it",
			t.path, opened.Size(), t.size)
	}
	t.size = opened.Size()
	return nil
}
