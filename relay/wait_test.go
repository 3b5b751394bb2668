package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestAFollowerThatWaitsSaysThatItLives(t *testing.T) {
	folder, path := messages(t, "one\n")
	reader := startReading(t, folder, 0, "--follow", "--beat", "50ms")
	until(t, 5*time.Second, "ten beats", func() bool {
		return strings.Contains(reader.said.String(), strings.Repeat("{\"at\":4}\n", 10))
	})
	extend(t, path, "two\n")
	until(t, 5*time.Second, "another beat", func() bool { return strings.HasSuffix(reader.said.String(), "{\"at\":8}\n") })
	silent := startReading(t, folder, 0, "--follow", "--beat", "0s")
	until(t, 5*time.Second, "the lines", func() bool { return silent.output.len() == 8 })
	time.Sleep(100 * time.Millisecond)
	if silent.said.len() > 0 {
		t.Fatal(silent.said.String())
	}
}

// A reader that is stopped while more events come than the kernel keeps loses some, and finds out.
func TestLostEventsLoseNoBytes(t *testing.T) {
	folder, path := messages(t, "one\n")
	reader := startReading(t, folder, 0, "--follow")
	until(t, 5*time.Second, "a line comes", func() bool { return reader.output.len() == 4 })
	time.Sleep(50 * time.Millisecond)
	must(t, reader.cmd.Process.Signal(syscall.SIGSTOP))
	limit, err := strconv.Atoi(strings.TrimSpace(content(t, "/proc/sys/fs/inotify/max_queued_events")))
	must(t, err)
	var others [2]*os.File
	for at := range others {
		others[at], err = os.Create(filepath.Join(folder, fmt.Sprint("other", at)))
		must(t, err)
		defer others[at].Close()
	}
	for number := range limit + 100 { // two files in turn, or the kernel would make one event of them
		_, err := others[number%2].WriteString("x")
		must(t, err)
	}
	extend(t, path, "two\n")
	must(t, reader.cmd.Process.Signal(syscall.SIGCONT))
	continued := time.Now()
	until(t, 5*time.Second, "everything is there", func() bool { return reader.output.String() == "one\ntwo\n" })
	t.Logf("everything came after %s", time.Since(continued))
}

func TestWithoutAnyEventEverythingComesWithinASecond(t *testing.T) {
	defer func() { beginInotify = inotify }()
	for name, test := range map[string]struct {
		begin  func(uint32, []string) (int, error)
		within time.Duration
		said   string
	}{
		"events that never come": {func(uint32, []string) (int, error) { // as on a network file system
			return inotify(syscall.IN_CREATE, []string{t.TempDir()})
		}, 5 * time.Second, ""},
		"no inotify left": {func(uint32, []string) (int, error) {
			return -1, syscall.EMFILE
		}, 500 * time.Millisecond, "no inotify left"},
	} {
		t.Run(name, func(t *testing.T) {
			folder, path := messages(t, "one\n")
			beginInotify = test.begin
			var out, said output
			words, ended := make(chan string), make(chan error)
			go func() {
				ended <- follow(request{dir: folder, state: folder, name: messagesFile}, &out, &said, words)
			}()
			until(t, time.Second, "a line comes", func() bool { return out.len() == 4 })
			time.Sleep(50 * time.Millisecond)
			extend(t, path, "two\n")
			until(t, test.within, "the next line", func() bool { return out.len() == 8 })
			close(words)
			must(t, <-ended)
			if (test.said == "") != (said.len() == 0) || !strings.Contains(said.String(), test.said) {
				t.Fatalf("it said %q", said.String())
			}
		})
	}
}

func TestAnIdleFollowerTakesNoTime(t *testing.T) {
	folder, _ := messages(t, "one\n")
	reader := startReading(t, folder, 0, "--follow")
	until(t, 5*time.Second, "a line comes", func() bool { return reader.output.len() == 4 })
	spent := func() (int, int) { // switches and ticks of 10 ms
		status := content(t, fmt.Sprintf("/proc/%d/stat", reader.cmd.Process.Pid))
		fields := strings.Fields(status[strings.LastIndex(status, ")"):])
		user, _ := strconv.Atoi(fields[12])
		system, _ := strconv.Atoi(fields[13])
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", reader.cmd.Process.Pid))
		must(t, err)
		switches := 0
		for _, task := range tasks {
			for line := range strings.Lines(content(t, task)) {
				if rest, found := strings.CutPrefix(line, "voluntary_ctxt_switches:"); found {
					number, _ := strconv.Atoi(strings.TrimSpace(rest))
					switches += number
				}
			}
		}
		return switches, user + system
	}
	time.Sleep(200 * time.Millisecond)
	switches, ticks := spent()
	time.Sleep(5 * time.Second)
	switchesThen, ticksThen := spent()
	t.Logf("in 5 s: %d switches, %d ms of CPU", switchesThen-switches, 10*(ticksThen-ticks))
	if switchesThen-switches > 300 || ticksThen-ticks > 2 {
		t.Fatalf("%d switches and %d ms in 5 s", switchesThen-switches, 10*(ticksThen-ticks))
	}
}
