package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const contextText = `{"extras":{}}`

func fifo(t *testing.T) (folder, path string) {
	t.Helper()
	folder = t.TempDir()
	path = filepath.Join(folder, contextFile)
	must(t, syscall.Mkfifo(path, 0o644))
	return folder, path
}

// reader is another process that reads a FIFO.
type reader struct {
	*exec.Cmd
	output output
}

// waitingReader returns once the reader waits in the FIFO's opening.
func waitingReader(t *testing.T, path string, command ...string) *reader {
	t.Helper()
	begun := &reader{Cmd: exec.Command(command[0], append(command[1:], path)...)}
	begun.Stdout = &begun.output
	must(t, begun.Start())
	t.Cleanup(func() { begun.Process.Kill() })
	asleep := 0
	until(t, 5*time.Second, "the reader waits", func() bool {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", begun.Process.Pid))
		must(t, err)
		if !strings.Contains(string(status), "("+command[0]+") S") {
			asleep = 0
		}
		asleep++
		return asleep > 50
	})
	return begun
}

func (r *reader) got() string {
	stuck := time.AfterFunc(10*time.Second, func() { r.Process.Kill() })
	defer stuck.Stop()
	r.Wait()
	return r.output.String()
}

func startGive(t *testing.T, folder, input string, words ...string) *process {
	t.Helper()
	giving := start(t, append([]string{"give", contextFile, "--dir", folder}, words...)...)
	io.WriteString(giving.input, input)
	giving.input.Close()
	return giving
}

func requireGiven(t *testing.T, folder, text string) {
	t.Helper()
	path := filepath.Join(folder, contextFile)
	if !isRegular(path) || content(t, path) != text || len(hidden(t, folder)) > 0 {
		t.Fatalf("regular: %t; hidden: %q", isRegular(path), hidden(t, folder))
	}
	if status, _ := os.Stat(path); status.Mode() != 0o644 {
		t.Fatal(status.Mode())
	}
}

func TestGiveReachesTheReaderThatWaits(t *testing.T) {
	t.Parallel()
	for _, text := range []string{contextText, strings.Repeat("x", 8<<20)} {
		folder, path := fifo(t)
		reading := waitingReader(t, path, "cat")
		giving := startGive(t, folder, text)
		giving.expect(0)
		if reading.got() != text || giving.output.String() != fmt.Sprintln(len(text)) {
			t.Fatalf("%d bytes of %d, said %q", reading.output.len(), len(text), giving.output.String())
		}
		requireGiven(t, folder, text)
	}
}

func TestAReaderThatComesLateReadsTheFile(t *testing.T) {
	t.Parallel()
	folder, path := fifo(t)
	giving := startGive(t, folder, contextText)
	until(t, 5*time.Second, "the file is there", func() bool { return isRegular(path) })
	if content(t, path) != contextText {
		t.Fatal(content(t, path))
	}
	// This one found the FIFO's name before the file was there, and opens it only now.
	time.Sleep(300 * time.Millisecond)
	if late := content(t, filepath.Join(folder, ".context.json.fifo")); late != contextText {
		t.Fatal(late)
	}
	giving.expect(0)
	requireGiven(t, folder, contextText)
}

func TestGiveEndsWithoutAReader(t *testing.T) {
	t.Parallel()
	folder, _ := fifo(t)
	startGive(t, folder, contextText).expect(0)
	requireGiven(t, folder, contextText)
}

func TestGiveEndsWhenItsReaderDies(t *testing.T) {
	t.Parallel()
	folder, path := fifo(t)
	text := strings.Repeat("x", 1<<20)
	reading := waitingReader(t, path, "head", "--bytes=10")
	giving := startGive(t, folder, text)
	if reading.got() != "xxxxxxxxxx" {
		t.Fatal(reading.output.String())
	}
	giving.expect(0)
	requireGiven(t, folder, text)
}

func TestGiveEndsWhenItsReaderIsStuck(t *testing.T) {
	t.Parallel()
	folder, path := fifo(t)
	waitingReader(t, path, "sh", "-c", `exec 3<"$0"; exec sleep 60`)
	giving := startGive(t, folder, strings.Repeat("x", 1<<20), "--linger", "300ms")
	giving.expect(failed, "did not take it within 300ms")
}

func TestAGiveThatIsCutCanBeDoneAgain(t *testing.T) {
	t.Parallel()
	folder, path := fifo(t)
	reading := waitingReader(t, path, "cat")
	startGive(t, folder, contextText[:3], "--size", fmt.Sprint(len(contextText))).expect(failed, "3 of 13 bytes")
	if !isFIFO(path) || len(hidden(t, folder)) > 0 {
		t.Fatal(hidden(t, folder))
	}
	startGive(t, folder, contextText, "--size", fmt.Sprint(len(contextText))).expect(0)
	if reading.got() != contextText {
		t.Fatal(reading.output.String())
	}
	requireGiven(t, folder, contextText)

	// Killed when the file is there already, but a reader waits at the FIFO.
	folder, path = fifo(t)
	giving := startGive(t, folder, contextText)
	until(t, 5*time.Second, "the file is there", func() bool { return isRegular(path) })
	giving.cmd.Process.Kill()
	giving.exit(time.Second)
	reading = waitingReader(t, filepath.Join(folder, ".context.json.fifo"), "cat")
	startGive(t, folder, contextText).expect(0)
	if reading.got() != contextText {
		t.Fatal(reading.output.String())
	}
	requireGiven(t, folder, contextText)
}

func TestWhatWasGivenIsNotGivenAgain(t *testing.T) {
	t.Parallel()
	folder, _ := fifo(t)
	startGive(t, folder, contextText).expect(0)
	again := startGive(t, folder, contextText)
	again.expect(0)
	if again.output.String() != "13\n" {
		t.Fatal(again.output.String())
	}
	startGive(t, folder, "another").expect(failed, "given already")
	requireGiven(t, folder, contextText)
}

func TestGiveTouchesNothingThatIsNoFIFO(t *testing.T) {
	t.Parallel()
	for name, place := range map[string]func(path string) error{
		"folder": func(path string) error { return os.Mkdir(path, 0o755) },
		"link":   func(path string) error { return os.Symlink("/etc/passwd", path) },
		"none":   func(string) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			must(t, place(filepath.Join(folder, contextFile)))
			startGive(t, folder, contextText).expect(replaced, "not the FIFO")
			if len(hidden(t, folder)) > 0 {
				t.Fatal(hidden(t, folder))
			}
		})
	}
}
