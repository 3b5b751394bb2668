package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestPutNamesAFileThatIsWhole(t *testing.T) {
	folder := t.TempDir()
	done := run(t, "12345 and more", "put", contextFile, "--size", "5", "--dir", folder)
	done.expect(0)
	path := filepath.Join(folder, contextFile)
	status, err := os.Stat(path)
	must(t, err)
	if content(t, path) != "12345" || status.Mode() != 0o644 || done.output.String() != "5\n" {
		t.Fatal(content(t, path), status.Mode(), done.output.String())
	}
	// The input may stay open: that of an exec cannot be closed by every client.
	open := start(t, "put", contextFile, "--size", "3", "--dir", folder)
	io.WriteString(open.input, "new")
	open.expect(0)
	if content(t, path) != "new" {
		t.Fatal(content(t, path))
	}
	empty := start(t, "put", "empty", "--dir", folder, "--size", "0")
	empty.expect(0)
	if content(t, filepath.Join(folder, "empty")) != "" || len(hidden(t, folder)) > 0 {
		t.Fatal(hidden(t, folder))
	}
}

func TestAPutThatIsCutLeavesNothingUnderTheName(t *testing.T) {
	folder := t.TempDir()
	run(t, "12", "put", contextFile, "--size", "5", "--dir", folder).expect(failed, "2 of 5 bytes")
	if exists(filepath.Join(folder, contextFile)) || len(hidden(t, folder)) > 0 {
		t.Fatal(hidden(t, folder))
	}
	write(t, filepath.Join(folder, contextFile), "old")
	for _, kill := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		cut := start(t, "put", contextFile, "--size", "5", "--dir", folder)
		io.WriteString(cut.input, "12")
		until(t, 5*time.Second, "the first bytes are there", func() bool {
			parts := hidden(t, folder)
			return len(parts) > 0 && content(t, parts[len(parts)-1]) == "12"
		})
		must(t, cut.cmd.Process.Signal(kill))
		cut.exit(time.Second)
		if content(t, filepath.Join(folder, contextFile)) != "old" {
			t.Fatal(content(t, filepath.Join(folder, contextFile)))
		}
		for _, part := range hidden(t, folder) {
			os.Remove(part)
		}
	}
	run(t, "x", "put", "x", "--size", "1", "--dir", filepath.Join(folder, "none")).expect(failed, "no such file")
	must(t, os.Mkdir(filepath.Join(folder, "taken"), 0o755))
	run(t, "x", "put", "taken", "--size", "1", "--dir", folder).expect(failed)
	if len(hidden(t, folder)) > 0 {
		t.Fatal(hidden(t, folder))
	}
}

func TestReceiveWaitsUntilTheFileIsWhole(t *testing.T) {
	soon(t, 700*time.Millisecond, receiveWaits)
	folder := t.TempDir()
	write(t, filepath.Join(folder, contextFile), "")
	start(t, "receive", contextFile, "--dir", folder).expect(0)
	start(t, "receive", "other", "--dir", folder, "--linger", "50ms").expect(failed, "nobody put")
	deaf := start(t, "receive", "other", "--dir", folder)
	deaf.waits()
	must(t, deaf.cmd.Process.Signal(syscall.SIGTERM))
	if code := deaf.exit(5 * time.Second); code != 143 {
		t.Fatal(code)
	}
}

func receiveWaits(t *testing.T) time.Duration {
	folder := t.TempDir()
	waiting := start(t, "receive", contextFile, "--dir", folder)
	putting := start(t, "put", contextFile, "--size", "4", "--dir", folder)
	io.WriteString(putting.input, "12")
	until(t, 5*time.Second, "a part is there", func() bool { return len(hidden(t, folder)) == 1 })
	must(t, syscall.Mkfifo(filepath.Join(folder, contextFile), 0o644))
	time.Sleep(100 * time.Millisecond)
	if !waiting.runs() {
		t.Fatal("it took a part, or a FIFO, for the file")
	}
	begun := time.Now()
	io.WriteString(putting.input, "34")
	waiting.expect(0)
	return time.Since(begun)
}

func TestInstallCopiesAProgramThatRuns(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "relay")
	write(t, path, "an older one")
	run(t, "", "install", path).expect(0)
	status, err := os.Stat(path)
	must(t, err)
	if status.Mode() != 0o755 || len(hidden(t, folder)) > 0 {
		t.Fatal(status.Mode(), hidden(t, folder))
	}
	copied := exec.Command(path, "cat", path)
	copied.Env = append(os.Environ(), playsRelay)
	program, err := copied.Output()
	must(t, err)
	if sum(program) != sum(content(t, os.Args[0])) {
		t.Fatal("another program")
	}
	run(t, "", "install", filepath.Join(folder, "none", "relay")).expect(failed, "no such file")
}

func TestCatGivesARegularFileAlone(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "file")
	long := strings.Repeat("0123456789", 100_000)
	write(t, path, long)
	must(t, os.Symlink("file", path+".symbolic"))
	must(t, os.Link(path, path+".hard"))
	for _, name := range []string{path, path + ".symbolic", path + ".hard"} {
		if read := run(t, "", "cat", name); read.exit(time.Second) != 0 || read.output.String() != long {
			t.Error(name, read.said.String())
		}
	}
	must(t, syscall.Mkfifo(path+".fifo", 0o644))
	run(t, "", "cat", path+".fifo").expect(failed, "not a regular file")
	run(t, "", "cat", folder).expect(failed, "not a regular file")
	run(t, "", "cat", "/dev/zero").expect(failed, "not a regular file")
	run(t, "", "cat", path+".none").expect(failed, "no such file")
}

func TestUsageOfThisMachine(t *testing.T) {
	if !exists(cgroupRoot) {
		t.Skip("no cgroups here")
	}
	told := run(t, "", "usage")
	if code := told.exit(time.Second); code == 0 && !strings.HasPrefix(told.output.String(), `{"memory_bytes":`) {
		t.Fatal(told.output.String())
	} else if code != 0 {
		told.expect(failed, "cgroup")
	}
}

func TestUsageReadsBothVersionsOfCgroups(t *testing.T) {
	for name, test := range map[string]struct {
		files    map[string]string
		expected string
		code     int
	}{
		"v2": {map[string]string{
			"cgroup.controllers": "cpu memory\n", "memory.current": "5000\n", "memory.peak": "9000\n",
			"memory.stat": "anon 3000\nfile 2000\ninactive_file 1500\nactive_file 500\n",
			"cpu.stat":    "usage_usec 42\nuser_usec 40\nsystem_usec 2\n",
		}, `{"memory_bytes":3500,"peak_bytes":9000,"cpu_ns":42000}`, 0},
		"v2 of an old kernel": {map[string]string{
			"cgroup.controllers": "", "memory.current": "5000\n", "cpu.stat": "usage_usec 42\n",
		}, `{"memory_bytes":5000,"peak_bytes":null,"cpu_ns":42000}`, 0},
		"v1": {map[string]string{
			"memory/memory.usage_in_bytes": "5000\n", "memory/memory.max_usage_in_bytes": "9000\n",
			"memory/memory.stat":    "inactive_file 1\ntotal_inactive_file 1000\n",
			"cpuacct/cpuacct.usage": "77\n",
		}, `{"memory_bytes":4000,"peak_bytes":9000,"cpu_ns":77}`, 0},
		"v1 with joined controllers": {map[string]string{
			"memory/memory.usage_in_bytes": "5000\n", "memory/memory.stat": "total_inactive_file 6000\n",
			"cpu,cpuacct/cpuacct.usage": "77\n",
		}, `{"memory_bytes":0,"peak_bytes":null,"cpu_ns":77}`, 0},
		"no controller": {map[string]string{"cgroup.controllers": ""}, "", failed},
		"nonsense": {map[string]string{
			"cgroup.controllers": "", "memory.current": "max\n", "memory.peak": "7\n", "cpu.stat": "usage_usec\nusage_usec x\n",
		}, `{"memory_bytes":null,"peak_bytes":7,"cpu_ns":null}`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for file, text := range test.files {
				must(t, os.MkdirAll(filepath.Dir(filepath.Join(root, file)), 0o755))
				write(t, filepath.Join(root, file), text)
			}
			var out strings.Builder
			err := usage(root, &out)
			if codeOf(err) != test.code || strings.TrimSpace(out.String()) != test.expected {
				t.Fatalf("%v, %s, expected %s", err, strconv.Quote(out.String()), test.expected)
			}
		})
	}
}
