package pipes

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// opened returns a session started as by the runner, and its messages file.
func opened(t *testing.T, context string) (*Session, string) {
	t.Helper()
	directory := t.TempDir()
	messages := filepath.Join(directory, "messages.jsonl")
	for path, content := range map[string]string{filepath.Join(directory, "context.json"): context, messages: ""} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("DAGSTER_PIPES_CONTEXT", packed(t, filepath.Join(directory, "context.json")))
	t.Setenv("DAGSTER_PIPES_MESSAGES", packed(t, messages))
	session, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	return session, messages
}

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

func lastLine(t *testing.T, messages string) string {
	t.Helper()
	content, err := os.ReadFile(messages)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	return lines[len(lines)-1]
}

func TestAWholeFloatStaysAFloatOnTheWire(t *testing.T) {
	session, messages := opened(t, `{"asset_keys":["a"]}`)
	for number, expected := range map[float64]string{3: "3.0", -2e9: "-2000000000.0", 1e20: "100000000000000000000.0", 1e21: "1e+21"} {
		if err := session.Materialize("", "", Metadata{"share": number}); err != nil {
			t.Fatal(err)
		}
		if line := lastLine(t, messages); !strings.Contains(line, `"raw_value":`+expected+`,`) && !strings.Contains(line, `"raw_value":`+expected+`}`) {
			t.Errorf("expected %s, got %s", expected, line)
		}
	}
}

func TestAnErrorInEncodingNamesTheMessage(t *testing.T) {
	session, _ := opened(t, `{"asset_keys":["a"]}`)
	if err := session.Custom(func() {}); err == nil || !strings.Contains(err.Error(), "report_custom_message") {
		t.Errorf("expected an error that names the message, got %v", err)
	}
}

func TestAStepOfSeveralAssetsMustNameOne(t *testing.T) {
	session, messages := opened(t, `{"asset_keys":["a","b"]}`)
	if err := session.Materialize("", "", nil); err == nil {
		t.Error("expected an error that asks for the asset")
	}
	if err := session.Materialize("b", "", nil); err != nil {
		t.Fatal(err)
	}
	if line := lastLine(t, messages); !strings.Contains(line, `"asset_key":"b"`) {
		t.Errorf("expected b, got %s", line)
	}
}

func TestNothingIsSentAfterTheClose(t *testing.T) {
	session, messages := opened(t, `{}`)
	if err := errors.Join(session.Close(fmt.Errorf("outer: %w", errors.New("inner"))), session.Log("INFO", "late")); err != nil {
		t.Fatal(err)
	}
	if line := lastLine(t, messages); !strings.Contains(line, `"message":"inner"`) || strings.Contains(line, "late") {
		t.Errorf("expected the close with its cause, got %s", line)
	}
}

func TestAPanicEndsTheProgramWithAnException(t *testing.T) {
	if os.Getenv("PANIC") != "" {
		Run(func(*Session) error { panic("no fares") })
	}
	_, messages := opened(t, `{}`)
	program := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	program.Env = append(os.Environ(), "PANIC=yes")
	if err := program.Run(); program.ProcessState == nil || program.ProcessState.ExitCode() != 1 {
		t.Errorf("expected exit code 1, got %v", err)
	}
	if line := lastLine(t, messages); !strings.Contains(line, `"method":"closed"`) || !strings.Contains(line, "panic: no fares") {
		t.Errorf("expected a close with the panic, got %s", line)
	}
}

func TestAProgramThatDagsterDidNotStartFails(t *testing.T) {
	t.Setenv("DAGSTER_PIPES_CONTEXT", "")
	if _, err := Open(); err == nil || !strings.Contains(err.Error(), "DAGSTER_PIPES_CONTEXT") {
		t.Errorf("expected an error that names the variable, got %v", err)
	}
}
