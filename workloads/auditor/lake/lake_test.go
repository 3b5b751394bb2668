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
	"slices"
	"strings"
	"testing"

	"github.com/hamba/avro/v2/ocf"
	"github.com/parquet-go/parquet-go"

	"drayage/workloads/auditor/rows"
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

// trip is a row as a test writes it; a field's number is its column's id.
type trip struct {
	Month   *string `parquet:"trip_month,optional,id(1)"`
	Miles   float64 `parquet:"miles,id(2)"`
	USD     int64   `parquet:"usd,id(3),decimal(2:10)"`
	Started int64   `parquet:"started,id(4),timestamp(microsecond)"`
	Vendor  *int32  `parquet:"vendor,optional,id(5)"`
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

// file is a file of a table as a manifest tells of it.
type file struct {
	path     string
	month    any
	content  int
	format   string
	rows     int64
	sequence any
	status   int
}

// table puts a table together and loads it; a manifest for each file, with the sequence numbers 1, 2, 3…
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

// monthly makes trips whose miles count up from 0.
func monthly(month string, count int) []trip {
	var all []trip
	for number := range count {
		one := trip{Miles: float64(number), USD: int64(-number), Started: int64(number)}
		if month != "" {
			one.Month = &month
		}
		if vendor := int32(number); number%2 == 0 {
			one.Vendor = &vendor
		}
		all = append(all, one)
	}
	return all
}

func unchanged(map[string]any) {}

var wanted = []Column{
	{"miles", "double"}, {"usd", "decimal(10,2)"}, {"started", "timestamp"}, {"vendor", "int"}, {"younger", "string"},
}

func miles(t *testing.T, table *Table, months Months) []int {
	t.Helper()
	months.Column = "trip_month"
	var found []int
	err := table.Scan(context.Background(), months, wanted, func(row []rows.Value) error {
		number := int64(row[0].Float)
		if row[1].Int != -number || row[2].Int != number || row[3].Set != (number%2 == 0) || row[4].Set {
			t.Errorf("row %d is %v", number, row)
		}
		found = append(found, int(number))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func upTo(count int) []int {
	var all []int
	for number := range count {
		all = append(all, number)
	}
	return all
}

func TestRowsOfAMonthAreReadInWholeFromFilesOfAnySize(t *testing.T) {
	store := memory{
		"a": parquetFile(t, monthly("2024-01", 5000)...),
		"b": parquetFile(t, monthly("2024-02", 3)...),
		"c": parquetFile(t, monthly("", 2)...),
		"d": parquetFile(t, monthly("2024-01", 1)...),
	}
	loaded, err := table(t, store, unchanged,
		file{"a", "2024-01", 0, "PARQUET", 5000, nil, 1}, file{"b", "2024-02", 0, "PARQUET", 3, nil, 0},
		file{"c", nil, 0, "PARQUET", 2, nil, 1}, file{"d", "2024-01", 0, "PARQUET", 1, nil, 2})
	if err != nil {
		t.Fatal(err)
	}
	if got := miles(t, loaded, Months{Month: "2024-01"}); !slices.Equal(got, upTo(5000)) {
		t.Errorf("got %d rows", len(got))
	}
	if got := miles(t, loaded, Months{Month: "2024-02", None: true}); !slices.Equal(got, []int{0, 1, 2, 0, 1}) {
		t.Errorf("got %v", got)
	}
	if loaded.Snapshot() != "5" {
		t.Errorf("got the snapshot %s", loaded.Snapshot())
	}
}

func TestAFileThatHoldsSeveralMonthsIsReadRowByRow(t *testing.T) {
	store := memory{"a": parquetFile(t, append(monthly("2024-01", 2), monthly("2024-02", 3)...)...)}
	loaded, err := table(t, store, func(metadata map[string]any) {
		metadata["partition-specs"] = []any{map[string]any{"spec-id": 0, "fields": []any{}}}
	}, file{"a", nil, 0, "PARQUET", 5, nil, 1})
	if err != nil {
		t.Fatal(err)
	}
	if got := miles(t, loaded, Months{Month: "2024-02"}); !slices.Equal(got, upTo(3)) {
		t.Errorf("got %v", got)
	}
}

func TestDeletedPositionsAreGoneFromOlderFilesAlone(t *testing.T) {
	store := memory{
		"a": parquetFile(t, monthly("2024-01", 4)...),
		"x": parquetFile(t, position{"a", 1}, position{"a", 3}, position{"b", 0}),
		"b": parquetFile(t, monthly("2024-01", 2)...),
	}
	loaded, err := table(t, store, unchanged, file{"a", "2024-01", 0, "PARQUET", 4, nil, 1},
		file{"x", "2024-01", 1, "PARQUET", 3, nil, 1}, file{"b", "2024-01", 0, "PARQUET", 2, nil, 1})
	if err != nil {
		t.Fatal(err)
	}
	if got := miles(t, loaded, Months{Month: "2024-01"}); !slices.Equal(got, []int{0, 2, 0, 1}) {
		t.Errorf("got %v", got)
	}
}

func TestATableWithoutSnapshotHasNoRows(t *testing.T) {
	loaded, err := table(t, memory{}, func(metadata map[string]any) { metadata["current-snapshot-id"] = -1 })
	if err != nil {
		t.Fatal(err)
	}
	if got := miles(t, loaded, Months{Month: "2024-01"}); got != nil || loaded.Snapshot() != "none" {
		t.Errorf("got %v of snapshot %s", got, loaded.Snapshot())
	}
}

func TestWhatIsNotUnderstoodIsRefused(t *testing.T) {
	good := file{"a", "2024-01", 0, "PARQUET", 4, nil, 1}
	for want, change := range map[string]struct {
		metadata func(map[string]any)
		file     file
	}{
		"format version is 3":               {func(metadata map[string]any) { metadata["format-version"] = 3 }, good},
		"is not among its snapshots":        {func(metadata map[string]any) { metadata["current-snapshot-id"] = 6 }, good},
		"deletes rows by their values":      {unchanged, file{"a", "2024-01", 2, "PARQUET", 4, nil, 1}},
		"is of format PUFFIN":               {unchanged, file{"a", "2024-01", 1, "PUFFIN", 4, nil, 1}},
		"is of format ORC":                  {unchanged, file{"a", "2024-01", 0, "ORC", 4, nil, 1}},
		"its manifest says 5":               {unchanged, file{"a", "2024-01", 0, "PARQUET", 5, nil, 1}},
		"have no field ids":                 {unchanged, file{"unnumbered", "2024-01", 0, "PARQUET", 1, nil, 1}},
		"cannot be opened as Parquet":       {unchanged, file{"text", "2024-01", 0, "PARQUET", 1, nil, 1}},
		"which this auditor does not know":  {unchanged, file{"milliseconds", "2024-01", 0, "PARQUET", 1, nil, 1}},
		"its column usd is of type long":    {retype("usd", "long"), good},
		"its column miles is of type float": {retype("miles", "float"), good},
		"it has no column vendor":           {retype("vendor", ""), good},
	} {
		store := memory{
			"a":          parquetFile(t, monthly("2024-01", 4)...),
			"unnumbered": parquetFile(t, struct{ Month string }{"2024-01"}),
			"text":       []byte("no Parquet, but long enough to be mistaken for it"),
			"milliseconds": parquetFile(t, struct {
				Month   string  `parquet:"trip_month,id(1)"`
				Miles   float64 `parquet:"miles,id(2)"`
				USD     int64   `parquet:"usd,id(3),decimal(2:10)"`
				Started int64   `parquet:"started,id(4),timestamp(millisecond)"`
			}{"2024-01", 1, 1, 1}),
		}
		loaded, err := table(t, store, change.metadata, change.file)
		if err == nil {
			err = loaded.Scan(context.Background(), Months{Column: "trip_month", Month: "2024-01"}, wanted,
				func([]rows.Value) error { return nil })
		}
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "silver.trips") {
			t.Errorf("expected an error of silver.trips with %q, got %v", want, err)
		}
	}
}

// retype gives a column another type, or takes it out of the table.
func retype(name, typ string) func(map[string]any) {
	return func(metadata map[string]any) {
		schema := metadata["schemas"].([]any)[0].(map[string]any)
		schema["fields"] = slices.DeleteFunc(schema["fields"].([]any), func(field any) bool {
			isIt := field.(map[string]any)["name"] == name
			if isIt {
				field.(map[string]any)["type"] = typ
			}
			return isIt && typ == ""
		})
	}
}

func TestLongDecimalsAreReadIfTheirValueIsShort(t *testing.T) {
	for digits, want := range map[string]int64{
		"\x00": 0, "\xff": -1, "\x00\x00\x00\x00\x00\x00\x00\x00\x01\x02": 258, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00": -256,
	} {
		if got, err := bigEndian([]byte(digits)); err != nil || got.Int != want {
			t.Errorf("%x: expected %d, got %d, %v", digits, want, got.Int, err)
		}
	}
	if _, err := bigEndian([]byte("\x01\x00\x00\x00\x00\x00\x00\x00\x00")); err == nil {
		t.Error("2^64 passed for a number of 64 bits")
	}
}
