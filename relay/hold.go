package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

const (
	endedFile = ".ended"
	doneFile  = ".done"
	// How long an engine may need to pass on that `done` went well: no engine does once the container has ended.
	passing = 100 * time.Millisecond
	// A workload that could write in the state folder could keep a lock for ever.
	longestAnswer = 5 * time.Second
)

// hold keeps the folder reachable, as a native sidecar.
//
// It hears of SIGTERM when all other containers of the pod have ended, or their grace has. It must not end before: it
// would be started again.
func hold(asked request) error {
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM)
	signal.Ignore(syscall.SIGINT, syscall.SIGHUP)
	if err := prepare(asked); err != nil {
		return err
	}
	<-terminated
	if err := mark(filepath.Join(asked.state, endedFile), 0o644); err != nil {
		return err
	}
	if err := awaitDone(asked, nil); err != nil {
		return err
	}
	awaitAnswer(filepath.Join(asked.state, doneFile))
	return nil
}

// prepare makes what the workload opens. After a restart all of it is there.
func prepare(asked request) error {
	if err := mark(filepath.Join(asked.dir, messagesFile), 0o666); err != nil {
		return err
	}
	if status, err := os.Stat(asked.state); err != nil {
		return err
	} else if !status.IsDir() {
		return fail(failed, "--state must be a folder, and %s is none", asked.state)
	}
	if !asked.context {
		return nil
	}
	path := filepath.Join(asked.dir, contextFile)
	if err := syscall.Mkfifo(path, 0o644); err != nil && !errors.Is(err, fs.ErrExist) {
		return &os.PathError{Op: "make the FIFO", Path: path, Err: err}
	}
	return nil
}

// mark makes an empty file; what stands in its place already is left alone.
func mark(path string, mode os.FileMode) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return file.Close()
}

// stay keeps the pod open, as a regular container, and never delays its deletion.
func stay(asked request) error {
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM, syscall.SIGINT)
	return awaitDone(asked, terminated)
}

func awaitDone(asked request, terminated <-chan os.Signal) error {
	changes, err := watch(syscall.IN_CREATE|syscall.IN_MOVED_TO, os.Stderr, asked.state)
	if err != nil {
		return err
	}
	defer changes.close()
	for deadline := time.After(asked.linger); !exists(filepath.Join(asked.state, doneFile)); {
		select {
		case <-terminated:
			return nil
		case <-changes.seen:
		case <-time.After(changes.longest):
		case <-deadline:
			return fail(failed, "nobody said `done` within %s: the messages may be unread", asked.linger)
		}
	}
	return nil
}

// done lets hold and stay end. It is run in hold's container, and would be killed with it: so it holds a lock until it
// has ended.
func done(state string) error {
	file, err := os.CreateTemp(state, doneFile+".*")
	if err != nil {
		return err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("%s cannot be locked: %w", file.Name(), err)
	}
	if err := file.Chmod(0o644); err != nil {
		return err
	}
	lock = file
	return name(file.Name(), filepath.Join(state, doneFile))
}

// lock is never closed: the kernel lets go of it when this program has ended.
var lock *os.File

// awaitAnswer waits until the `done` that was run in this container has ended.
func awaitAnswer(path string) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return // It was not made by `done`.
	}
	free := make(chan struct{})
	go func() {
		defer close(free)
		for syscall.Flock(int(file.Fd()), syscall.LOCK_EX) == syscall.EINTR {
		}
	}()
	select {
	case <-free:
	case <-time.After(longestAnswer):
	}
	time.Sleep(passing)
}
