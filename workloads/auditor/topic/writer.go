package topic

import (
	"github.com/hamba/avro/v2"

	"drayage/workloads/auditor/rows"
)

// writer decodes records that were written with one schema.
type writer struct {
	fields  []*avro.Field
	places  []int // each field's column; -1 for a field without one
	columns []Column
}

// newWriter maps a schema's fields to columns; nil if they do not fit.
func newWriter(schema avro.Schema, columns []Column) *writer {
	record, ok := schema.(*avro.RecordSchema)
	if !ok {
		return nil
	}
	places := map[string]int{}
	for place, column := range columns {
		places[column.Name] = place
	}
	planned := &writer{fields: record.Fields(), columns: columns}
	found := map[string]bool{}
	for _, field := range record.Fields() {
		place, taken := places[field.Name()]
		if !taken {
			planned.places = append(planned.places, -1)
			continue
		}
		// Avro encodes milliseconds and microseconds as the same long.
		wanted := avro.LogicalType("")
		if columns[place].Kind == Time {
			wanted = avro.TimestampMillis
		}
		if logicalType(field.Type()) != wanted {
			return nil
		}
		found[field.Name()] = true
		planned.places = append(planned.places, place)
	}
	for _, column := range columns {
		if column.Required && !found[column.Name] {
			return nil
		}
	}
	return planned
}

// logicalType returns the logical type of a schema, or of a union's first branch that is not null.
func logicalType(schema avro.Schema) avro.LogicalType {
	if union, ok := schema.(*avro.UnionSchema); ok {
		for _, branch := range union.Types() {
			if branch.Type() != avro.Null {
				return logicalType(branch)
			}
		}
		return ""
	}
	if logical, ok := schema.(avro.LogicalTypeSchema); ok && logical.Logical() != nil {
		return logical.Logical().Type()
	}
	return ""
}

// decode decodes a record; false if the bytes do not fit the schema, or the values do not fit the columns.
func (w *writer) decode(encoded []byte, row []rows.Value) bool {
	clear(row)
	from := &cursor{left: encoded}
	for number, field := range w.fields {
		place := w.places[number]
		if place < 0 {
			from.skip(field.Type())
			continue
		}
		row[place] = from.value(field.Type(), w.columns[place].Kind)
	}
	for place, column := range w.columns {
		if column.Required && !row[place].Set {
			return false
		}
	}
	return !from.broken && len(from.left) == 0
}
