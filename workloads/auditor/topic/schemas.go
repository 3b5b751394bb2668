package topic

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/hamba/avro/v2"

	"drayage/workloads/auditor/rows"
)

// Kind is the kind of a column's values.
type Kind int

// The kinds of the topic's columns, with the logical type that the schema must have.
const (
	Text   Kind = iota
	Long        // whole numbers
	Double      // binary fractions
	Time        // timestamp-millis; read as microseconds
	Texts       // a map from text to text; read as rows.Texts encodes it
)

// Column is a column that records are decoded into; a record without a required column is undecodable.
type Column struct {
	Name     string
	Kind     Kind
	Required bool
}

const (
	frameBytes      = 5
	mostSchemaBytes = 16 << 20
)

// Decoder decodes records in the schema registry's framing: a zero byte, the schema's id in four bytes, Avro's encoding.
type Decoder struct {
	registryURL string
	columns     []Column
	client      *http.Client
	writers     map[uint32]*writer
}

// NewDecoder returns a decoder; it asks the registry for a schema when a record first names it.
func NewDecoder(registryURL string, columns []Column) *Decoder {
	return &Decoder{strings.TrimRight(registryURL, "/"), columns, &http.Client{Timeout: requestTimeout}, map[uint32]*writer{}}
}

// Decode decodes a record into a row of the decoder's columns; false if it is undecodable.
//
// It returns an error if the registry does not answer, which says nothing about the record.
func (d *Decoder) Decode(ctx context.Context, value []byte, row []rows.Value) (bool, error) {
	if len(value) < frameBytes || value[0] != 0 {
		return false, nil
	}
	id := binary.BigEndian.Uint32(value[1:frameBytes])
	found, known := d.writers[id]
	if !known {
		schema, err := d.find(ctx, id)
		if err != nil {
			return false, err
		}
		found = newWriter(schema, d.columns)
		d.writers[id] = found
	}
	return found != nil && found.decode(value[frameBytes:], row), nil
}

// find requests a schema from the registry; nil if the registry does not know it, or if it is not Avro.
func (d *Decoder) find(ctx context.Context, id uint32) (avro.Schema, error) {
	address := fmt.Sprintf("%s/schemas/ids/%d", d.registryURL, id)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("SCHEMA_REGISTRY_URL %q is not an address: %w", d.registryURL, err)
	}
	response, err := d.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("the schema registry does not answer (is schema-registry healthy?): %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, mostSchemaBytes))
	if err != nil {
		return nil, fmt.Errorf("the schema registry's answer for schema %d broke off: %w", id, err)
	}
	var answer struct {
		Schema string `json:"schema"`
		Type   string `json:"schemaType"`
		Code   int    `json:"error_code"`
	}
	understood := json.Unmarshal(body, &answer)
	const notFound = 40403
	switch {
	case understood == nil && response.StatusCode == http.StatusNotFound && answer.Code == notFound:
		return nil, nil
	case understood != nil || response.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("the schema registry answered %s with %s: %.300s", address, response.Status, body)
	case answer.Type != "" && answer.Type != "AVRO":
		return nil, nil
	}
	// A separate cache, because two schemas may define the same name.
	schema, err := avro.ParseBytesWithCache([]byte(answer.Schema), "", &avro.SchemaCache{})
	if err != nil {
		return nil, fmt.Errorf("schema %d of the registry cannot be parsed: %w", id, err)
	}
	return schema, nil
}
