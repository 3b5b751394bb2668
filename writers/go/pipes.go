// Package pipes connects a Go program to its runner, over Dagster Pipes 0.1; most programs need only Run.
package pipes

import (
	"compress/zlib"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
)

// Context is the step's context from the runner, with the members of context.json; nil stands for null.
type Context struct {
	AssetKeys    []string           `json:"asset_keys"`
	CodeVersions map[string]*string `json:"code_version_by_asset_key"`
	Provenance   map[string]object  `json:"provenance_by_asset_key"`
	PartitionKey *string            `json:"partition_key"`
	KeyRange     *Range             `json:"partition_key_range"`
	TimeWindow   *Range             `json:"partition_time_window"`
	RunID        string             `json:"run_id"`
	JobName      *string            `json:"job_name"`
	RetryNumber  int                `json:"retry_number"`
	Extras       map[string]any     `json:"extras"`
}

// Range goes from Start to End: partition keys (End is included) or ISO 8601 times (End is not).
type Range struct {
	Start string `json:"start"`
	End   string `json:"end"`
}

// Metadata maps names to plain values, whose type the runner infers, or to values from Typed.
type Metadata map[string]any
type object = map[string]any
type typed object

// Typed returns a value with one of the contract's types, such as "url", "md", "timestamp" or "table_schema".
func Typed(kind string, raw any) any {
	if number, ok := raw.(float64); ok {
		// encoding/json writes 3.0 as 3, which is not a float.
		if text, err := json.Marshal(number); err == nil && !strings.ContainsAny(string(text), ".e") {
			raw = json.RawMessage(append(text, ".0"...))
		}
	}
	return typed{"type": kind, "raw_value": raw}
}

// Session is an open Pipes session; several goroutines may use it at the same time.
type Session struct {
	Context  Context
	mutex    sync.Mutex
	messages *json.Encoder // Writes each message at once, so that the lines of several writers stay whole.
	closed   bool
}

// Run opens Pipes, calls program, closes Pipes and ends the process: with 0, 1 after an error, 143 after SIGTERM.
func Run(program func(*Session) error) {
	session, err := Open()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	end := func(err error, code int) {
		if err = errors.Join(err, session.Close(err)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(code)
		}
		os.Exit(0)
	}
	terminated, _ := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	context.AfterFunc(terminated, func() { end(errors.New("ended by SIGTERM"), 128+int(syscall.SIGTERM)) })
	// Since end does not return, only a panic gets here.
	defer func() { end(fmt.Errorf("panic: %v\n%s", recover(), debug.Stack()), 1) }()
	end(program(session), 1)
}

// Open reads the context and sends "opened". Every opened session must be closed.
func Open() (*Session, error) {
	given, err := file("DAGSTER_PIPES_CONTEXT", os.O_RDONLY)
	messages, failed := file("DAGSTER_PIPES_MESSAGES", os.O_WRONLY|os.O_APPEND)
	if err = errors.Join(err, failed); err != nil {
		return nil, fmt.Errorf("pipes: %w", err)
	}
	defer given.Close()
	session := &Session{messages: json.NewEncoder(messages)}
	session.messages.SetEscapeHTML(false)
	if err = json.NewDecoder(given).Decode(&session.Context); err != nil {
		return nil, fmt.Errorf("pipes: the context cannot be read: %w", err)
	}
	return session, session.send("opened", object{"extras": object{}})
}

func file(variable string, flags int) (*os.File, error) {
	var named struct{ Path, Stdio string }
	unpacked, err := zlib.NewReader(base64.NewDecoder(base64.StdEncoding, strings.NewReader(os.Getenv(variable))))
	if err == nil {
		err = json.NewDecoder(unpacked).Decode(&named)
	}
	if err != nil {
		return nil, fmt.Errorf("%s has no bootstrap parameters; was this program started by Dagster? %w", variable, err)
	}
	if standard := map[string]*os.File{"stdout": os.Stdout, "stderr": os.Stderr}[named.Stdio]; standard != nil {
		return standard, nil
	}
	return os.OpenFile(named.Path, flags, 0)
}

// Materialize reports an asset. The asset may be "" in a step with one asset; the data version may always be "".
func (s *Session) Materialize(asset, dataVersion string, metadata Metadata) error {
	var version any
	if dataVersion != "" {
		version = dataVersion
	}
	return s.report("report_asset_materialization", asset, metadata, object{"data_version": version})
}

// Check reports the result of an asset check; severity is "WARN" or "ERROR", and asset is as in Materialize.
func (s *Session) Check(asset, name string, passed bool, severity string, metadata Metadata) error {
	params := object{"check_name": name, "passed": passed, "severity": severity}
	return s.report("report_asset_check", asset, metadata, params)
}

func (s *Session) report(what, asset string, metadata Metadata, params object) error {
	if keys := s.Context.AssetKeys; asset == "" && len(keys) == 1 {
		asset = keys[0]
	} else if asset == "" {
		return fmt.Errorf("pipes: %s needs the name of an asset, because the step has %d assets", what, len(keys))
	}
	wire := object{}
	for name, value := range metadata {
		if _, ok := value.(typed); !ok {
			value = Typed("__infer__", value)
		}
		wire[name] = value
	}
	params["asset_key"], params["metadata"] = asset, wire
	if !strings.HasPrefix(what, "report_") { // the kind of a custom message
		params["kind"] = what
		return s.Custom(params)
	}
	return s.send(what, params)
}

// Log writes to the run's event log; level is "DEBUG", "INFO", "WARNING", "ERROR" or "CRITICAL".
func (s *Session) Log(level, message string) error {
	return s.send("log", object{"level": level, "message": message})
}

// Custom sends any JSON to the host.
func (s *Session) Custom(payload any) error {
	return s.send("report_custom_message", object{"payload": payload})
}

// Progress sends numbers that the host plots while the step runs; asset is as in Materialize.
func (s *Session) Progress(asset string, metadata Metadata) error {
	return s.report("progress", asset, metadata, object{})
}

// PartitionMetadata adds metadata to the materialization of one partition, in a step that covers several.
func (s *Session) PartitionMetadata(asset, partition string, metadata Metadata) error {
	return s.report("partition_metadata", asset, metadata, object{"partition_key": partition})
}

// ExternalStream forwards the output of another process to the host; stream is "stdout" or "stderr".
func (s *Session) ExternalStream(stream, text string) error {
	return s.send("log_external_stream", object{"stream": stream, "text": text, "extras": object{}})
}

// Close sends "closed", with err and the errors that it wraps if it is not nil; a second call does nothing.
func (s *Session) Close(err error) error {
	if err == nil {
		return s.send("closed", object{})
	}
	return s.send("closed", object{"exception": exception(err)})
}

func (s *Session) send(method string, params object) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.closed {
		return nil
	}
	s.closed = method == "closed"
	if err := s.messages.Encode(object{"__dagster_pipes_version": "0.1", "method": method, "params": params}); err != nil {
		return fmt.Errorf("pipes: %s cannot be sent: %w", method, err)
	}
	return nil
}

func exception(err error) any {
	if err == nil {
		return nil
	}
	return object{
		"name": strings.TrimPrefix(fmt.Sprintf("%T", err), "*"), "message": err.Error(),
		// Go errors have no stack; a panic's stack is in its message.
		"stack": []string{}, "cause": exception(errors.Unwrap(err)), "context": nil,
	}
}
