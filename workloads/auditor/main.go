// The auditor: a step that reads the topic and the tables with independent code, and confirms what the other steps reported.
package main

import (
	"context"
	"errors"
	"math"
	"strings"

	pipes "drayage/writers/go"

	"drayage/workloads/auditor/audit"
	"drayage/workloads/auditor/lake"
	"drayage/workloads/auditor/topic"
	"drayage/workloads/auditor/trips"
)

const (
	bronzeTable   = "bronze.raw_trips"
	silverTable   = "silver.cleaned_trips"
	rejectedTable = "silver.rejected_trips"
	factsTable    = "marts.fct_trips"
	revenueTable  = "marts.daily_revenue"
)

func main() { pipes.Run(step) }

func step(session *pipes.Session) error {
	read, err := readSettings(secretsFolder)
	if err != nil {
		return err
	}
	month, extras, err := readRequest(session.Context)
	if err != nil {
		return err
	}
	ctx := context.Background()
	tables, err := load(ctx, read, extras.Receipts)
	if err != nil {
		return err
	}
	// Load the tables before opening the topic, so that the topic has every record that bronze holds.
	sent, err := topic.Open(ctx, read.kafkaBootstrapServers, extras.Topic)
	if err != nil {
		return err
	}
	defer sent.Close()
	versions, err := topic.Open(ctx, read.kafkaBootstrapServers, extras.Versions)
	if err != nil {
		return err
	}
	defer versions.Close()
	var count counter
	counted := func(name string) audit.Table { return countedTable{tables[name], &count} }
	stop := count.report(progressInterval, func(metadata pipes.Metadata) error { return session.Progress("", metadata) })
	defer stop()
	published := map[string]audit.Published{}
	for asset := range extras.Receipts.Published {
		published[asset] = tables[tableOf(asset)]
	}
	result, err := audit.Run(ctx, audit.Job{
		Month:    month,
		Topic:    countedTopic{sent, &count},
		Versions: versions,
		Decoder:  topic.NewDecoder(read.schemaRegistryURL, trips.Event),
		Tables: audit.Tables{
			Bronze: counted(bronzeTable), Silver: counted(silverTable), Rejected: counted(rejectedTable),
			Facts: counted(factsTable), DailyRevenue: counted(revenueTable),
		},
		Receipts:  extras.Receipts,
		Published: published,
		RowsAPass: audit.RowsAPass,
		Say:       func(text string) error { return session.Log("INFO", text) },
	})
	if err != nil {
		return err
	}
	return report(session, result, tables, count.read.Load())
}

func load(ctx context.Context, read settings, receipts audit.Receipts) (map[string]*lake.Table, error) {
	store, err := lake.OpenStore(read.s3Endpoint, read.s3Region, read.s3AccessKeyID, read.s3SecretAccessKey)
	if err != nil {
		return nil, err
	}
	catalog, err := lake.OpenCatalog(ctx, read.icebergCatalogURI, read.icebergWarehouse, store)
	if err != nil {
		return nil, err
	}
	tables := map[string]*lake.Table{}
	months := map[string]string{}
	for asset, report := range receipts.Published {
		if report != nil && report.Months == nil {
			months[tableOf(asset)] = ""
		} else if report != nil {
			months[tableOf(asset)] = audit.MonthColumn
		}
	}
	for _, name := range []string{bronzeTable, silverTable, rejectedTable, factsTable, revenueTable} {
		months[name] = audit.MonthColumn
	}
	for name, month := range months {
		if tables[name], err = catalog.Load(ctx, name, month); err != nil {
			return nil, err
		}
	}
	return tables, nil
}

// tableOf returns the name of the table of an asset such as "marts/fct_trips".
func tableOf(asset string) string { return strings.Replace(asset, "/", ".", 1) }

func report(session *pipes.Session, result audit.Result, tables map[string]*lake.Table, read int64) error {
	failed := 0
	var err error
	for _, check := range result.Checks {
		level := "INFO"
		if !check.Passed {
			failed++
			level = "ERROR"
		}
		metadata := pipes.Metadata{"finding": check.Finding}
		for name, value := range check.Numbers {
			metadata[name] = value
		}
		err = errors.Join(err,
			session.Log(level, check.Name+": "+check.Finding),
			session.Check("", check.Name, check.Passed, "ERROR", metadata))
	}
	snapshots := map[string]any{}
	for name, table := range tables {
		snapshots[name] = table.Snapshot()
	}
	counts := result.Counts
	return errors.Join(err, session.Materialize("", "", pipes.Metadata{
		"records_read":        counts.RecordsRead,
		"records_audited":     counts.RecordsAudited,
		"records_undecodable": counts.RecordsUndecodable,
		"rows_in_bronze":      counts.RowsInBronze,
		"rows_in_silver":      counts.RowsInSilver,
		"rows_in_fct_trips":   counts.RowsInFacts,
		"rows_rejected":       counts.RowsRejected,
		"rows_undecodable":    counts.RowsUndecodable,
		"duplicates":          counts.Duplicates,
		"rows_superseded":     counts.RowsSuperseded,
		"source":              result.Version.Source,
		"source_version":      result.Version.SourceVersion,
		"source_name":         result.Version.SourceName,
		"total_amount_usd":    trips.Dollars(counts.TotalCents), // text, because a float would not be exact
		"checks_failed":       failed,
		"rows_per_second":     rate(read, counts.TopicSeconds+counts.TablesSeconds),
		"topic_s":             math.Round(counts.TopicSeconds*1000) / 1000,
		"tables_s":            math.Round(counts.TablesSeconds*1000) / 1000,
		"snapshots":           pipes.Typed("json", snapshots),
	}))
}
