package lake

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"drayage/workloads/auditor/rows"
)

// monthly returns trips whose miles count up from 0.
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

func unpartitioned(metadata map[string]any) {
	metadata["partition-specs"] = []any{map[string]any{"spec-id": 0, "fields": []any{}}}
}

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
	loaded, err := table(t, store, unpartitioned, file{"a", nil, 0, "PARQUET", 5, nil, 1})
	if err != nil {
		t.Fatal(err)
	}
	if got := miles(t, loaded, Months{Month: "2024-02"}); !slices.Equal(got, upTo(3)) {
		t.Errorf("got %v", got)
	}
}

func TestAFileWithoutItsMonthIsOfItsPartitionOrRefused(t *testing.T) {
	store := memory{"a": parquetFile(t, struct {
		Miles float64 `parquet:"miles,id(2)"`
	}{7})}
	months := Months{Column: "trip_month", Month: "2024-01"}
	var found []string
	see := func(row []rows.Value) error {
		found = append(found, string(row[0].Text))
		return nil
	}
	scan := func(change func(map[string]any)) error {
		loaded, err := table(t, store, change, file{"a", "2024-01", 0, "PARQUET", 1, nil, 1})
		if err != nil {
			t.Fatal(err)
		}
		return loaded.Scan(context.Background(), months, []Column{{"trip_month", "string"}, {"miles", "double"}}, see)
	}
	if err := scan(unchanged); err != nil || !slices.Equal(found, []string{"2024-01"}) {
		t.Errorf("got %v, %v", found, err)
	}
	if err := scan(unpartitioned); err == nil || !strings.Contains(err.Error(), "it has no column trip_month") {
		t.Errorf("expected an error that names the column, got %v", err)
	}
}

func TestDeletedPositionsAreGoneOnlyFromOlderFiles(t *testing.T) {
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

func TestMapsAreReadAcrossBatchesAndPages(t *testing.T) {
	const count = 2*batchRows + 7
	var trips []trip
	var want []rows.Value
	for number, one := range monthly("2024-01", count) {
		entries := map[string]rows.Value{}
		switch number % 4 {
		case 0:
			want = append(want, rows.Value{}) // no map
			trips = append(trips, one)
			continue
		case 1: // an empty map
			one.Unknown = map[string]string{}
		default:
			one.Unknown = map[string]string{"surge_fee": strconv.Itoa(number), "colour": strings.Repeat("red ", 100)}
			for key, value := range one.Unknown {
				entries[key] = rows.Value{Set: true, Text: []byte(value)}
			}
		}
		trips, want = append(trips, one), append(want, rows.Texts(entries))
	}
	store := memory{"a": parquetFile(t, trips...)}
	loaded, err := table(t, store, unchanged, file{"a", "2024-01", 0, "PARQUET", count, nil, 1})
	if err != nil {
		t.Fatal(err)
	}
	var found []rows.Value
	err = loaded.Scan(context.Background(), Months{Column: "trip_month", Month: "2024-01"}, []Column{{"unknown", Texts}},
		func(row []rows.Value) error {
			found = append(found, rows.Value{Set: row[0].Set, Text: slices.Clone(row[0].Text)})
			return nil
		})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.EqualFunc(found, want, func(one, other rows.Value) bool {
		return one.Set == other.Set && string(one.Text) == string(other.Text)
	}) {
		t.Errorf("%d maps read; they are not the %d that were written", len(found), len(want))
	}
}

func TestWhatIsNotSupportedIsRefused(t *testing.T) {
	good := file{"a", "2024-01", 0, "PARQUET", 4, nil, 1}
	for want, change := range map[string]struct {
		metadata func(map[string]any)
		file     file
	}{
		"format version is 3":                 {func(metadata map[string]any) { metadata["format-version"] = 3 }, good},
		"is not among its snapshots":          {func(metadata map[string]any) { metadata["current-snapshot-id"] = 6 }, good},
		"deletes rows by their values":        {unchanged, file{"a", "2024-01", 2, "PARQUET", 4, nil, 1}},
		"is of format PUFFIN":                 {unchanged, file{"a", "2024-01", 1, "PUFFIN", 4, nil, 1}},
		"is of format ORC":                    {unchanged, file{"a", "2024-01", 0, "ORC", 4, nil, 1}},
		"its manifest says 5":                 {unchanged, file{"a", "2024-01", 0, "PARQUET", 5, nil, 1}},
		"have no field ids":                   {unchanged, file{"unnumbered", "2024-01", 0, "PARQUET", 1, nil, 1}},
		"cannot be opened as Parquet":         {unchanged, file{"text", "2024-01", 0, "PARQUET", 1, nil, 1}},
		"which this auditor does not support": {unchanged, file{"milliseconds", "2024-01", 0, "PARQUET", 1, nil, 1}},
		"its column usd is of type long":      {retype("usd", "long"), good},
		"its column miles is of type float":   {retype("miles", "float"), good},
		"it has no column vendor":             {retype("vendor", ""), good},
	} {
		store := memory{
			"a":          parquetFile(t, monthly("2024-01", 4)...),
			"unnumbered": parquetFile(t, struct{ Month string }{"2024-01"}),
			"text":       []byte("not Parquet, but long enough to be mistaken for it"),
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

// retype changes a column's type, or removes it from the table.
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

func TestAnAddressWithoutACatalogIsNamed(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	_, err := OpenCatalog(context.Background(), server.URL, "s3://warehouse/", memory{})
	if err == nil || !strings.Contains(err.Error(), "no Iceberg REST catalog at "+server.URL) {
		t.Errorf("expected an error that names the address, got %v", err)
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
