package lake

import (
	"context"
	"fmt"
	"strings"

	"github.com/hamba/avro/v2/ocf"

	"drayage/workloads/auditor/rows"
)

// The codes in manifests.
const (
	entryDeleted      = 2
	contentData       = 0
	contentPositions  = 1
	manifestOfDeletes = 1
	parquetFormat     = "PARQUET"
)

type manifestFile struct {
	Path           string `avro:"manifest_path"`
	SpecID         int    `avro:"partition_spec_id"`
	Content        int    `avro:"content"`
	SequenceNumber int64  `avro:"sequence_number"`
}

type manifestEntry struct {
	Status         int    `avro:"status"`
	SequenceNumber *int64 `avro:"sequence_number"`
	File           struct {
		Content     int            `avro:"content"`
		Path        string         `avro:"file_path"`
		Format      string         `avro:"file_format"`
		Partition   map[string]any `avro:"partition"`
		RecordCount int64          `avro:"record_count"`
		SizeBytes   int64          `avro:"file_size_in_bytes"`
	} `avro:"data_file"`
}

// dataFile is a file of a table, with rows or with the positions of deleted rows.
type dataFile struct {
	path           string
	sizeBytes      int64
	rows           int64
	sequenceNumber int64
	hasMonth       bool // whether its partition gives all its rows one month, or none
	month          any  // string; nil for no month
}

func (f dataFile) monthValue() rows.Value {
	month, isText := f.month.(string)
	return rows.Value{Set: isText, Text: []byte(month)}
}

func (t *Table) readManifests(ctx context.Context, list string) error {
	manifests, err := readAvro[manifestFile](ctx, t.store, list)
	if err != nil {
		return err
	}
	for _, manifest := range manifests {
		entries, err := readAvro[manifestEntry](ctx, t.store, manifest.Path)
		if err != nil {
			return err
		}
		for _, entry := range entries {
			if entry.Status == entryDeleted {
				continue
			}
			if err := t.add(manifest, entry); err != nil {
				return fmt.Errorf("manifest %s: %w", manifest.Path, err)
			}
		}
	}
	return nil
}

func (t *Table) add(manifest manifestFile, entry manifestEntry) error {
	file := dataFile{
		path:           entry.File.Path,
		sizeBytes:      entry.File.SizeBytes,
		rows:           entry.File.RecordCount,
		sequenceNumber: manifest.SequenceNumber, // inherited by an entry without its own
	}
	if entry.SequenceNumber != nil {
		file.sequenceNumber = *entry.SequenceNumber
	}
	if part, ok := t.monthPart[manifest.SpecID]; ok {
		month, known := entry.File.Partition[part]
		if !known {
			return fmt.Errorf("%s has no partition value %s", file.path, part)
		}
		if _, isText := month.(string); !isText && month != nil {
			return fmt.Errorf("%s has the partition value %v (%T); expected a text", file.path, month, month)
		}
		file.hasMonth, file.month = true, month
	}
	// Iceberg's own writers use upper case, DuckDB lower case.
	if !strings.EqualFold(entry.File.Format, parquetFormat) {
		return fmt.Errorf("%s is of format %s, but this auditor reads only %s", file.path, entry.File.Format, parquetFormat)
	}
	switch isDeletes := manifest.Content == manifestOfDeletes; {
	case !isDeletes && entry.File.Content == contentData:
		t.dataFiles = append(t.dataFiles, file)
	case isDeletes && entry.File.Content == contentPositions:
		t.deletes = append(t.deletes, file)
	default:
		return fmt.Errorf(
			"%s deletes rows by their values (content %d), which this auditor does not support: compact the table, then audit again",
			file.path, entry.File.Content)
	}
	return nil
}

func readAvro[T any](ctx context.Context, store Store, location string) ([]T, error) {
	file, err := store.Read(ctx, location)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	decoder, err := ocf.NewDecoder(file)
	if err != nil {
		return nil, fmt.Errorf("%s is not an Avro file: %w", location, err)
	}
	var all []T
	for decoder.HasNext() {
		var one T
		if err := decoder.Decode(&one); err != nil {
			return nil, fmt.Errorf("%s cannot be decoded: %w", location, err)
		}
		all = append(all, one)
	}
	if err := decoder.Error(); err != nil {
		return nil, fmt.Errorf("%s cannot be decoded: %w", location, err)
	}
	return all, nil
}
