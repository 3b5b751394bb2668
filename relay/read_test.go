package main

import (
	"bytes"
	"fmt"
	"io"
	"math/rand"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

func messages(t *testing.T, content string) (string, string) {
	t.Helper()
	folder := t.TempDir()
	path := filepath.Join(folder, messagesFile)
	write(t, path, content)
	return folder, path
}

func startReading(t *testing.T, folder string, from int, words ...string) *process {
	t.Helper()
	return start(t, append([]string{"read", messagesFile, "--from", strconv.Itoa(from), "--dir", folder}, words...)...)
}

func TestReadGivesTheBytesFromAnOffsetOn(t *testing.T) {
	folder, _ := messages(t, "one\ntwo\n")
	for from, expected := range map[int]string{0: "one\ntwo\n", 4: "two\n", 8: ""} {
		reader := startReading(t, folder, from)
		reader.expect(0)
		if reader.output.String() != expected {
			t.Errorf("from %d: %q, expected %q", from, reader.output.String(), expected)
		}
	}
}

func TestReadOfAFileThatGrowsForEverEnds(t *testing.T) {
	folder, path := messages(t, strings.Repeat("x", 3*chunkBytes))
	moved := 0
	must(t, read(request{dir: folder, name: messagesFile}, writerFunc(func(chunk []byte) (int, error) {
		if moved += len(chunk); moved > 100*chunkBytes {
			return 0, io.ErrClosedPipe
		}
		extend(t, path, string(chunk))
		return len(chunk), nil
	})))
	if moved != 3*chunkBytes {
		t.Fatalf("moved %d bytes", moved)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(chunk []byte) (int, error) { return f(chunk) }

func TestFollowMovesABurstOfLinesWhileTheyAreWritten(t *testing.T) {
	folder, path := messages(t, "")
	reader := startReading(t, folder, 0, "--follow")
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	defer file.Close()
	var expected bytes.Buffer
	for number := range 100_000 {
		line := fmt.Sprintf(`{"method":"report_custom_message","params":{"payload":%d}}`+"\n", number)
		expected.WriteString(line)
		_, err := file.WriteString(line)
		must(t, err)
	}
	write(t, filepath.Join(folder, endedFile), "")
	reader.expect(0)
	if sum(reader.output.String()) != sum(expected.Bytes()) {
		t.Fatalf("%d bytes, expected %d, or others", reader.output.len(), expected.Len())
	}
}

func TestALineComesAtOnce(t *testing.T) {
	folder, path := messages(t, "")
	reader := startReading(t, folder, 0, "--follow")
	reader.waits()
	soon(t, longestWait/5, func(t *testing.T) time.Duration {
		before, begun := reader.output.len(), time.Now()
		extend(t, path, "a line\n")
		until(t, 5*time.Second, "the line comes", func() bool { return reader.output.len() > before })
		took := time.Since(begun)
		time.Sleep(50 * time.Millisecond) // now it waits again
		return took
	})
}

func TestEveryOffsetCanBeResumedFrom(t *testing.T) {
	random := rand.New(rand.NewSource(1))
	folder, path := messages(t, "")
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	defer file.Close()
	var whole []byte // what the writer wrote until `enough`
	var enough atomic.Bool
	go func() {
		for !enough.Load() {
			chunk := make([]byte, 1+rand.Intn(20_000))
			rand.Read(chunk)
			file.Write(chunk)
			whole = append(whole, chunk...)
			time.Sleep(time.Millisecond)
		}
		os.WriteFile(filepath.Join(folder, endedFile), nil, 0o644)
	}()
	var got []byte
	for cut := 0; ; cut++ {
		enough.Store(cut == 20)
		reader := startReading(t, folder, len(got), "--follow")
		if cut == 20 {
			reader.expect(0)
			got = append(got, reader.output.String()...)
			break
		}
		// Read some bytes, and then kill it wherever it is.
		wanted := 1 + random.Intn(150_000)
		until(t, 10*time.Second, "bytes come", func() bool { return reader.output.len() >= wanted })
		reader.cmd.Process.Kill()
		<-reader.ended
		got = append(got, reader.output.String()...)
	}
	if sum(got) != sum(whole) {
		t.Fatalf("%d bytes, expected %d, or others", len(got), len(whole))
	}
	for range 20 {
		from := random.Intn(len(whole) + 1)
		reader := startReading(t, folder, from)
		reader.expect(0)
		if sum(reader.output.String()) != sum(whole[from:]) {
			t.Fatalf("from %d: other bytes", from)
		}
	}
}

func TestAFileOf64MiBIsMovedWhole(t *testing.T) {
	whole := make([]byte, 64<<20)
	rand.New(rand.NewSource(2)).Read(whole)
	folder, path := messages(t, "")
	reader := startReading(t, folder, 0, "--follow")
	must(t, os.WriteFile(path, whole, 0o666))
	write(t, filepath.Join(folder, endedFile), "")
	if code := reader.exit(time.Minute); code != 0 {
		t.Fatal(code, reader.said.String())
	}
	if sum(reader.output.String()) != sum(whole) {
		t.Fatalf("%d bytes, or others", reader.output.len())
	}
}

func TestWithoutAFileAReaderSaysSoAndAFollowerWaits(t *testing.T) {
	folder := t.TempDir()
	startReading(t, folder, 0).expect(failed, "no such file")
	startReading(t, filepath.Join(folder, "none"), 0, "--follow").expect(failed, "no such file")
	startReading(t, folder, 5, "--follow").expect(replaced, "was removed")

	reader := startReading(t, folder, 0, "--follow")
	time.Sleep(50 * time.Millisecond)
	write(t, filepath.Join(folder, messagesFile), "late\n")
	until(t, 5*time.Second, "the line comes", func() bool { return reader.output.String() == "late\n" })

	folder = t.TempDir()
	write(t, filepath.Join(folder, endedFile), "")
	startReading(t, folder, 0, "--follow").expect(failed, "no such file")
}

func TestTheEndIsNeverBelievedTooEarly(t *testing.T) {
	for round := range 300 {
		folder, path := messages(t, "")
		file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		must(t, err)
		go func() {
			for number := range 50 {
				fmt.Fprintf(file, "%d\n", number)
				for range rand.Intn(2000) {
				}
			}
			file.Close()
			os.WriteFile(filepath.Join(folder, endedFile), nil, 0o644)
		}()
		var out bytes.Buffer
		asked := request{dir: folder, state: folder, name: messagesFile}
		must(t, follow(asked, &out, io.Discard, nil))
		if !strings.HasSuffix(out.String(), "\n48\n49\n") || out.Len() != 140 {
			t.Fatalf("round %d: %q", round, out.String())
		}
	}
}

// A host that knows from elsewhere that the workload has ended needs no second program to read the rest, nor a third one
// to let the pod end.
func TestAFollowerGivesTheRestAndEndsWithDone(t *testing.T) {
	for name, before := range map[string]string{"with messages": "one\n", "without any": ""} {
		t.Run(name, func(t *testing.T) {
			folder, path := messages(t, before)
			state := t.TempDir()
			reader := startReading(t, folder, 0, "--follow", "--state", state)
			reader.waits()
			extend(t, path, "two\n")
			io.WriteString(reader.input, "rest\n")
			said := fmt.Sprintf("{\"rest\":%d}\n", len(before)+4)
			until(t, 5*time.Second, "it says how much there is", func() bool { return reader.said.String() == said })
			if reader.output.String() != before+"two\n" {
				t.Fatalf("it said the rest after %q", reader.output.String())
			}
			extend(t, path, "late\n")
			time.Sleep(100 * time.Millisecond)
			if !reader.runs() || reader.output.len() != len(before)+4 || exists(filepath.Join(state, doneFile)) {
				t.Fatalf("it waits for done: %q", reader.output.String())
			}
			io.WriteString(reader.input, "done\n")
			reader.expect(0)
			if !exists(filepath.Join(state, doneFile)) {
				t.Fatal("the pod cannot end")
			}
		})
	}
}

func TestAHostThatDiesAfterTheRestLeavesThePodToTheNext(t *testing.T) {
	folder, _ := messages(t, "one\n")
	reader := startReading(t, folder, 0, "--follow")
	io.WriteString(reader.input, "rest\n")
	until(t, 5*time.Second, "the rest", func() bool { return strings.Contains(reader.said.String(), `{"rest":4}`) })
	reader.input.Close()
	reader.expect(0)
	if exists(filepath.Join(folder, doneFile)) {
		t.Fatal("nobody said done")
	}
}

func TestTheRestOfAFileThatGrowsForEverEnds(t *testing.T) {
	folder, path := messages(t, strings.Repeat("x", 3*chunkBytes))
	words := make(chan string, 2)
	words <- restWord
	close(words)
	file, err := openTail(path, 0, io.Discard)
	must(t, err)
	defer file.close()
	moved := 0
	file.out = writerFunc(func(chunk []byte) (int, error) {
		if moved += len(chunk); moved > 100*chunkBytes {
			return 0, io.ErrClosedPipe
		}
		extend(t, path, string(chunk))
		return len(chunk), nil
	})
	must(t, finish(request{dir: folder, state: folder, name: messagesFile}, file, nil, io.Discard, words))
	if moved != 3*chunkBytes {
		t.Fatalf("moved %d bytes", moved)
	}
}

func TestTheRestOfWhatIsNotOnlyAppendedIsAnError(t *testing.T) {
	folder, path := messages(t, "one\n")
	reader := startReading(t, folder, 0, "--follow")
	until(t, 5*time.Second, "a line comes", func() bool { return reader.output.len() == 4 })
	must(t, reader.cmd.Process.Signal(syscall.SIGSTOP))
	must(t, os.Truncate(path, 2))
	io.WriteString(reader.input, "rest\n")
	must(t, reader.cmd.Process.Signal(syscall.SIGCONT))
	reader.expect(replaced, "truncated to 2 bytes")
}

func TestAClosedInputEndsAFollower(t *testing.T) {
	soon(t, 500*time.Millisecond, closeInput)
	soon(t, 500*time.Millisecond, closeInputWhileTheOutputIsStuck)
}

func closeInput(t *testing.T) time.Duration {
	folder, _ := messages(t, "one\n")
	reader := startReading(t, folder, 0, "--follow")
	until(t, 5*time.Second, "a line comes", func() bool { return reader.output.len() == 4 })
	time.Sleep(50 * time.Millisecond)
	if !reader.runs() {
		t.Fatal("it ended while its input was open")
	}
	begun := time.Now()
	reader.input.Close()
	reader.expect(0)
	return time.Since(begun)
}

func closeInputWhileTheOutputIsStuck(t *testing.T) time.Duration {
	folder, _ := messages(t, strings.Repeat("x", 1<<20))
	reader := prepared(t, "read", messagesFile, "--from", "0", "--follow", "--dir", folder)
	far, near, err := os.Pipe() // that nobody reads
	must(t, err)
	defer far.Close()
	reader.cmd.Stdout = near
	reader.begin()
	near.Close()
	time.Sleep(100 * time.Millisecond)
	begun := time.Now()
	reader.input.Close()
	reader.expect(0)
	return time.Since(begun)
}

func TestAFollowerWithoutAnInputGoesOn(t *testing.T) {
	t.Parallel()
	folder, _ := messages(t, "one\n")
	reader := prepared(t, "read", messagesFile, "--from", "0", "--follow", "--dir", folder)
	reader.cmd.Stdin = nil // /dev/null
	reader.begin()
	until(t, 5*time.Second, "a line comes", func() bool { return reader.output.len() == 4 })
	time.Sleep(500 * time.Millisecond)
	if !reader.runs() {
		t.Fatal("it took /dev/null for an input that has ended")
	}
	must(t, reader.cmd.Process.Signal(syscall.SIGTERM))
	if code := reader.exit(5 * time.Second); code != 143 {
		t.Fatalf("exit code %d after SIGTERM", code)
	}
}

func TestABrokenOutputIsSaid(t *testing.T) {
	folder, _ := messages(t, strings.Repeat("x", 1<<20))
	for _, words := range [][]string{{"read", messagesFile, "--from", "0", "--dir", folder}, {"cat", os.Args[0]}} {
		reader := prepared(t, words...)
		far, near, err := os.Pipe()
		must(t, err)
		far.Close()
		reader.cmd.Stdout = near
		reader.begin()
		near.Close()
		reader.expect(broken, "standard output")
	}
}
