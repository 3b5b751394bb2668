package lake

import (
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"

	"drayage/workloads/auditor/rows"
)

// Texts is Iceberg's name of the type of a map from text to text.
const Texts = "map<string, string>"

// columnValues are a column's values in one row group, read in batches.
type columnValues interface {
	// read reads the next rows.
	read(count int) error
	// value returns the value of one of the rows last read, by its position among them.
	value(at int) (rows.Value, error)
	close()
}

// valuesOf opens a column in a row group.
type valuesOf func(group parquet.RowGroup) columnValues

// valuesIn returns how a file's column is read as an Iceberg type.
func valuesIn(column *parquet.Column, typ string) (valuesOf, error) {
	if typ == squeeze(Texts) {
		return textsIn(column)
	}
	convert, err := converter(column, typ)
	if err != nil {
		return nil, err
	}
	return func(group parquet.RowGroup) columnValues {
		return &single{chunk: chunkOf(group, column), convert: convert}
	}, nil
}

// constant is a column with the same value in each row.
type constant rows.Value

func (c constant) read(int) error                { return nil }
func (c constant) value(int) (rows.Value, error) { return rows.Value(c), nil }
func (c constant) close()                        {}

// single is a column with one value a row.
type single struct {
	chunk   *chunkReader
	convert func(parquet.Value) (rows.Value, error)
	batch   [batchRows]parquet.Value
}

func (s *single) read(count int) error { return s.chunk.fill(s.batch[:count]) }
func (s *single) close()               { s.chunk.pages.Close() }

func (s *single) value(at int) (rows.Value, error) {
	if s.batch[at].IsNull() {
		return rows.Value{}, nil
	}
	return s.convert(s.batch[at])
}

// texts is a column with a map a row. Parquet stores a map's keys and values in two columns, whose levels tell where a
// row begins, and whether it has no map, an empty one, or an entry.
//
// Source: Apache Parquet, "Nested Encoding", and LogicalTypes.md, "Maps".
type texts struct {
	keys, values entries
	rows         [batchRows]rows.Value
}

func textsIn(column *parquet.Column) (valuesOf, error) {
	wrong := fmt.Errorf("the table's type is %s, but the file stores it as %s, which this auditor does not support", Texts, column)
	if column.Leaf() || len(column.Columns()) != 1 || !column.Columns()[0].Repeated() || len(column.Columns()[0].Columns()) != 2 {
		return nil, wrong
	}
	key, value := column.Columns()[0].Columns()[0], column.Columns()[0].Columns()[1]
	if !key.Leaf() || !value.Leaf() || key.Type().Kind() != parquet.ByteArray || value.Type().Kind() != parquet.ByteArray {
		return nil, wrong
	}
	return func(group parquet.RowGroup) columnValues {
		return &texts{keys: entries{chunk: chunkOf(group, key)}, values: entries{chunk: chunkOf(group, value)}}
	}, nil
}

func (t *texts) read(count int) error {
	for at := range count {
		if err := t.readRow(&t.rows[at]); err != nil {
			return err
		}
	}
	return nil
}

// Definition levels of the key of an optional map; a map that must be there has one level less.
const emptyMap = 1

func (t *texts) readRow(row *rows.Value) error {
	*row = rows.Value{}
	var found map[string]rows.Value
	for first := true; ; first = false {
		key, ok, err := t.keys.next(first)
		if err != nil || !ok {
			if found != nil {
				*row = rows.Texts(found)
			}
			return err
		}
		value, _, err := t.values.next(first)
		if err != nil {
			return err
		}
		if found == nil && (!key.IsNull() || key.DefinitionLevel() >= emptyMap) {
			found = map[string]rows.Value{}
		}
		if !key.IsNull() {
			found[string(key.ByteArray())] = rows.Value{Set: !value.IsNull(), Text: value.ByteArray()}
		}
	}
}

func (t *texts) value(at int) (rows.Value, error) { return t.rows[at], nil }
func (t *texts) close()                           { t.keys.chunk.pages.Close(); t.values.chunk.pages.Close() }

// entries reads a repeated column value by value.
type entries struct {
	chunk  *chunkReader
	batch  [batchRows]parquet.Value
	unread []parquet.Value
}

// next returns the row's next value; false if the row has no more. The first value of a row must be there.
func (e *entries) next(first bool) (parquet.Value, bool, error) {
	if len(e.unread) == 0 {
		count, err := e.chunk.readSome(e.batch[:])
		if err != nil {
			return parquet.Value{}, false, err
		}
		e.unread = e.batch[:count]
	}
	if len(e.unread) == 0 {
		if first {
			return parquet.Value{}, false, errors.New("a column ends too early")
		}
		return parquet.Value{}, false, nil
	}
	if begins := e.unread[0].RepetitionLevel() == 0; begins != first {
		return parquet.Value{}, false, nil
	}
	value := e.unread[0]
	e.unread = e.unread[1:]
	return value, true, nil
}

// chunkReader reads a column's values across its pages. Pages are not released, because the values point into them.
type chunkReader struct {
	pages  parquet.Pages
	values parquet.ValueReader
}

func chunkOf(group parquet.RowGroup, column *parquet.Column) *chunkReader {
	return &chunkReader{pages: group.ColumnChunks()[column.Index()].Pages()}
}

// readSome reads some values; none at the column's end.
func (c *chunkReader) readSome(into []parquet.Value) (int, error) {
	for {
		if c.values == nil {
			page, err := c.pages.ReadPage()
			if errors.Is(err, io.EOF) {
				return 0, nil
			}
			if err != nil {
				return 0, fmt.Errorf("a column cannot be read: %w", err)
			}
			c.values = page.Values()
		}
		count, err := c.values.ReadValues(into)
		if errors.Is(err, io.EOF) {
			c.values = nil
		} else if err != nil {
			return 0, fmt.Errorf("a column cannot be decoded: %w", err)
		}
		if count > 0 {
			return count, nil
		}
	}
}

// fill reads as many values as fit.
func (c *chunkReader) fill(into []parquet.Value) error {
	for filled := 0; filled < len(into); {
		count, err := c.readSome(into[filled:])
		if err != nil {
			return err
		}
		if count == 0 {
			return fmt.Errorf("a column ends %d values too early", len(into)-filled)
		}
		filled += count
	}
	return nil
}
