// The relay: the one program of Drayage that runs beside a workload, where host and workload share no files.
//
// It moves bytes between its standard streams and the folder that it shares with the workload, and keeps the pod of a
// workload open until its messages were read. It knows no protocol and remembers nothing: every reading names the
// offset that it starts from.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// Exit codes: the host decides by them what to do next.
const (
	failed   = 2 // wrong usage, or a file could not be read or written
	replaced = 3 // the workload did something else to its file than append to it
	broken   = 4 // the standard output is closed
)

// failure is an error with an exit code of its own.
type failure struct {
	code int
	text string
}

func (f failure) Error() string { return f.text }

func fail(code int, format string, words ...any) error {
	return failure{code, fmt.Sprintf(format, words...)}
}

func main() {
	// A broken output is an error with a code, not a death by SIGPIPE.
	signal.Ignore(syscall.SIGPIPE)
	// Files are made with exactly the permissions that the code names: the workload may be any user.
	syscall.Umask(0)
	err := relay(os.Args[1:])
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "relay:", err)
	code := failed
	if its := (failure{}); errors.As(err, &its) {
		code = its.code
	}
	os.Exit(code)
}

func relay(words []string) error {
	asked, err := parse(words)
	if err != nil {
		return err
	}
	if asked.command != "hold" && asked.command != "stay" {
		endAtSignals()
	}
	switch asked.command {
	case "read":
		if asked.follow {
			return follow(asked, os.Stdout, os.Stderr, hostWords(os.Stdin))
		}
		return read(asked, os.Stdout)
	case "put":
		return put(asked)
	case "receive":
		return receive(asked)
	case "hold":
		return hold(asked)
	case "stay":
		return stay(asked)
	case "done":
		return done(asked.state)
	case "give":
		return give(asked)
	case "usage":
		return usage(cgroupRoot, os.Stdout)
	case "install":
		return install(asked.path)
	default:
		return cat(asked.path)
	}
}

// endAtSignals ends the program as a shell would say it. Process 1 of a container ignores what it has no handler for.
func endAtSignals() {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM, syscall.SIGINT)
	go func() { os.Exit(128 + int((<-told).(syscall.Signal))) }()
}
