package lake

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/parquet-go/parquet-go"

	"drayage/workloads/auditor/rows"
)

const (
	batchRows       = 2048
	readBufferBytes = 1 << 20
)

// Column is a column to read, with Iceberg's name of the type that it must have, such as "decimal(10, 2)".
type Column struct{ Name, Type string }

// Months selects the rows of a month and, with None, the rows without a month.
type Months struct {
	Column string
	Month  string
	None   bool
}

func (m Months) has(month rows.Value) bool {
	if !month.Set {
		return m.None
	}
	return string(month.Text) == m.Month
}

func (m Months) hasFile(file dataFile) bool {
	return !file.hasMonth || m.has(file.monthValue())
}

// Scan reads rows, always in the same order.
//
// It calls see for each row, with the values in the order of columns; they are valid until see returns.
func (t *Table) Scan(ctx context.Context, months Months, columns []Column, see func(row []rows.Value) error) error {
	wanted := append([]Column{{months.Column, "string"}}, columns...)
	readers, err := t.columnReaders(wanted)
	if err != nil {
		return fmt.Errorf("table %s cannot be read: %w", t.name, err)
	}
	deleted, err := t.readDeletes(ctx, months.hasFile)
	if err != nil {
		return fmt.Errorf("table %s cannot be read: %w", t.name, err)
	}
	for _, file := range t.dataFiles {
		if !months.hasFile(file) {
			continue
		}
		gone := deleted.of(file)
		err := t.scanFile(ctx, file, readers, func(number int64, row []rows.Value) error {
			if gone.Has(number) || !months.has(row[0]) {
				return nil
			}
			return see(row[1:])
		})
		if err != nil {
			return fmt.Errorf("table %s, file %s: %w", t.name, file.path, err)
		}
	}
	return nil
}

// columnReader is a column of the table's schema, with which the files must agree.
type columnReader struct {
	name string
	id   int
	typ  string
}

func (t *Table) columnReaders(columns []Column) ([]columnReader, error) {
	var readers []columnReader
	for _, column := range columns {
		found, ok := t.fields[column.Name]
		if !ok {
			return nil, fmt.Errorf("it has no column %s", column.Name)
		}
		if typ := found.typ(); squeeze(typ) != squeeze(column.Type) {
			return nil, fmt.Errorf("its column %s is of type %s; expected %s", column.Name, typ, column.Type)
		}
		readers = append(readers, columnReader{column.Name, found.ID, squeeze(column.Type)})
	}
	return readers, nil
}

// squeeze removes blanks, which makes "decimal(10, 2)" and "decimal(10,2)" equal.
func squeeze(typ string) string { return strings.ReplaceAll(typ, " ", "") }

func (t *Table) scanFile(
	ctx context.Context, file dataFile, readers []columnReader, see func(number int64, row []rows.Value) error,
) error {
	opened, err := t.open(ctx, file)
	if err != nil {
		return err
	}
	stored := map[int]*parquet.Column{}
	for _, column := range opened.Root().Columns() {
		stored[column.ID()] = column
	}
	if _, unnumbered := stored[0]; unnumbered {
		return errors.New("its columns have no field ids, which this auditor needs to find them")
	}
	var chosen []valuesOf
	for _, reader := range readers {
		column, ok := stored[reader.id]
		if !ok {
			// Source: Iceberg specification, "Column Projection": the partition's value, or null for a column that was added
			// later. Null is wrong for the month's column: rows would be left out.
			var absent rows.Value
			if reader.id == t.monthID && !file.hasMonth {
				return fmt.Errorf("it has no column %s, and its manifest does not name one month for all its rows", reader.name)
			} else if reader.id == t.monthID {
				absent = file.monthValue()
			}
			chosen = append(chosen, func(parquet.RowGroup) columnValues { return constant(absent) })
			continue
		}
		values, err := valuesIn(column, reader.typ)
		if err != nil {
			return fmt.Errorf("column %s: %w", reader.name, err)
		}
		chosen = append(chosen, values)
	}
	var number int64
	for _, group := range opened.RowGroups() {
		if err := scanGroup(group, chosen, func(row []rows.Value) error {
			number++
			return see(number-1, row)
		}); err != nil {
			return err
		}
	}
	if number != file.rows {
		return fmt.Errorf("%d rows were read, but its manifest says %d", number, file.rows)
	}
	return nil
}

// open reads a file's footer.
func (t *Table) open(ctx context.Context, file dataFile) (*parquet.File, error) {
	content, err := t.store.Open(ctx, file.path, file.sizeBytes)
	if err != nil {
		return nil, err
	}
	// Page offsets and Bloom filters only help to find single rows.
	opened, err := parquet.OpenFile(content, file.sizeBytes, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true),
		parquet.ReadBufferSize(readBufferBytes))
	if err != nil {
		return nil, fmt.Errorf("it cannot be opened as Parquet: %w", err)
	}
	if opened.NumRows() != file.rows {
		return nil, fmt.Errorf("it has %d rows, but its manifest says %d", opened.NumRows(), file.rows)
	}
	return opened, nil
}

func scanGroup(group parquet.RowGroup, chosen []valuesOf, see func(row []rows.Value) error) error {
	columns := make([]columnValues, len(chosen))
	for place, values := range chosen {
		columns[place] = values(group)
		defer columns[place].close()
	}
	row := make([]rows.Value, len(columns))
	for left := group.NumRows(); left > 0; {
		count := min(left, batchRows)
		for _, column := range columns {
			if err := column.read(int(count)); err != nil {
				return err
			}
		}
		for at := range int(count) {
			for place, column := range columns {
				value, err := column.value(at)
				if err != nil {
					return err
				}
				row[place] = value
			}
			if err := see(row); err != nil {
				return err
			}
		}
		left -= count
	}
	return nil
}
