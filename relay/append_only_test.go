package main

import (
	"bytes"
	"io"
	"math"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

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
