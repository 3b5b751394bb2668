package main

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

func startHold(t *testing.T, folder string, words ...string) *process {
	t.Helper()
	holding := start(t, append([]string{"hold", "--dir", folder}, words...)...)
	until(t, 5*time.Second, "the messages' file is there", func() bool {
		return exists(filepath.Join(folder, messagesFile))
	})
	return holding
}

func signals(t *testing.T, p *process, signal syscall.Signal) {
	t.Helper()
	must(t, p.cmd.Process.Signal(signal))
}

func TestHoldPreparesWhatTheWorkloadOpens(t *testing.T) {
	folder := t.TempDir()
	holding := startHold(t, folder)
	path := filepath.Join(folder, messagesFile)
	if status, err := os.Stat(path); err != nil || status.Mode() != 0o666 || exists(filepath.Join(folder, contextFile)) {
		t.Fatal(status.Mode(), err)
	}
	write(t, path, "a line\n")
	// Killed, as by a lack of memory, it is started again.
	signals(t, holding, syscall.SIGKILL)
	holding.exit(time.Second)
	holding = startHold(t, folder, "--wait-context")
	until(t, time.Second, "the FIFO is there", func() bool { return isFIFO(filepath.Join(folder, contextFile)) })
	if status, _ := os.Stat(filepath.Join(folder, contextFile)); status.Mode().Perm() != 0o644 {
		t.Fatal(status.Mode())
	}
	again := startHold(t, folder, "--wait-context")
	time.Sleep(100 * time.Millisecond)
	if content(t, path) != "a line\n" || !again.runs() || !holding.runs() {
		t.Fatal(content(t, path), again.said.String())
	}
	start(t, "hold", "--dir", filepath.Join(folder, "none")).expect(failed, "no such file")
	start(t, "hold", "--dir", folder, "--state", path).expect(failed, "must be a folder")
}

// The kubelet starts a native sidecar again that ends by itself.
func TestHoldEndsOnlyAfterSIGTERMAndDone(t *testing.T) {
	t.Parallel()
	for _, doneFirst := range []bool{true, false} {
		soon(t, 800*time.Millisecond, func(t *testing.T) time.Duration { return holdToItsEnd(t, doneFirst) })
	}
}

func holdToItsEnd(t *testing.T, doneFirst bool) time.Duration {
	folder, state := t.TempDir(), t.TempDir()
	holding := startHold(t, folder, "--state", state)
	signals(t, holding, syscall.SIGINT)
	signals(t, holding, syscall.SIGHUP)
	steps := []func(){
		func() { run(t, "", "done", "--dir", folder, "--state", state).expect(0) },
		func() { signals(t, holding, syscall.SIGTERM) },
	}
	if !doneFirst {
		steps[0], steps[1] = steps[1], steps[0]
	}
	steps[0]()
	time.Sleep(1200 * time.Millisecond)
	if !holding.runs() {
		t.Fatalf("it ended too early (done first: %t): %s", doneFirst, holding.said.String())
	}
	if exists(filepath.Join(state, endedFile)) == doneFirst {
		t.Fatal("the end is told at SIGTERM, not before or later")
	}
	begun := time.Now()
	steps[1]()
	holding.expect(0)
	took := time.Since(begun)
	if exists(filepath.Join(folder, endedFile)) || exists(filepath.Join(folder, doneFile)) {
		t.Fatal("state beside the messages")
	}
	return took
}

func TestHoldEndsAfterItsLinger(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	holding := startHold(t, folder, "--linger", "300ms")
	time.Sleep(500 * time.Millisecond)
	if !holding.runs() {
		t.Fatal("it lingers from SIGTERM on, not from its start")
	}
	signals(t, holding, syscall.SIGTERM)
	time.Sleep(100 * time.Millisecond)
	if !holding.runs() {
		t.Fatal("it did not linger")
	}
	holding.expect(failed, "nobody said `done` within 300ms")
}

// A `done` that was run by an engine in hold's container dies with it.
func TestHoldEndsNotBeforeDoneWasAnswered(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	holding := startHold(t, folder)
	signals(t, holding, syscall.SIGTERM)
	until(t, 5*time.Second, "the end is told", func() bool { return exists(filepath.Join(folder, endedFile)) })
	// A `done` that is slow to end: its file is there, and its lock is held.
	part := filepath.Join(folder, "part")
	write(t, part, "")
	file, err := os.Open(part)
	must(t, err)
	must(t, syscall.Flock(int(file.Fd()), syscall.LOCK_EX))
	must(t, os.Rename(part, filepath.Join(folder, doneFile)))
	time.Sleep(1200 * time.Millisecond)
	if !holding.runs() {
		t.Fatal("it ended before `done` had")
	}
	file.Close()
	freed := time.Now()
	holding.expect(0)
	if took := time.Since(freed); took < passing {
		t.Fatalf("it ended %s after `done`, before an engine can have told", took)
	}
}

// In-process, because the lock must be held for as long as the process lives.
func TestDoneIsLockedWhenItCanBeSeen(t *testing.T) {
	folder := t.TempDir()
	must(t, done(folder))
	file, err := os.Open(filepath.Join(folder, doneFile))
	must(t, err)
	defer file.Close()
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != syscall.EWOULDBLOCK {
		t.Fatal("it is not locked:", err)
	}
	lock.Close()
	must(t, syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB))
	start(t, "done", "--dir", filepath.Join(folder, "none")).expect(failed, "no such file")
}

func TestALockThatIsKeptForEverDoesNotHoldThePod(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	path := filepath.Join(folder, doneFile)
	write(t, path, "")
	file, err := os.Open(path)
	must(t, err)
	defer file.Close()
	must(t, syscall.Flock(int(file.Fd()), syscall.LOCK_EX))
	holding := startHold(t, folder)
	signals(t, holding, syscall.SIGTERM)
	if code := holding.exit(2 * longestAnswer); code != 0 {
		t.Fatal(code)
	}
}

func TestWhatAWorkloadPutsInThePlaceOfTheStateEndsNothingBadly(t *testing.T) {
	folder := t.TempDir()
	must(t, syscall.Mkfifo(filepath.Join(folder, endedFile), 0o666))
	must(t, syscall.Mkfifo(filepath.Join(folder, doneFile), 0o666))
	holding := startHold(t, folder)
	time.Sleep(100 * time.Millisecond)
	signals(t, holding, syscall.SIGTERM)
	if code := holding.exit(2 * time.Second); code != 0 {
		t.Fatal(code, holding.said.String())
	}
}

func TestStayEndsAtOnce(t *testing.T) {
	for name, test := range map[string]struct {
		end  func(t *testing.T, staying *process, folder string)
		code int
	}{
		"done":    {func(t *testing.T, _ *process, folder string) { run(t, "", "done", "--dir", folder).expect(0) }, 0},
		"SIGTERM": {func(t *testing.T, staying *process, _ string) { signals(t, staying, syscall.SIGTERM) }, 0},
	} {
		soon(t, 500*time.Millisecond, func(t *testing.T) time.Duration {
			folder := t.TempDir()
			staying := start(t, "stay", "--dir", folder)
			write(t, filepath.Join(folder, endedFile), "")
			time.Sleep(1200 * time.Millisecond)
			if !staying.runs() {
				t.Fatal("it did not stay until " + name)
			}
			begun := time.Now()
			test.end(t, staying, folder)
			staying.expect(test.code)
			return time.Since(begun)
		})
	}
	start(t, "stay", "--dir", t.TempDir(), "--linger", "50ms").expect(failed, "nobody said `done`")
	start(t, "stay", "--dir", "/none").expect(failed, "no such file")
}
