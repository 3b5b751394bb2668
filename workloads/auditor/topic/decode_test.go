package topic

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/hamba/avro/v2"

	"drayage/workloads/auditor/rows"
)

var columns = []Column{
	{"event_id", Text, true}, {"sent_at", Time, true}, {"VendorID", Long, false}, {"fare_amount", Double, false},
	{"unknown", Texts, false},
}

const (
	sentAt = `{"name": "sent_at", "type": {"type": "long", "logicalType": "timestamp-millis"}}`
	fields = `{"name": "event_id", "type": "string"}, ` + sentAt + `,
		{"name": "VendorID", "type": ["null", "long"]}, {"name": "fare_amount", "type": ["null", "double"]}`
)

func record(fields string) string {
	return fmt.Sprintf(`{"type": "record", "name": "Trip", "fields": [%s]}`, fields)
}

// registry serves schemas by id, from 1 on.
func registry(t *testing.T, schemas ...string) *Decoder {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		var id int
		if _, err := fmt.Sscanf(request.URL.Path, "/schemas/ids/%d", &id); err != nil || id > 100 {
			http.Error(answer, "out of order", http.StatusInternalServerError)
			return
		}
		if id < 1 || id > len(schemas) {
			answer.WriteHeader(http.StatusNotFound)
			fmt.Fprint(answer, `{"error_code": 40403, "message": "no such schema"}`)
			return
		}
		if err := json.NewEncoder(answer).Encode(map[string]string{"schema": schemas[id-1]}); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	return NewDecoder(server.URL, columns)
}

func framed(id uint32, encoded []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, id), encoded...)
}

func encode(t *testing.T, schema string, value map[string]any) []byte {
	t.Helper()
	parsed, err := avro.ParseBytesWithCache([]byte(schema), "", &avro.SchemaCache{})
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := avro.Marshal(parsed, value)
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}

func decode(t *testing.T, decoder *Decoder, value []byte) ([]rows.Value, bool) {
	t.Helper()
	row := make([]rows.Value, len(columns))
	decoded, err := decoder.Decode(context.Background(), value, row)
	if err != nil {
		t.Fatal(err)
	}
	return row, decoded
}

func equal(one, other rows.Value) bool {
	return one.Set == other.Set && one.Int == other.Int && one.Float == other.Float && string(one.Text) == string(other.Text)
}

func TestARecordIsReadByTheSchemaThatItWasWrittenWith(t *testing.T) {
	// Another order, types that Avro promotes, and fields without a column.
	wider := record(`{"name": "extra", "type": {"type": "array", "items": {"type": "map", "values": ["null", "string"]}}},
		{"name": "fare_amount", "type": "int"}, {"name": "VendorID", "type": ["null", "int"]}, ` + sentAt + `,
		{"name": "inner", "type": {"type": "record", "name": "Inner", "fields": [
			{"name": "colour", "type": {"type": "enum", "name": "Colour", "symbols": ["RED", "BLUE"]}},
			{"name": "hash", "type": {"type": "fixed", "name": "Hash", "size": 3}}]}},
		{"name": "event_id", "type": "bytes"}`)
	decoder := registry(t, record(fields), wider)
	want := []rows.Value{
		{Set: true, Text: []byte("e1")}, {Set: true, Int: 1_700_000_000_123_000}, {Set: true, Int: 2}, {Set: true, Float: 7},
		{},
	}
	plain := encode(t, record(fields), map[string]any{
		"event_id": "e1", "sent_at": int64(1_700_000_000_123), "VendorID": int64(2), "fare_amount": 7.0,
	})
	promoted := encode(t, wider, map[string]any{
		"extra":       []any{map[string]any{"a": "text", "b": nil}, map[string]any{}},
		"fare_amount": 7, "VendorID": 2, "sent_at": int64(1_700_000_000_123), "event_id": []byte("e1"),
		"inner": map[string]any{"colour": "BLUE", "hash": [3]byte{1, 2, 3}},
	})
	for id, encoded := range [][]byte{plain, promoted} {
		row, decoded := decode(t, decoder, framed(uint32(id+1), encoded))
		if !decoded || !slices.EqualFunc(row, want, equal) {
			t.Errorf("schema %d: expected %v, got %v (%v)", id+1, want, row, decoded)
		}
	}
}

func TestEqualMapsAreEqualWhateverTheOrderOfTheirEntries(t *testing.T) {
	withMap := record(fields + `, {"name": "unknown", "type": ["null", {"type": "map", "values": "string"}], "default": null}`)
	start := encode(t, record(fields), map[string]any{"event_id": "e1", "sent_at": int64(1), "VendorID": nil, "fare_amount": nil})
	entry := func(key, value string) []byte {
		written := append(binary.AppendVarint(nil, int64(len(key))), key...)
		return append(binary.AppendVarint(written, int64(len(value))), value...)
	}
	a, b := entry("a", "1"), entry("b", "2")
	one := slices.Concat(start, []byte{2, 4}, a, b, []byte{0})
	// The other order, in two blocks, of which the second says its length.
	other := slices.Concat(start, []byte{2, 2}, b, []byte{1}, binary.AppendVarint(nil, int64(len(a))), a, []byte{0})
	third := slices.Concat(start, []byte{2, 4}, entry("a", "2"), b, []byte{0})
	empty := slices.Concat(start, []byte{2, 0})
	none := slices.Concat(start, []byte{0})
	decoder := registry(t, withMap)
	var found []rows.Value
	for _, encoded := range [][]byte{one, other, third, empty, none} {
		row, decoded := decode(t, decoder, framed(1, encoded))
		if !decoded {
			t.Fatalf("%x was not decoded", encoded)
		}
		found = append(found, row[len(row)-1])
	}
	if !equal(found[0], found[1]) || equal(found[0], found[2]) || equal(found[0], found[3]) || !found[3].Set || found[4].Set {
		t.Errorf("got %v", found)
	}
	if _, decoded := decode(t, decoder, framed(1, slices.Concat(start, []byte{2, 4}, a, []byte{0}))); decoded {
		t.Error("a map that ends too early was decoded")
	}
}

func TestUndecodableRecordsAreRecognised(t *testing.T) {
	decoder := registry(t,
		record(fields),
		`{"type": "record", "name": "Other", "fields": [{"name": "x", "type": "int"}]}`,
		strings.Replace(record(fields), "timestamp-millis", "timestamp-micros", 1),
		`"string"`,
		strings.Replace(record(fields), `"name": "event_id", "type": "string"`, `"name": "event_id", "type": ["null", "string"]`, 1),
	)
	whole := encode(t, record(fields), map[string]any{
		"event_id": "e1", "sent_at": int64(1), "VendorID": nil, "fare_amount": 7.0,
	})
	if _, decoded := decode(t, decoder, framed(1, whole)); !decoded {
		t.Error("a whole record was not decoded")
	}
	for what, value := range map[string][]byte{
		"no value":                    nil,
		"not Avro":                    []byte("not Avro at all"),
		"an unknown schema":           framed(99, whole),
		"a schema without the column": framed(2, []byte{2}),
		"microseconds":                framed(3, whole),
		"a schema of no record":       framed(4, []byte{4, 'a', 'b'}),
		"a required null":             framed(5, []byte{0, 2, 0, 0}),
		"a cut record":                framed(1, whole[:len(whole)-1]),
		"bytes left over":             framed(1, append(slices.Clone(whole), 0)),
		"a text of two gigabytes":     framed(1, []byte{0xf0, 0xff, 0xff, 0xff, 0x0f}),
		"a negative length":           framed(1, []byte{1}),
		"no such branch":              framed(1, []byte{2, 'e', 2, 4, 0}),
		"nothing but the framing":     framed(1, nil),
	} {
		if _, decoded := decode(t, decoder, value); decoded {
			t.Errorf("%s was decoded", what)
		}
	}
}

func TestARegistryThatFailsIsAnErrorAndNotAnUndecodableRecord(t *testing.T) {
	decoder := registry(t)
	if _, err := decoder.Decode(context.Background(), framed(101, nil), make([]rows.Value, len(columns))); err == nil ||
		!strings.Contains(err.Error(), "500 Internal Server Error") {
		t.Errorf("expected the registry's own answer as an error, got %v", err)
	}
}

func TestAListWithoutEndEnds(t *testing.T) {
	endless := record(`{"name": "nulls", "type": {"type": "array", "items": "null"}}, ` + fields)
	count := binary.AppendVarint(nil, 1<<62)
	if _, decoded := decode(t, registry(t, endless), framed(1, count)); decoded {
		t.Error("an endless list was decoded")
	}
}
