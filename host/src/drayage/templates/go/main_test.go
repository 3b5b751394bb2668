package main

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const asWorkload = "TEST_RUNS_THE_WORKLOAD"

// The workload ends its process, so each test runs this program again as the workload.
func TestMain(m *testing.M) {
	if os.Getenv(asWorkload) != "" {
		main()
	}
	os.Exit(m.Run())
}

func TestItReportsWhatItCounted(t *testing.T) {
	exitCode, messages := run(t, `{"rows": 5}`)
	if exitCode != 0 {
		t.Errorf("expected exit code 0, got %d", exitCode)
	}
	for _, part := range []string{`"message":"5 rows, partition 2024-01"`, `"rows":{"raw_value":5,`, `"method":"closed","params":{}`} {
		if !strings.Contains(messages, part) {
			t.Errorf("expected %s in\n%s", part, messages)
		}
	}
}

func TestAnErrorIsReportedWithTheClose(t *testing.T) {
	exitCode, messages := run(t, `{"rows": "many"}`)
	if exitCode != 1 {
		t.Errorf("expected exit code 1, got %d", exitCode)
	}
	if !strings.Contains(messages, "must be a number, got many") {
		t.Errorf("expected the reason in\n%s", messages)
	}
}

// run runs the workload as its container does, with files instead of a host; it returns its exit code and messages.
func run(t *testing.T, extras string) (int, string) {
	t.Helper()
	context, messages := filepath.Join(t.TempDir(), "context.json"), filepath.Join(t.TempDir(), "messages.jsonl")
	write(t, context, `{"asset_keys": ["trips"], "partition_key": "2024-01", "run_id": "a-run", "extras": `+extras+`}`)
	write(t, messages, "")
	workload := exec.Command(os.Args[0])
	workload.Env = append(os.Environ(), asWorkload+"=1",
		"DAGSTER_PIPES_CONTEXT="+packed(t, context), "DAGSTER_PIPES_MESSAGES="+packed(t, messages))
	var exit *exec.ExitError
	if output, err := workload.CombinedOutput(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err, string(output))
	}
	written, err := os.ReadFile(messages)
	if err != nil {
		t.Fatal(err)
	}
	return workload.ProcessState.ExitCode(), string(written)
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// packed returns a path in the form of Pipes' bootstrap parameters.
func packed(t *testing.T, path string) string {
	t.Helper()
	content, err := json.Marshal(map[string]string{"path": path})
	if err != nil {
		t.Fatal(err)
	}
	var zipped bytes.Buffer
	writer := zlib.NewWriter(&zipped)
	if _, err := writer.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(zipped.Bytes())
}
