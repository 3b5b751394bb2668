package main

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"math/rand"
	"net"
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

// What a workload may do to its file. Each is found when the follower begins, and when it has read two lines already.
var misdeeds = map[string]struct {
	do   func(t *testing.T, path string)
	code int
	said string
}{
	"truncated": {func(t *testing.T, path string) { must(t, os.Truncate(path, 3)) }, replaced, "truncated to 3 bytes"},
	"replaced": {func(t *testing.T, path string) {
		write(t, path+".new", "one\ntwo\nthree\n")
		must(t, os.Rename(path+".new", path))
	}, replaced, "replaced by another"},
	"removed":   {func(t *testing.T, path string) { must(t, os.Remove(path)) }, replaced, "was removed"},
	"hard link": {func(t *testing.T, path string) { must(t, os.Link(path, path+".other")) }, replaced, "name"},
	"symbolic link": {func(t *testing.T, path string) {
		must(t, os.Symlink("/dev/zero", path+".new"))
		must(t, os.Rename(path+".new", path))
	}, replaced, "replaced"},
	"FIFO": {func(t *testing.T, path string) {
		must(t, syscall.Mkfifo(path+".new", 0o666))
		must(t, os.Rename(path+".new", path))
	}, replaced, "replaced"},
	"socket": {func(t *testing.T, path string) {
		listener, err := net.Listen("unix", path+".new")
		must(t, err)
		must(t, os.Rename(path+".new", path))
		t.Cleanup(func() { listener.Close() })
	}, replaced, "replaced"},
	// Between the two steps it is removed only.
	"folder": {func(t *testing.T, path string) {
		must(t, os.Remove(path))
		must(t, os.Mkdir(path, 0o777))
	}, replaced, "was re"},
	"sparse": {func(t *testing.T, path string) { must(t, os.Truncate(path, 1<<40)) }, replaced, "hole"},
}

func TestWhatIsNoAppendingIsSaid(t *testing.T) {
	for name, misdeed := range misdeeds {
		t.Run(name+" before", func(t *testing.T) {
			t.Parallel()
			folder, path := messages(t, "one\ntwo\n")
			misdeed.do(t, path)
			if name == "replaced" {
				return // bytes alone do not tell
			}
			startReading(t, folder, 8, "--follow").expect(misdeed.code, messagesFile)
			startReading(t, folder, 8).expect(misdeed.code, messagesFile)
		})
		t.Run(name+" while it is followed", func(t *testing.T) {
			t.Parallel()
			folder, path := messages(t, "one\ntwo\n")
			reader := startReading(t, folder, 0, "--follow")
			until(t, 5*time.Second, "two lines come", func() bool { return reader.output.len() == 8 })
			time.Sleep(50 * time.Millisecond) // now it waits
			misdeed.do(t, path)
			begun := time.Now()
			reader.expect(misdeed.code, misdeed.said, messagesFile)
			if name != "hard link" && time.Since(begun) > 4*longestWait {
				t.Fatalf("found only after %s", time.Since(begun))
			}
		})
	}
}

func TestAStrangersLinkIsNotFollowed(t *testing.T) {
	_, path := messages(t, "a secret of the relay's own container\n")
	must(t, os.Symlink(path, path+".link"))
	file, err := openStrange(path + ".link")
	if codeOf(err) != replaced || file != nil {
		t.Fatal(err)
	}
}

func TestAFileThatWasLongerWasTruncated(t *testing.T) {
	_, path := messages(t, "one\ntwo\n")
	file, err := openTail(path, 2, io.Discard)
	must(t, err)
	defer file.close()
	must(t, os.Truncate(path, 4))
	if err := file.move(8); codeOf(err) != replaced {
		t.Fatalf("no byte that was moved is missing, but the file had 8: %v", err)
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
			gone, ended := make(chan struct{}), make(chan error)
			go func() {
				ended <- follow(request{dir: folder, state: folder, name: messagesFile}, &out, &said, gone)
			}()
			until(t, time.Second, "a line comes", func() bool { return out.len() == 4 })
			time.Sleep(50 * time.Millisecond)
			extend(t, path, "two\n")
			until(t, test.within, "the next line", func() bool { return out.len() == 8 })
			close(gone)
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

// FuzzTail does things to a file in any order, and looks in between.
func FuzzTail(f *testing.F) {
	for _, steps := range []string{
		"aaLaL", "adLcL", "aLtL", "aLTL", "aLraL", "aatLaL", "aLtaaL", "aLhL", "aLsL", "aLuL", "eLtaL",
	} {
		f.Add([]byte(steps))
	}
	f.Fuzz(func(t *testing.T, steps []byte) {
		path := filepath.Join(t.TempDir(), messagesFile)
		write(t, path, "")
		var out bytes.Buffer
		file, err := openTail(path, 0, &out)
		must(t, err)
		defer file.close()
		var model []byte // what the file holds
		moved := 0       // how much of it was moved at the last look
		same := true     // whether the file is still the one of its name
		for number, step := range steps[:min(len(steps), 64)] {
			switch {
			case step == 'L':
				err := file.move(math.MaxInt64)
				if !same || len(model) < moved {
					if codeOf(err) != replaced {
						t.Fatalf("%q: not noticed at %d: %v", steps, number, err)
					}
					return
				}
				must(t, err)
				// What was truncated and written again, longer, between two looks cannot be told by bytes.
				if !bytes.Equal(out.Bytes()[moved:], model[moved:]) {
					t.Fatalf("%q: other bytes at %d: %d moved, %d there", steps, number, out.Len(), len(model))
				}
				moved = len(model)
			case !same:
			case 'a' <= step && step <= 'e':
				more := bytes.Repeat([]byte{'A' + byte(number%26)}, 1+int(step-'a')*100_000)
				extend(t, path, string(more))
				model = append(model, more...)
			case step == 't' || step == 'T':
				model = model[:len(model)/2*int(step-'T')/int('t'-'T')]
				must(t, os.Truncate(path, int64(len(model))))
			case step == 'r':
				write(t, path+".new", string(model))
				must(t, os.Rename(path+".new", path))
				same = false
			case step == 's':
				must(t, os.Remove(path))
				must(t, os.Symlink("/dev/zero", path))
				same = false
			case step == 'u':
				must(t, os.Remove(path))
				same = false
			case step == 'h':
				must(t, os.Link(path, path+".other"))
				same = false
			}
		}
	})
}
