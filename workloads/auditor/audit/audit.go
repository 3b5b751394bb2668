// Package audit confirms a month's receipts: it counts topic, bronze, silver and marts again, and reports differences.
//
// Reading order: Run, then one file for each question. versions.go: which version is the month?
// records.go: is each record in bronze once? fates.go and tally.go:
// did each row of bronze become what the rules say? money.go: is the money the same in every layer? receipts.go: did the
// steps report the actual numbers? publications.go: did publish_marts? findings.go: the form of the answers.
package audit

import (
	"context"
	"fmt"
	"time"

	"drayage/workloads/auditor/lake"
	"drayage/workloads/auditor/rows"
	"drayage/workloads/auditor/topic"
	"drayage/workloads/auditor/trips"
)

// MonthColumn is the column by which every table with months is partitioned.
const MonthColumn = "trip_month"

// RowsAPass limits memory: a month with more rows is compared in parts, and the tables are read again for each part.
const RowsAPass = 4_000_000

// Table is one snapshot of a table of the lake.
type Table interface {
	Scan(ctx context.Context, months lake.Months, columns []lake.Column, see func(row []rows.Value) error) error
}

// Tables are the pipeline's tables.
type Tables struct{ Bronze, Silver, Rejected, Facts, DailyRevenue Table }

// Topic is a topic with the bounds of its partitions, which reading may narrow.
type Topic interface {
	ID() string
	Bounds() []topic.Partition
	Read(ctx context.Context, see func(topic.Record) error) error
}

// Decoder decodes records into rows.
type Decoder interface {
	Decode(ctx context.Context, value []byte, row []rows.Value) (bool, error)
}

// Job is one audit.
type Job struct {
	Month    trips.Month
	Topic    Topic
	Versions Topic // the topic of month versions
	Decoder  Decoder
	Tables   Tables
	Receipts Receipts
	// Published has the table of each published asset that has a receipt.
	Published map[string]Published
	// RowsAPass is the constant of that name, except in tests.
	RowsAPass int64
	// Say logs the progress of the audit.
	Say func(text string) error
}

// Result holds the checks and counts of an audit.
type Result struct {
	Checks []Check
	Counts Counts
	// Version is the month's current version; empty if it has none.
	Version Version
}

// Counts are a month's numbers, all counted by the auditor itself.
type Counts struct {
	RecordsRead        int64 // all committed records of the topic
	RecordsAudited     int64 // those of the month
	RecordsUndecodable int64
	RowsInBronze       int64
	RowsInSilver       int64
	RowsInFacts        int64
	RowsRejected       int64
	RowsUndecodable    int64
	Duplicates         int64
	RowsSuperseded     int64
	RowsRounded        int64 // trips of silver whose amounts have more than two decimals in bronze
	RowsWithoutVendor  int64 // trips of silver
	TotalCents         int64
	TopicSeconds       float64
	TablesSeconds      float64
}

// Run audits a month.
//
// The tables must have been loaded before the topic was opened, so that the topic has every record that bronze holds.
func Run(ctx context.Context, job Job) (Result, error) {
	started := time.Now()
	if err := job.Say("Reading the topic"); err != nil {
		return Result{}, err
	}
	version, err := readVersion(ctx, job)
	if err != nil {
		return Result{}, err
	}
	isRecorded := version != nil
	if !isRecorded {
		version = &Version{} // no event has this version
	}
	records, err := readTopic(ctx, job, version)
	if err != nil {
		return Result{}, err
	}
	read := time.Now()
	if err := job.Say(fmt.Sprintf(
		"Read %d committed records, %d of them of %s; reading the tables", records.read, records.count(ofMonth), job.Month.Text)); err != nil {
		return Result{}, err
	}
	if err := records.compareWithBronze(ctx, job); err != nil {
		return Result{}, err
	}
	tally, err := classify(ctx, job, version.SourceVersion, records.monthRows)
	if err != nil {
		return Result{}, err
	}
	revenue, err := readRevenue(ctx, job)
	if err != nil {
		return Result{}, err
	}
	published, err := readPublications(ctx, job)
	if err != nil {
		return Result{}, err
	}
	result := Result{Version: *version, Counts: Counts{
		RecordsRead:        records.read,
		RecordsAudited:     records.count(ofMonth),
		RecordsUndecodable: records.count(undecodable),
		RowsInBronze:       records.monthRows,
		RowsInSilver:       tally.silver.rows,
		RowsInFacts:        tally.facts.rows,
		RowsRejected:       tally.rejected.count(),
		RowsUndecodable:    records.undecodableRows,
		Duplicates:         tally.repeatedEvents + tally.repeatedTrips,
		RowsSuperseded:     tally.superseded,
		RowsRounded:        tally.rounded,
		RowsWithoutVendor:  tally.withoutVendor,
		TotalCents:         tally.silverMoney.total()[total],
		TopicSeconds:       read.Sub(started).Seconds(),
		TablesSeconds:      time.Since(read).Seconds(),
	}}
	result.Checks = []Check{
		records.check(job.Month),
		tally.checkAccounted(records, isRecorded, job),
		tally.checkUnique(job.Month),
		tally.checkFacts(job.Month),
		checkMoney(tally.silverMoney, tally.factsMoney, revenue, job.Month),
		job.Receipts.check(result.Counts, records, version, published, job.Month),
	}
	return result, nil
}
