package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	pipes "drayage/writers/go"
)

var names = []string{
	"KAFKA_BOOTSTRAP_SERVERS", "SCHEMA_REGISTRY_URL", "ICEBERG_CATALOG_URI", "ICEBERG_WAREHOUSE", "S3_ENDPOINT", "S3_REGION",
}

func TestSettingsComeFromTheEnvironmentAndSecretsFromFiles(t *testing.T) {
	for _, name := range names {
		t.Setenv(name, "value of "+name)
	}
	folder := t.TempDir()
	for _, name := range []string{"s3_access_key_id", "s3_secret_access_key"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(" secret "+name+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	read, err := readSettings(folder)
	if err != nil {
		t.Fatal(err)
	}
	if read.s3Region != "value of S3_REGION" || read.s3SecretAccessKey != "secret s3_secret_access_key" {
		t.Errorf("got %+v", read)
	}
}

func TestAllThatIsMissingIsReportedTogether(t *testing.T) {
	for _, name := range names {
		t.Setenv(name, "")
	}
	_, err := readSettings(t.TempDir())
	for _, name := range append(names, "S3_ACCESS_KEY_ID") {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("expected an error that names %s, got %v", name, err)
		}
	}
}

func TestTheRequestIsAMonthAndTheHostsExtras(t *testing.T) {
	month := "2024-01"
	receipts := map[string]any{"silver/cleaned_trips": map[string]any{
		"rows_read": 5.0, "rows_written": 3.0, "rows_rejected": 1.0, "duplicates": 1.0,
	}, "published": map[string]any{
		"marts/dim_dates": map[string]any{"recorded_at_s": 1.5, "dagster/row_count": 4.0, "snapshot_id": "9", "months": nil},
		"marts/fct_trips": nil,
	}}
	_, read, err := readRequest(pipes.Context{PartitionKey: &month, Extras: map[string]any{"topic": "t", "versions_topic": "v", "receipts": receipts}})
	if err != nil {
		t.Fatal(err)
	}
	if published := read.Receipts.Published; published["marts/dim_dates"].Rows != 4 || published["marts/fct_trips"] != nil {
		t.Errorf("got %+v", published)
	}
	if read.Topic != "t" || read.Receipts.Silver.Written != 3 || read.Receipts.Bronze != nil {
		t.Errorf("got %+v", read)
	}
	for want, context := range map[string]pipes.Context{
		"no partition":      {Extras: map[string]any{"topic": "t"}},
		"topic is missing":  {PartitionKey: &month, Extras: map[string]any{}},
		`unknown field "x"`: {PartitionKey: &month, Extras: map[string]any{"topic": "t", "versions_topic": "v", "x": 1}},
	} {
		if _, _, err := readRequest(context); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("expected an error with %q, got %v", want, err)
		}
	}
}
