package lake

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
)

// Count tells how many rows a snapshot has, by the footers of its data files, less the rows that its delete files take
// away. False if there is no such snapshot.
//
// snapshot is as Table.Snapshot gives it. months chooses rows, each month by its partition; nil chooses all.
func (t *Table) Count(ctx context.Context, snapshot string, months []string) (int64, bool, error) {
	at, err := t.at(ctx, snapshot)
	if at == nil && err == nil {
		return 0, false, nil
	}
	var rows int64
	if err == nil {
		rows, err = at.count(ctx, months)
	}
	if err != nil {
		return 0, false, fmt.Errorf("table %s cannot be read as of its snapshot %s: %w", t.name, snapshot, err)
	}
	return rows, true, nil
}

// OldestSnapshot tells when the oldest snapshot that there still is was committed, in seconds since 1970; false without any.
func (t *Table) OldestSnapshot() (float64, bool) {
	if len(t.history) == 0 {
		return 0, false
	}
	oldest := slices.MinFunc(t.history, func(one, other snapshot) int { return cmp.Compare(one.CommittedMS, other.CommittedMS) })
	return float64(oldest.CommittedMS) / 1000, true
}

// at gives the table as of one of its snapshots; nil if it has none of that name.
func (t *Table) at(ctx context.Context, name string) (*Table, error) {
	if name == t.Snapshot() {
		return t, nil
	}
	earlier := *t
	earlier.snapshot, earlier.dataFiles, earlier.deletes = noSnapshot, nil, nil
	if name == earlier.Snapshot() {
		return &earlier, nil
	}
	for _, snapshot := range t.history {
		if strconv.FormatInt(snapshot.ID, 10) == name {
			earlier.snapshot = snapshot.ID
			return &earlier, earlier.readManifests(ctx, snapshot.ManifestList)
		}
	}
	return nil, nil
}

func (t *Table) count(ctx context.Context, months []string) (int64, error) {
	wanted := func(file dataFile) bool {
		month, isText := file.month.(string)
		return months == nil || !file.hasMonth || isText && slices.Contains(months, month)
	}
	deleted, err := t.readDeletes(ctx, wanted)
	if err != nil {
		return 0, err
	}
	var rows int64
	for _, file := range t.dataFiles {
		if !wanted(file) {
			continue
		}
		if months != nil && !file.hasMonth {
			return 0, fmt.Errorf("file %s: its manifest does not name one month for all its rows", file.path)
		}
		opened, err := t.open(ctx, file)
		if err != nil {
			return 0, fmt.Errorf("file %s: %w", file.path, err)
		}
		gone := deleted.of(file)
		if gone.Count() > opened.NumRows() {
			return 0, fmt.Errorf("file %s: %d rows are deleted of %d", file.path, gone.Count(), opened.NumRows())
		}
		rows += opened.NumRows() - gone.Count()
	}
	return rows, nil
}
