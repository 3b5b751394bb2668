package main

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const cgroupRoot = "/sys/fs/cgroup"

// numbers are those of a container; null where its kernel does not tell.
type numbers struct {
	MemoryBytes *int64 `json:"memory_bytes"` // without inactive page cache, as `docker stats` and the kubelet count
	PeakBytes   *int64 `json:"peak_bytes"`
	CPUNs       *int64 `json:"cpu_ns"` // since the container's start
}

// usage prints the memory and CPU of the container that it runs in, by its cgroup of version 2 or 1.
func usage(root string, out io.Writer) error {
	in := func(name string) string { return filepath.Join(root, name) }
	var found numbers
	var used, inactive *int64
	if exists(in("cgroup.controllers")) {
		used, inactive = number(in("memory.current")), field(in("memory.stat"), "inactive_file")
		found.PeakBytes = number(in("memory.peak"))
		if spent := field(in("cpu.stat"), "usage_usec"); spent != nil {
			*spent *= 1000
			found.CPUNs = spent
		}
	} else {
		used = number(in("memory/memory.usage_in_bytes"))
		inactive = field(in("memory/memory.stat"), "total_inactive_file")
		found.PeakBytes = number(in("memory/memory.max_usage_in_bytes"))
		found.CPUNs = number(in("cpuacct/cpuacct.usage"))
		if found.CPUNs == nil {
			found.CPUNs = number(in("cpu,cpuacct/cpuacct.usage"))
		}
	}
	if used != nil {
		if inactive != nil {
			*used = max(0, *used-*inactive)
		}
		found.MemoryBytes = used
	}
	if found == (numbers{}) {
		return fail(failed, "no memory or CPU of a cgroup is told in %s", root)
	}
	if err := json.NewEncoder(out).Encode(found); err != nil {
		return fail(broken, "the standard output cannot be written: %v", err)
	}
	return nil
}

// number reads a file that holds one number; nil if there is none.
func number(path string) *int64 {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	value, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return nil
	}
	return &value
}

// field reads one of the lines `name number` of a file; nil if there is none.
func field(path, name string) *int64 {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(text)) {
		if rest, found := strings.CutPrefix(line, name+" "); found {
			if value, err := strconv.ParseInt(strings.TrimSpace(rest), 10, 64); err == nil {
				return &value
			}
		}
	}
	return nil
}
