package lake

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
)

// Count returns how many rows a snapshot has: those in the footers of its data files, without those that its delete files
// remove. False if there is no such snapshot.
//
// snapshot has the form of Table.Snapshot. months selects rows, by partition; nil selects all.
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
		return 0, false, fmt.Errorf("table %s cannot be read in its snapshot %s: %w", t.name, snapshot, err)
	}
	return rows, true, nil
}

// OldestSnapshot returns when the oldest remaining snapshot was committed, in seconds since 1970; false without any.
func (t *Table) OldestSnapshot() (float64, bool) {
	if len(t.history) == 0 {
		return 0, false
	}
	oldest := slices.MinFunc(t.history, func(one, other snapshot) int { return cmp.Compare(one.CommittedMS, other.CommittedMS) })
	return float64(oldest.CommittedMS) / 1000, true
}

// at returns the table in one of its snapshots; nil if it has no snapshot of this name.
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
			return 0, fmt.Errorf("file %s: %d of its %d rows are deleted", file.path, gone.Count(), opened.NumRows())
		}
		rows += opened.NumRows() - gone.Count()
	}
	return rows, nil
}
