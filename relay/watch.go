package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"
)

const (
	// Events may be lost, or never come: on file systems that are shared through a network or a virtual machine.
	longestWait = time.Second
	// A user may have 128 inotify instances on a whole machine.
	longestWaitUnwatched = 50 * time.Millisecond
)

// Tests replace it.
var beginInotify = inotify

// watcher tells of changes in folders, several at once as one. What happened is for the waiting one to find out.
type watcher struct {
	seen    chan struct{}
	longest time.Duration // how long to wait for a change before looking anyway
	events  *os.File
}

// watch begins to watch folders for the events in mask; it says so when it can only look often instead.
func watch(mask uint32, said io.Writer, folders ...string) (*watcher, error) {
	begun := &watcher{make(chan struct{}, 1), longestWait, nil}
	number, err := beginInotify(mask, folders)
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENOSPC) {
		fmt.Fprintf(said, "relay: no inotify left on this machine (%v): looking every %s instead\n", err,
			longestWaitUnwatched)
		begun.longest = longestWaitUnwatched
		return begun, nil
	}
	if err != nil {
		return nil, err
	}
	begun.events = os.NewFile(uintptr(number), "inotify")
	go begun.pass()
	return begun, nil
}

func (w *watcher) close() {
	if w.events != nil {
		w.events.Close()
	}
}

func (w *watcher) pass() {
	for buffer := make([]byte, 16*1024); ; {
		if _, err := w.events.Read(buffer); err != nil {
			return
		}
		select {
		case w.seen <- struct{}{}:
		default:
		}
	}
}

func inotify(mask uint32, folders []string) (int, error) {
	number, err := syscall.InotifyInit1(syscall.IN_CLOEXEC | syscall.IN_NONBLOCK)
	if err != nil {
		return -1, err
	}
	for _, folder := range folders {
		if _, err := syscall.InotifyAddWatch(number, folder, mask|syscall.IN_ONLYDIR); err != nil {
			syscall.Close(number)
			return -1, &os.PathError{Op: "watch", Path: folder, Err: err}
		}
	}
	return number, nil
}
