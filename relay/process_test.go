package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// The tests run the relay as a process: this test program is the relay when it is told so.
const playsRelay = "THIS_IS_THE_RELAY=1"

func TestMain(m *testing.M) {
	if os.Getenv(strings.SplitN(playsRelay, "=", 2)[0]) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// process is a relay that runs.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	input  io.WriteCloser
	output output
	said   output
	ended  chan struct{}
}

// output is what a process wrote until now.
type output struct {
	lock  sync.Mutex
	bytes bytes.Buffer
}

func (o *output) Write(chunk []byte) (int, error) {
	o.lock.Lock()
	defer o.lock.Unlock()
	return o.bytes.Write(chunk)
}

func (o *output) String() string {
	o.lock.Lock()
	defer o.lock.Unlock()
	return o.bytes.String()
}

func (o *output) len() int {
	o.lock.Lock()
	defer o.lock.Unlock()
	return o.bytes.Len()
}

// prepared returns a relay that was not started yet, with its input attached.
func prepared(t *testing.T, words ...string) *process {
	t.Helper()
	begun := &process{t: t, cmd: exec.Command(os.Args[0], words...), ended: make(chan struct{})}
	begun.cmd.Env = append(os.Environ(), playsRelay)
	input, err := begun.cmd.StdinPipe()
	must(t, err)
	begun.input = input
	begun.cmd.Stdout, begun.cmd.Stderr = &begun.output, &begun.said
	return begun
}

func (p *process) begin() *process {
	p.t.Helper()
	must(p.t, p.cmd.Start())
	go func() {
		p.cmd.Wait()
		close(p.ended)
	}()
	p.t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-p.ended
	})
	return p
}

func start(t *testing.T, words ...string) *process {
	t.Helper()
	return prepared(t, words...).begin()
}

// run runs a relay with an input to its end.
func run(t *testing.T, input string, words ...string) *process {
	t.Helper()
	begun := start(t, words...)
	io.WriteString(begun.input, input)
	begun.input.Close()
	begun.exit(10 * time.Second)
	return begun
}

// exit returns the exit code (-1: died by a signal), and fails the test if the process is not over in time.
func (p *process) exit(within time.Duration) int {
	p.t.Helper()
	select {
	case <-p.ended:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(within):
		p.t.Fatalf("%q did not end within %s; it said %q", p.cmd.Args[1:], within, p.said.String())
		return 0
	}
}

func (p *process) runs() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// waits returns once the process watches its folder.
func (p *process) waits() {
	p.t.Helper()
	until(p.t, 10*time.Second, "it watches its folder", func() bool {
		files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", p.cmd.Process.Pid))
		return slices.ContainsFunc(files, func(file string) bool {
			is, _ := os.Readlink(file)
			return is == "anon_inode:inotify"
		})
	})
}

// expect sees that a process ended with a code, and said something.
func (p *process) expect(code int, words ...string) {
	p.t.Helper()
	if got := p.exit(10 * time.Second); got != code {
		p.t.Fatalf("%q: exit code %d, expected %d; it said %q", p.cmd.Args[1:], got, code, p.said.String())
	}
	for _, word := range words {
		if !strings.Contains(p.said.String(), word) {
			p.t.Fatalf("%q: expected %q to be said, got %q", p.cmd.Args[1:], word, p.said.String())
		}
	}
	if code != 0 && (!strings.HasPrefix(p.said.String(), "relay: ") || strings.Contains(p.said.String(), "goroutine")) {
		p.t.Fatalf("%q: no plain sentence: %q", p.cmd.Args[1:], p.said.String())
	}
}

// until waits for a condition.
func until(t *testing.T, within time.Duration, what string, holds func() bool) {
	t.Helper()
	for begun := time.Now(); !holds(); time.Sleep(time.Millisecond) {
		if time.Since(begun) > within {
			t.Fatalf("not within %s: %s", within, what)
		}
	}
}

// soon sees that something takes no longer than it should, once in five times: other programs may hold it up.
func soon(t *testing.T, within time.Duration, try func(t *testing.T) time.Duration) {
	t.Helper()
	var took [5]time.Duration
	for number := range took {
		if took[number] = try(t); took[number] <= within {
			return
		}
	}
	t.Fatalf("took %s, expected %s", took, within)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t testing.TB, path, content string) {
	t.Helper()
	must(t, os.WriteFile(path, []byte(content), 0o666))
}

func extend(t testing.TB, path, content string) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	defer file.Close()
	_, err = file.WriteString(content)
	must(t, err)
}

func content(t testing.TB, path string) string {
	t.Helper()
	read, err := os.ReadFile(path)
	must(t, err)
	return string(read)
}

func sum[bytes string | []byte](content bytes) [32]byte { return sha256.Sum256([]byte(content)) }

// codeOf returns the exit code that an error leads to.
func codeOf(err error) int {
	its := failure{}
	switch {
	case err == nil:
		return 0
	case errors.As(err, &its):
		return its.code
	default:
		return failed
	}
}

func hidden(t *testing.T, folder string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(folder, ".*"))
	must(t, err)
	return found
}
