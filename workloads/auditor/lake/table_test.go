package lake

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hamba/avro/v2/ocf"
	"github.com/parquet-go/parquet-go"
)

// memory is a store of files in memory.
type memory map[string][]byte

func (m memory) Open(_ context.Context, location string, _ int64) (io.ReaderAt, error) {
	return bytes.NewReader(m[location]), nil
}

func (m memory) Read(_ context.Context, location string) (io.ReadCloser, error) {
	content, ok := m[location]
	if !ok {
		return nil, errors.New("no file " + location)
	}
	return io.NopCloser(bytes.NewReader(content)), nil
}

// trip is a row that a test writes; each field's tag has its column's id.
type trip struct {
	Month   *string           `parquet:"trip_month,optional,id(1)"`
	Miles   float64           `parquet:"miles,id(2)"`
	USD     int64             `parquet:"usd,id(3),decimal(2:10)"`
	Started int64             `parquet:"started,id(4),timestamp(microsecond)"`
	Vendor  *int32            `parquet:"vendor,optional,id(5)"`
	Unknown map[string]string `parquet:"unknown,optional,id(7)"`
}

type position struct {
	Path string `parquet:"file_path,id(2147483546)"`
	Pos  int64  `parquet:"pos,id(2147483545)"`
}

const (
	manifestListSchema = `{"type": "record", "name": "manifest_file", "fields": [
		{"name": "manifest_path", "type": "string"}, {"name": "partition_spec_id", "type": "int"},
		{"name": "content", "type": "int"}, {"name": "sequence_number", "type": "long"}]}`
	manifestSchema = `{"type": "record", "name": "manifest_entry", "fields": [
		{"name": "status", "type": "int"}, {"name": "sequence_number", "type": ["null", "long"]},
		{"name": "data_file", "type": {"type": "record", "name": "r2", "fields": [
			{"name": "content", "type": "int"}, {"name": "file_path", "type": "string"},
			{"name": "file_format", "type": "string"},
			{"name": "partition", "type": {"type": "record", "name": "r102", "fields": [
				{"name": "trip_month", "type": ["null", "string"]}]}},
			{"name": "record_count", "type": "long"}, {"name": "file_size_in_bytes", "type": "long"}]}}]}`
)

// file is a table's file, as described in a manifest.
type file struct {
	path     string
	month    any
	content  int
	format   string
	rows     int64
	sequence any
	status   int
}

// table builds a table and loads it; it has one manifest for each file, with the sequence numbers 1, 2, 3…
func table(t *testing.T, store memory, change func(metadata map[string]any), files ...file) (*Table, error) {
	t.Helper()
	var list []any
	for number, one := range files {
		path := fmt.Sprintf("s3://warehouse/manifest-%d.avro", number)
		store[path] = avroFile(t, manifestSchema, map[string]any{
			"status": one.status, "sequence_number": one.sequence,
			"data_file": map[string]any{
				"content": one.content, "file_path": one.path, "file_format": one.format, "record_count": one.rows,
				"file_size_in_bytes": int64(len(store[one.path])), "partition": map[string]any{"trip_month": one.month},
			},
		})
		list = append(list, map[string]any{
			"manifest_path": path, "partition_spec_id": 0, "content": min(one.content, 1), "sequence_number": int64(number + 1),
		})
	}
	store["s3://warehouse/list.avro"] = avroFile(t, manifestListSchema, list...)
	metadata := map[string]any{
		"format-version": 2, "current-schema-id": 1, "current-snapshot-id": 5,
		"schemas": []any{map[string]any{"schema-id": 1, "fields": []any{
			map[string]any{"id": 1, "name": "trip_month", "type": "string"},
			map[string]any{"id": 2, "name": "miles", "type": "double"},
			map[string]any{"id": 3, "name": "usd", "type": "decimal(10, 2)"},
			map[string]any{"id": 4, "name": "started", "type": "timestamp"},
			map[string]any{"id": 5, "name": "vendor", "type": "int"},
			map[string]any{"id": 6, "name": "younger", "type": "string"},
			map[string]any{"id": 7, "name": "unknown", "type": map[string]any{
				"type": "map", "key-id": 8, "key": "string", "value-id": 9, "value": "string", "value-required": false,
			}},
		}}},
		"partition-specs": []any{map[string]any{"spec-id": 0, "fields": []any{
			map[string]any{"name": "trip_month", "transform": "identity", "source-id": 1},
		}}},
		"snapshots": []any{map[string]any{"snapshot-id": 5, "manifest-list": "s3://warehouse/list.avro"}},
	}
	change(metadata)
	server := httptest.NewServer(http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		switch request.URL.Path {
		case "/v1/config":
			fmt.Fprint(answer, `{"defaults": {}, "overrides": {"prefix": "p"}}`)
		case "/v1/p/namespaces/silver/tables/trips":
			if err := json.NewEncoder(answer).Encode(map[string]any{"metadata": metadata}); err != nil {
				t.Error(err)
			}
		default:
			http.Error(answer, "{}", http.StatusNotFound)
		}
	}))
	t.Cleanup(server.Close)
	catalog, err := OpenCatalog(context.Background(), server.URL, "s3://warehouse/", store)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := catalog.Load(context.Background(), "silver.gone", "trip_month"); err == nil || !strings.Contains(err.Error(), "silver.gone") {
		t.Errorf("expected an error that names the table, got %v", err)
	}
	return catalog.Load(context.Background(), "silver.trips", "trip_month")
}

func avroFile(t *testing.T, schema string, records ...any) []byte {
	t.Helper()
	var content bytes.Buffer
	encoder, err := ocf.NewEncoder(schema, &content, ocf.WithCodec(ocf.Deflate))
	if err != nil {
		t.Fatal(err)
	}
	for _, record := range records {
		if err := encoder.Encode(record); err != nil {
			t.Fatal(err)
		}
	}
	if err := encoder.Close(); err != nil {
		t.Fatal(err)
	}
	return content.Bytes()
}

func parquetFile[T any](t *testing.T, of ...T) []byte {
	t.Helper()
	var content bytes.Buffer
	writer := parquet.NewGenericWriter[T](&content, parquet.Compression(&parquet.Zstd), parquet.MaxRowsPerRowGroup(1500))
	if _, err := writer.Write(of); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	return content.Bytes()
}
