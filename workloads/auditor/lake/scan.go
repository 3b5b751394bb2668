package lake

import (
	"context"
	"errors"
	"fmt"
	"io"
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
		found.Type = []byte(strings.Trim(string(found.Type), `"`))
		if squeeze(string(found.Type)) != squeeze(column.Type) {
			return nil, fmt.Errorf("its column %s is of type %s; expected %s", column.Name, found.Type, column.Type)
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
	leaves := map[int]*parquet.Column{}
	for _, column := range opened.Root().Columns() {
		leaves[column.ID()] = column
	}
	if _, unnumbered := leaves[0]; unnumbered {
		return errors.New("its columns have no field ids, which this auditor needs to find them")
	}
	var converts []func(parquet.Value) (rows.Value, error)
	var chosen []int // positions in the file; -1 for a column that it does not have
	for _, reader := range readers {
		leaf, ok := leaves[reader.id]
		if !ok {
			// Source: Iceberg specification, "Column Projection": the partition's value, or null for a column that was added
			// later. Null is wrong for the month's column: rows would be left out.
			var absent rows.Value
			if reader.id == t.monthID && !file.hasMonth {
				return fmt.Errorf("it has no column %s, and its manifest does not name one month for all its rows", reader.name)
			} else if reader.id == t.monthID {
				absent = file.monthValue()
			}
			chosen, converts = append(chosen, -1), append(converts, func(parquet.Value) (rows.Value, error) { return absent, nil })
			continue
		}
		convert, err := converter(leaf, reader.typ)
		if err != nil {
			return fmt.Errorf("column %s: %w", reader.name, err)
		}
		chosen, converts = append(chosen, leaf.Index()), append(converts, convert)
	}
	var number int64
	for _, group := range opened.RowGroups() {
		if err := scanGroup(group, chosen, converts, func(row []rows.Value) error {
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

func scanGroup(
	group parquet.RowGroup, chosen []int, converts []func(parquet.Value) (rows.Value, error), see func(row []rows.Value) error,
) error {
	chunks := make([]*chunkReader, len(chosen))
	for place, index := range chosen {
		if index >= 0 {
			chunks[place] = &chunkReader{pages: group.ColumnChunks()[index].Pages()}
			defer chunks[place].pages.Close()
		}
	}
	columns := make([][]parquet.Value, len(chosen))
	for place := range columns {
		columns[place] = make([]parquet.Value, batchRows)
	}
	row := make([]rows.Value, len(chosen))
	for left := group.NumRows(); left > 0; {
		count := min(left, batchRows)
		for place, chunk := range chunks {
			if chunk == nil {
				continue
			}
			if err := chunk.fill(columns[place][:count]); err != nil {
				return err
			}
		}
		for at := range count {
			for place, convert := range converts {
				row[place] = rows.Value{}
				if chunks[place] != nil && columns[place][at].IsNull() {
					continue
				}
				value, err := convert(columns[place][at])
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

// chunkReader reads a column's values across its pages. Pages are not released, because the values point into them.
type chunkReader struct {
	pages  parquet.Pages
	values parquet.ValueReader
}

func (c *chunkReader) fill(into []parquet.Value) error {
	for filled := 0; filled < len(into); {
		if c.values == nil {
			page, err := c.pages.ReadPage()
			if err != nil {
				return fmt.Errorf("a column ends %d values too early: %w", len(into)-filled, err)
			}
			c.values = page.Values()
		}
		count, err := c.values.ReadValues(into[filled:])
		filled += count
		if errors.Is(err, io.EOF) {
			c.values = nil
		} else if err != nil {
			return fmt.Errorf("a column cannot be decoded: %w", err)
		}
	}
	return nil
}
