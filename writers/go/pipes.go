// Package pipes lets a Go program speak Dagster Pipes 0.1 to the runner that started it.
//
// Run is all that most programs need: it opens Pipes, calls the program, and closes Pipes with what became of it.
package pipes

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// Context is what the runner says of the step, as context.json holds it; a nil pointer is its null.
type Context struct {
	AssetKeys    []string               `json:"asset_keys"`
	CodeVersions map[string]*string     `json:"code_version_by_asset_key"`
	Provenance   map[string]*Provenance `json:"provenance_by_asset_key"`
	PartitionKey *string                `json:"partition_key"`
	KeyRange     *Range                 `json:"partition_key_range"`
	TimeWindow   *Range                 `json:"partition_time_window"`
	RunID        string                 `json:"run_id"`
	JobName      *string                `json:"job_name"`
	RetryNumber  int                    `json:"retry_number"`
	Extras       map[string]any         `json:"extras"`
}

// Range goes from Start to End: partition keys (End belongs to it) or ISO 8601 times (End does not).
type Range struct {
	Start string `json:"start"`
	End   string `json:"end"`
}

// Provenance is what an asset was made from the last time.
type Provenance struct {
	CodeVersion       string            `json:"code_version"`
	InputDataVersions map[string]string `json:"input_data_versions"`
	IsUserProvided    bool              `json:"is_user_provided"`
}

// Metadata is names with values: plain ones, whose type the runner infers, or those of Typed.
type Metadata map[string]any

type typed struct {
	Raw  any    `json:"raw_value"`
	Type string `json:"type"`
}

// Typed gives a value one of the types of the contract, such as "url", "md", "timestamp" or "table_schema".
func Typed(kind string, raw any) any { return typed{raw, kind} }

// float keeps a whole number a float on the wire: 3.0, where encoding/json would write 3.
type float float64

func (f float) MarshalJSON() ([]byte, error) {
	text := strconv.FormatFloat(float64(f), 'g', -1, 64)
	if !strings.ContainsAny(text, ".eIN") {
		text += ".0"
	}
	return []byte(text), nil
}

func (m Metadata) wire() map[string]typed {
	wire := map[string]typed{}
	for name, value := range m {
		entry, ok := value.(typed)
		if !ok {
			entry = typed{value, "__infer__"}
		}
		if number, ok := entry.Raw.(float64); ok {
			entry.Raw = float(number)
		}
		wire[name] = entry
	}
	return wire
}

// Session is an open Pipes session; several goroutines may use it at once.
type Session struct {
	Context Context
	mutex   sync.Mutex
	out     io.Writer
	closed  bool
}

// Run opens Pipes, calls program, closes Pipes and ends the process: with 0, with 1 after an error or a panic, and
// with 143 after SIGTERM.
func Run(program func(*Session) error) {
	session, err := Open()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM)
	ended := make(chan error, 1)
	go func() {
		defer func() {
			if caught := recover(); caught != nil {
				ended <- fmt.Errorf("panic: %v\n%s", caught, debug.Stack())
			}
		}()
		ended <- program(session)
	}()
	code := 0
	select {
	case err = <-ended:
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	case <-terminated:
		err, code = errors.New("ended by SIGTERM"), 128+int(syscall.SIGTERM)
	}
	if err := session.Close(err); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// Open reads the context and says "opened". Every opened session must be closed.
func Open() (*Session, error) {
	session := &Session{}
	var from, to struct{ Path, Stdio string }
	if err := errors.Join(bootstrap("DAGSTER_PIPES_CONTEXT", &from), bootstrap("DAGSTER_PIPES_MESSAGES", &to)); err != nil {
		return nil, err
	}
	content, err := os.ReadFile(from.Path)
	if err == nil {
		err = json.Unmarshal(content, &session.Context)
	}
	if err != nil {
		return nil, fmt.Errorf("pipes: the context cannot be read: %w", err)
	}
	if session.out, err = os.OpenFile(to.Path, os.O_APPEND|os.O_WRONLY, 0); to.Path == "" {
		session.out, err = map[string]io.Writer{"stdout": os.Stdout, "stderr": os.Stderr}[to.Stdio], nil
	}
	if err != nil || session.out == nil {
		return nil, fmt.Errorf("pipes: messages cannot be written to %q: %w", to.Path+to.Stdio, err)
	}
	return session, session.send("opened", map[string]any{"extras": map[string]any{}})
}

func bootstrap(variable string, into any) error {
	packed, err := base64.StdEncoding.DecodeString(os.Getenv(variable))
	if err == nil {
		var unpacked io.Reader
		if unpacked, err = zlib.NewReader(bytes.NewReader(packed)); err == nil {
			err = json.NewDecoder(unpacked).Decode(into)
		}
	}
	if err != nil {
		return fmt.Errorf("pipes: %s holds no bootstrap parameters, was this started by Dagster? %w", variable, err)
	}
	return nil
}

// Materialize reports an asset, which may be "" in a step of one asset; so may the data version always.
func (s *Session) Materialize(asset, dataVersion string, metadata Metadata) error {
	params := map[string]any{"metadata": metadata.wire(), "data_version": nil}
	if dataVersion != "" {
		params["data_version"] = dataVersion
	}
	return s.report("report_asset_materialization", asset, params)
}

// Check reports the result of an asset check; severity is "WARN" or "ERROR", and asset as in Materialize.
func (s *Session) Check(asset, name string, passed bool, severity string, metadata Metadata) error {
	params := map[string]any{"check_name": name, "passed": passed, "severity": severity, "metadata": metadata.wire()}
	return s.report("report_asset_check", asset, params)
}

func (s *Session) report(method, asset string, params map[string]any) error {
	if asset == "" && len(s.Context.AssetKeys) != 1 {
		return fmt.Errorf("pipes: %s needs an asset: the step has %d of them", method, len(s.Context.AssetKeys))
	}
	if asset == "" {
		asset = s.Context.AssetKeys[0]
	}
	params["asset_key"] = asset
	return s.send(method, params)
}

// Log writes to the run's event log; level is "DEBUG", "INFO", "WARNING", "ERROR" or "CRITICAL".
func (s *Session) Log(level, message string) error {
	return s.send("log", map[string]any{"level": level, "message": message})
}

// Custom sends any JSON to the host.
func (s *Session) Custom(payload any) error {
	return s.send("report_custom_message", map[string]any{"payload": payload})
}

// Progress has numbers plotted while the step runs.
func (s *Session) Progress(metadata Metadata) error {
	return s.Custom(map[string]any{"kind": "progress", "metadata": metadata.wire()})
}

// Close says "closed", with err and what it wraps if it is not nil; a second call does nothing.
func (s *Session) Close(err error) error {
	params := map[string]any{}
	if err != nil {
		params["exception"] = exception(err)
	}
	sent := s.send("closed", params)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.closed = true
	return sent
}

func (s *Session) send(method string, params map[string]any) error {
	var line bytes.Buffer
	encoder := json.NewEncoder(&line) // ends each message with a newline
	encoder.SetEscapeHTML(false)
	message := map[string]any{"__dagster_pipes_version": "0.1", "method": method, "params": params}
	if err := encoder.Encode(message); err != nil {
		return fmt.Errorf("pipes: %s cannot be written as JSON: %w", method, err)
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.closed {
		return nil
	}
	_, err := s.out.Write(line.Bytes()) // one write a message: lines of several writers stay whole
	return err
}

func exception(err error) any {
	if err == nil {
		return nil
	}
	return map[string]any{
		"name": strings.TrimPrefix(fmt.Sprintf("%T", err), "*"), "message": err.Error(),
		// Errors of Go carry no stack; that of a panic is in its message.
		"stack": []string{}, "cause": exception(errors.Unwrap(err)), "context": nil,
	}
}
