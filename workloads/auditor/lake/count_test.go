package lake

import (
	"context"
	"strings"
	"testing"
)

func TestRowsAreCountedBySnapshotAndMonthWithoutThoseThatAreDeleted(t *testing.T) {
	store := memory{
		"a": parquetFile(t, monthly("2024-01", 4)...),
		"x": parquetFile(t, position{"a", 1}, position{"a", 3}),
		"b": parquetFile(t, monthly("2024-02", 5)...),
	}
	now := []file{
		{"a", "2024-01", 0, "PARQUET", 4, nil, 1}, {"x", "2024-01", 1, "PARQUET", 2, nil, 1}, {"b", "2024-02", 0, "PARQUET", 5, nil, 1},
	}
	loaded, err := table(t, store, func(metadata map[string]any) {
		// An earlier snapshot, with only the first file.
		first := map[string]any{
			"manifest_path": "s3://warehouse/manifest-0.avro", "partition_spec_id": 0, "content": 0, "sequence_number": int64(1),
		}
		store["s3://warehouse/earlier.avro"] = avroFile(t, manifestListSchema, first)
		earlier := map[string]any{"snapshot-id": 4, "timestamp-ms": 1500, "manifest-list": "s3://warehouse/earlier.avro"}
		metadata["snapshots"] = append(metadata["snapshots"].([]any), earlier)
		metadata["snapshots"].([]any)[0].(map[string]any)["timestamp-ms"] = 2500
	}, now...)
	if err != nil {
		t.Fatal(err)
	}
	january, february, none := []string{"2024-01"}, []string{"2024-02", "2024-03"}, []string{"2023-12"}
	for _, one := range []struct {
		snapshot string
		months   []string
		rows     int64
		there    bool
	}{
		{"5", nil, 7, true}, {"5", january, 2, true}, {"5", february, 5, true}, {"5", none, 0, true},
		{"4", nil, 4, true}, {"4", january, 4, true}, {"4", february, 0, true}, {"3", nil, 0, false}, {"none", nil, 0, true},
	} {
		rows, there, err := loaded.Count(context.Background(), one.snapshot, one.months)
		if err != nil || rows != one.rows || there != one.there {
			t.Errorf("%v: got %d, %v, %v", one, rows, there, err)
		}
	}
	if oldest, any := loaded.OldestSnapshot(); oldest != 1.5 || !any {
		t.Errorf("the oldest snapshot is of %v", oldest)
	}
	if loaded.Snapshot() != "5" {
		t.Error("counting changed which snapshot is read")
	}
}

func TestWhatCannotBeCountedIsRefused(t *testing.T) {
	for want, one := range map[string]struct {
		metadata func(map[string]any)
		rows     int64
		deleted  []position
	}{
		"file a: it has 4 rows, but its manifest says 5":              {unchanged, 5, nil},
		"its manifest does not name one month":                        {unpartitioned, 4, nil},
		"file a: 5 of its 4 rows are deleted":                         {unchanged, 4, []position{{"a", 0}, {"a", 1}, {"a", 2}, {"a", 3}, {"a", 4}}},
		"table silver.trips cannot be read in its snapshot 5: file a": {unchanged, 5, nil},
	} {
		store := memory{"a": parquetFile(t, monthly("2024-01", 4)...)}
		files := []file{{"a", "2024-01", 0, "PARQUET", one.rows, nil, 1}}
		if one.deleted != nil {
			store["x"] = parquetFile(t, one.deleted...)
			files = append(files, file{"x", "2024-01", 1, "PARQUET", int64(len(one.deleted)), nil, 1})
		}
		loaded, err := table(t, store, one.metadata, files...)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = loaded.Count(context.Background(), "5", []string{"2024-01"})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("expected an error with %q, got %v", want, err)
		}
	}
}

func TestAnUnpartitionedTableIsCountedAsAWhole(t *testing.T) {
	store := memory{"a": parquetFile(t, monthly("", 4)...)}
	loaded, err := table(t, store, unpartitioned, file{"a", nil, 0, "PARQUET", 4, nil, 1})
	if err != nil {
		t.Fatal(err)
	}
	if rows, _, err := loaded.Count(context.Background(), "5", nil); rows != 4 || err != nil {
		t.Errorf("got %d, %v", rows, err)
	}
}
