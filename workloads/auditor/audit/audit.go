// Package audit confirms a month's receipts: it counts topic, bronze, silver and marts anew, and says where they differ.
//
// Reading order: Run, then one file a question. records.go: is each record in bronze once? fates.go and tally.go: did
// each row of bronze become what the rules say? money.go: is the money the same in every layer? receipts.go: did the
// steps report what is there? publications.go: did publish_marts? findings.go: how the answers look.
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

// MonthColumn is what every table of a month is partitioned by.
const MonthColumn = "trip_month"

// RowsAPass bounds memory: of a month with more rows only a part is compared at a time, and the tables are read again.
const RowsAPass = 4_000_000

// Table is a table of the lake as of one snapshot.
type Table interface {
	Scan(ctx context.Context, months lake.Months, columns []lake.Column, see func(row []rows.Value) error) error
}

// Tables are those of the pipeline.
type Tables struct{ Bronze, Silver, Rejected, Facts, DailyRevenue Table }

// Topic is a topic with the bounds of its partitions, which reading may narrow.
type Topic interface {
	ID() string
	Bounds() []topic.Partition
	Read(ctx context.Context, see func(topic.Record) error) error
}

// Decoder makes rows of records.
type Decoder interface {
	Decode(ctx context.Context, value []byte, row []rows.Value) (bool, error)
}

// Job is what is to be audited.
type Job struct {
	Month    trips.Month
	Topic    Topic
	Decoder  Decoder
	Tables   Tables
	Receipts Receipts
	// Published has the table of each published asset that has a receipt.
	Published map[string]Published
	// RowsAPass is as the constant of that name, other than in tests.
	RowsAPass int64
	// Say is told how far the audit is.
	Say func(text string) error
}

// Result is all that was found.
type Result struct {
	Checks []Check
	Counts Counts
}

// Counts are a month's numbers, by nobody's word but the auditor's.
type Counts struct {
	RecordsRead        int64 // all committed records of the topic
	RecordsAudited     int64 // of them, those of the month
	RecordsUndecodable int64
	RowsInBronze       int64
	RowsInSilver       int64
	RowsInFacts        int64
	RowsRejected       int64
	RowsUndecodable    int64
	Duplicates         int64
	TotalCents         int64
	TopicSeconds       float64
	TablesSeconds      float64
}

// Run audits a month.
//
// The tables must have been loaded before the topic was opened: what bronze holds, the topic then has.
func Run(ctx context.Context, job Job) (Result, error) {
	started := time.Now()
	if err := job.Say("Reading the topic"); err != nil {
		return Result{}, err
	}
	records, err := readTopic(ctx, job)
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
	tally, err := classify(ctx, job, records.monthRows)
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
	result := Result{Counts: Counts{
		RecordsRead:        records.read,
		RecordsAudited:     records.count(ofMonth),
		RecordsUndecodable: records.count(undecodable),
		RowsInBronze:       records.monthRows,
		RowsInSilver:       tally.silver.rows,
		RowsInFacts:        tally.facts.rows,
		RowsRejected:       tally.rejected.count(),
		RowsUndecodable:    records.undecodableRows,
		Duplicates:         tally.repeatedEvents + tally.repeatedTrips,
		TotalCents:         tally.silverMoney.total()[total],
		TopicSeconds:       read.Sub(started).Seconds(),
		TablesSeconds:      time.Since(read).Seconds(),
	}}
	result.Checks = []Check{
		records.check(job.Month),
		tally.checkAccounted(records, job.Month),
		tally.checkUnique(job.Month),
		tally.checkFacts(job.Month),
		checkMoney(tally.silverMoney, tally.factsMoney, revenue, job.Month),
		job.Receipts.check(result.Counts, records, published, job.Month),
	}
	return result, nil
}
