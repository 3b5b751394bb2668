package audit

import (
	"context"
	"fmt"

	"drayage/workloads/auditor/trips"
)

// Publication is the last report of publish_marts on a table, in a run of the month.
type Publication struct {
	RecordedAt float64  `json:"recorded_at_s"`
	Rows       int64    `json:"dagster/row_count"`
	Snapshot   string   `json:"snapshot_id"`
	Months     []string `json:"months"` // the months that the run published; null for a table published as a whole
}

// Published is a table of the lake whose rows can be counted in any of its snapshots.
type Published interface {
	// Snapshot returns the current snapshot.
	Snapshot() string
	// OldestSnapshot returns when the oldest remaining snapshot was committed, in seconds since 1970; false without any.
	OldestSnapshot() (float64, bool)
	// Count counts the rows of months, or all rows for nil; false if there is no such snapshot.
	Count(ctx context.Context, snapshot string, months []string) (int64, bool, error)
}

// publications are the reports of publish_marts, compared with the tables.
type publications struct {
	reported, confirmed int64
	expired             int // tables whose reported snapshot has expired and can no longer be counted
	faults              []string
}

func readPublications(ctx context.Context, job Job) (publications, error) {
	var found publications
	if len(job.Receipts.Published) == 0 {
		found.faults = append(found.faults, "publish_marts has no report")
	}
	for _, asset := range sortedKeys(job.Receipts.Published) {
		report := job.Receipts.Published[asset]
		if report == nil {
			found.faults = append(found.faults, asset+" has no report")
			continue
		}
		found.reported += report.Rows
		if err := found.confirm(ctx, asset, *report, job.Published[asset], job.Month); err != nil {
			return publications{}, err
		}
	}
	return found, nil
}

func (p *publications) confirm(ctx context.Context, asset string, report Publication, table Published, month trips.Month) error {
	counted, there, err := table.Count(ctx, report.Snapshot, report.Months)
	if err != nil {
		return err
	}
	if !there {
		if oldest, any := table.OldestSnapshot(); any && oldest > report.RecordedAt {
			p.expired++
			return nil
		}
		p.disagree("%s reported snapshot_id %s, but the table has no such snapshot", asset, report.Snapshot)
		return nil
	}
	if counted == report.Rows {
		p.confirmed += counted
	} else {
		p.disagree("%s reported dagster/row_count %d, but its snapshot %s has %d rows%s",
			asset, report.Rows, report.Snapshot, counted, ofMonths(report.Months))
	}
	if report.Months == nil || report.Snapshot == table.Snapshot() {
		return nil // another month's run may have published a table without months again
	}
	var rows [2]int64
	for place, snapshot := range []string{report.Snapshot, table.Snapshot()} {
		if rows[place], _, err = table.Count(ctx, snapshot, []string{month.Text}); err != nil {
			return err
		}
	}
	if rows[0] != rows[1] {
		p.disagree("%s had %d rows of %s in the snapshot %s that it reported, but has %d now",
			asset, rows[0], month.Text, report.Snapshot, rows[1])
	}
	return nil
}

func (p *publications) disagree(format string, values ...any) {
	p.faults = append(p.faults, fmt.Sprintf(format, values...))
}

// addTo adds the numbers and faults to a check.
func (p *publications) addTo(check *Check) {
	check.number("published_rows_reported", p.reported)
	check.number("published_rows_confirmed", p.confirmed)
	check.number("published_tables_expired", int64(p.expired))
	check.faults = append(check.faults, p.faults...)
}

func ofMonths(months []string) string {
	if months == nil {
		return ""
	}
	if len(months) == 1 {
		return " of " + months[0]
	}
	return fmt.Sprintf(" of %d months", len(months))
}
