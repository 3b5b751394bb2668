package lake

import (
	"context"
	"errors"
	"fmt"

	"drayage/workloads/auditor/rows"
)

// The columns of a position delete file.
//
// Source: Iceberg specification, "Position Delete Files" and "Reserved Field IDs".
var positionColumns = []columnReader{{"file_path", 2147483546, "string"}, {"pos", 2147483545, "long"}}

// deletions are the deleted rows of data files, by file and by the sequence number of the deletion.
type deletions map[string]map[int64]*rows.Bits

// of returns the deleted rows of a file; a deletion does not apply to younger files.
func (d deletions) of(file dataFile) rows.Bits {
	var gone rows.Bits
	for sequenceNumber, positions := range d[file.path] {
		if sequenceNumber < file.sequenceNumber {
			continue
		}
		for place, word := range *positions {
			if place == len(gone) {
				gone = append(gone, 0)
			}
			gone[place] |= word
		}
	}
	return gone
}

func (t *Table) readDeletes(ctx context.Context, wanted func(dataFile) bool) (deletions, error) {
	found := deletions{}
	for _, file := range t.deletes {
		if !wanted(file) {
			continue
		}
		err := t.scanFile(ctx, file, positionColumns, func(_ int64, row []rows.Value) error {
			if !row[0].Set || !row[1].Set || row[1].Int < 0 {
				return errors.New("a deletion does not name a row")
			}
			path := string(row[0].Text)
			if found[path] == nil {
				found[path] = map[int64]*rows.Bits{}
			}
			if found[path][file.sequenceNumber] == nil {
				found[path][file.sequenceNumber] = &rows.Bits{}
			}
			found[path][file.sequenceNumber].Set(row[1].Int)
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("deletions %s: %w", file.path, err)
		}
	}
	return found, nil
}
