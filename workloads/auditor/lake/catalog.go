// Package lake reads Iceberg tables.
//
// Reading order: catalog.go (catalog and metadata), manifest.go, scan.go, deletes.go, values.go, convert.go (Parquet files), store.go
// (objects); count.go counts rows without reading any.
//
// Source: Apache Iceberg table specification, format version 2, and its REST catalog's OpenAPI description. The reader
// refuses what the specification allows but it does not support, so that no row is silently left out.
package lake

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	formatVersion    = 2
	requestTimeout   = 30 * time.Second
	noSnapshot       = int64(-1)
	mostAnswerBytes  = 256 << 20
	identityOfColumn = "identity"
)

// Catalog is an Iceberg REST catalog and the object store of its tables.
type Catalog struct {
	uri    string
	prefix string
	store  Store
	client *http.Client
}

// Store opens the files of tables.
type Store interface {
	// Open returns random access to a file's bytes; size is its length in bytes.
	Open(ctx context.Context, location string, size int64) (io.ReaderAt, error)
	// Read returns a whole file.
	Read(ctx context.Context, location string) (io.ReadCloser, error)
}

// Table is one table in its current snapshot; later commits do not change what is read from it.
type Table struct {
	name      string
	snapshot  int64
	history   []snapshot
	store     Store
	fields    map[string]field
	monthID   int            // the field id of the month's column
	monthPart map[int]string // the name of the month's partition field, by partition spec
	dataFiles []dataFile
	deletes   []dataFile
}

// Snapshot returns the id of the snapshot that is read, or "none"; as text, because JavaScript's numbers cannot represent
// its 63 bits exactly.
func (t *Table) Snapshot() string {
	if t.snapshot == noSnapshot {
		return "none"
	}
	return strconv.FormatInt(t.snapshot, 10)
}

type field struct {
	ID   int             `json:"id"`
	Name string          `json:"name"`
	Type json.RawMessage `json:"type"`
}

// typ returns Iceberg's name of the type, such as "decimal(10, 2)"; for a nested type, its JSON, except for Texts.
func (f field) typ() string {
	var texts struct{ Type, Key, Value string }
	if json.Unmarshal(f.Type, &texts) == nil && texts.Type == "map" && texts.Key == "string" && texts.Value == "string" {
		return Texts
	}
	return strings.Trim(string(f.Type), `"`)
}

type tableMetadata struct {
	FormatVersion     int    `json:"format-version"`
	CurrentSchemaID   int    `json:"current-schema-id"`
	CurrentSnapshotID *int64 `json:"current-snapshot-id"`
	Schemas           []struct {
		ID     int     `json:"schema-id"`
		Fields []field `json:"fields"`
	} `json:"schemas"`
	Specs []struct {
		ID     int `json:"spec-id"`
		Fields []struct {
			Name      string `json:"name"`
			Transform string `json:"transform"`
			SourceID  int    `json:"source-id"`
		} `json:"fields"`
	} `json:"partition-specs"`
	Snapshots []snapshot `json:"snapshots"`
}

type snapshot struct {
	ID           int64  `json:"snapshot-id"`
	CommittedMS  int64  `json:"timestamp-ms"`
	ManifestList string `json:"manifest-list"`
}

// OpenCatalog reads a catalog's configuration.
func OpenCatalog(ctx context.Context, uri, warehouse string, store Store) (*Catalog, error) {
	catalog := &Catalog{uri: strings.TrimRight(uri, "/"), store: store, client: &http.Client{Timeout: requestTimeout}}
	var config struct {
		Defaults  map[string]string `json:"defaults"`
		Overrides map[string]string `json:"overrides"`
	}
	found, err := catalog.get(ctx, "/v1/config?warehouse="+url.QueryEscape(warehouse), &config)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fmt.Errorf("no Iceberg REST catalog at %s, or no warehouse %s in it: it answered /v1/config with 404; "+
			"correct ICEBERG_CATALOG_URI or ICEBERG_WAREHOUSE", catalog.uri, warehouse)
	}
	prefix := config.Defaults["prefix"]
	if override, ok := config.Overrides["prefix"]; ok {
		prefix = override
	}
	if prefix != "" {
		catalog.prefix = "/" + url.PathEscape(prefix)
	}
	return catalog, nil
}

// Load reads a table's metadata and manifests.
//
// name is "namespace.table"; month is the name of the column that it is partitioned by, or "" if it has no months.
func (c *Catalog) Load(ctx context.Context, name, month string) (*Table, error) {
	namespace, table, _ := strings.Cut(name, ".")
	var answer struct {
		Metadata tableMetadata `json:"metadata"`
	}
	path := fmt.Sprintf("/v1%s/namespaces/%s/tables/%s", c.prefix, url.PathEscape(namespace), url.PathEscape(table))
	found, err := c.get(ctx, path, &answer)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fmt.Errorf("the catalog at %s has no table %s: materialize the asset that creates it, then audit again", c.uri, name)
	}
	loaded := &Table{name: name, snapshot: noSnapshot, store: c.store, fields: map[string]field{}, monthPart: map[int]string{}}
	if err := loaded.take(ctx, answer.Metadata, month); err != nil {
		return nil, fmt.Errorf("table %s cannot be read: %w", name, err)
	}
	return loaded, nil
}

func (t *Table) take(ctx context.Context, metadata tableMetadata, month string) error {
	if metadata.FormatVersion != formatVersion {
		return fmt.Errorf("its format version is %d, but this auditor supports only version %d", metadata.FormatVersion, formatVersion)
	}
	for _, schema := range metadata.Schemas {
		if schema.ID != metadata.CurrentSchemaID {
			continue
		}
		for _, column := range schema.Fields {
			t.fields[column.Name] = column
		}
	}
	if monthField, ok := t.fields[month]; ok {
		t.monthID = monthField.ID
	} else if month != "" {
		return fmt.Errorf("it has no column %s", month)
	}
	for _, spec := range metadata.Specs {
		for _, part := range spec.Fields {
			if month != "" && part.SourceID == t.monthID && part.Transform == identityOfColumn {
				t.monthPart[spec.ID] = part.Name
			}
		}
	}
	t.history = metadata.Snapshots
	if metadata.CurrentSnapshotID == nil || *metadata.CurrentSnapshotID == noSnapshot {
		return nil
	}
	for _, snapshot := range metadata.Snapshots {
		if snapshot.ID == *metadata.CurrentSnapshotID {
			t.snapshot = snapshot.ID
			return t.readManifests(ctx, snapshot.ManifestList)
		}
	}
	return fmt.Errorf("its current snapshot %d is not among its snapshots", *metadata.CurrentSnapshotID)
}

// get reads an answer as JSON; false if the answer is "not found".
func (c *Catalog) get(ctx context.Context, path string, into any) (bool, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.uri+path, nil)
	if err != nil {
		return false, fmt.Errorf("ICEBERG_CATALOG_URI %q is not an address: %w", c.uri, err)
	}
	response, err := c.client.Do(request)
	if err != nil {
		return false, fmt.Errorf("the Iceberg catalog does not answer (is iceberg-rest healthy?): %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, mostAnswerBytes))
	if err != nil {
		return false, fmt.Errorf("the Iceberg catalog's answer to %s broke off: %w", path, err)
	}
	if response.StatusCode == http.StatusNotFound {
		return false, nil
	}
	if response.StatusCode != http.StatusOK {
		return false, fmt.Errorf("the Iceberg catalog at %s answered %s with %s: %.300s", c.uri, path, response.Status, body)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return false, fmt.Errorf("the Iceberg catalog's answer to %s is not the expected JSON: %w", path, err)
	}
	return true, nil
}
